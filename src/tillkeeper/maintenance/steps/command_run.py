"""`command.run`: run a program of this machine, with a time-out."""

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.base.discretion import discreet
from tillkeeper.maintenance.steps.common import Irreversible, judged
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import children
from tillkeeper.store.incarnation import incarnation_of, is_dead

_ENVIRONMENT: Final = {"PATH": os.defpath, "LANG": "C.UTF-8"}


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Run a program of this machine: no shell, nothing on standard input, no secrets in its environment. It is killed with
    all that it started when its time is over. Only programs that TILL_COMMANDS names may run.
    """

    command: Annotated[
        tuple[Annotated[str, Meta(max_length=1000)], ...],
        Meta(
            min_length=1,
            max_length=64,
            description="the program by its absolute path, and its arguments",
            examples=[["/usr/bin/fstrim", "/"]],
        ),
    ]
    seconds: Annotated[float, Meta(gt=0, le=24 * 3600, description="then it is killed")] = 60.0
    codes: Annotated[tuple[int, ...], Meta(min_length=1, description="exit codes that mean success")] = (0,)
    repeatable: Annotated[
        bool, Meta(description="it bears being run again when the agent was killed in the midst of it")
    ] = False

    def __post_init__(self) -> None:
        """Refuse a program that would be looked for."""
        if not Path(self.command[0]).is_absolute():
            raise ValueError(
                f"command[0]: the absolute path of {self.command[0]}, so that it is no other program"
            )


class CommandRun(Irreversible):
    """See Parameters."""

    name = "command.run"
    parameters: type[msgspec.Struct] = Parameters
    remedy = "undo what the program did by a plan of its own"
    lock_risk: LockRisk = "none"
    money_risk = True

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        program = given.command[0]
        allowed = program in site.settings.commands.split()
        remedy = (
            "is named in TILL_COMMANDS" if allowed else "is not named in TILL_COMMANDS, so it may not run"
        )
        there = shutil.which(program) is not None
        return [
            judged("command_allowed", allowed, f"{program} {remedy}"),
            judged("command_there", there, f"{program} {'can' if there else 'cannot'} be run here"),
        ]

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        if "code" in attempt.saved:
            return dict(attempt.saved)
        if not site.production:
            return {"code": given.codes[0], "said": "not run: on a copy it would work on the machine itself"}
        if given.command[0] not in site.settings.commands.split():
            raise StepError(f"{given.command[0]} is not named in TILL_COMMANDS, so it may not run")
        if (before := attempt.saved.get("process")) is not None:
            _end_orphan(before)
            if not given.repeatable:
                raise StepError(
                    "it was begun before, and nobody knows how far it came: look, then plan what is left"
                )
        done = await self._done(site, given, attempt)
        await attempt.save(done if done["code"] in given.codes else {})  # it has ended: it may be tried again
        if done["code"] not in given.codes:
            raise StepError(f"it ended with code {done['code']}: {done['said'][-limits.MAX_TEXT :]}")
        return done

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        return [judged("exit_code", evidence.get("code") in given.codes, f"exit code {evidence.get('code')}")]

    async def _done(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        """Carry the program out; how it ended. Raises StepError when its time is over."""
        await attempt.save({"process": ""})  # from here on it may have begun
        try:
            process = await children.started(
                given.command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=_ENVIRONMENT
            )
        except OSError as error:
            raise StepError(f"{given.command[0]} cannot be run: {error.strerror}") from error
        begun = site.clock.monotonic()
        try:
            await attempt.save({"process": incarnation_of(process.pid)})
            async with asyncio.timeout(given.seconds):
                assert process.stdout is not None
                said = await children.last_words(process.stdout)
                code = await process.wait()
        except TimeoutError:
            raise StepError(
                f"it was killed after {given.seconds:g} s, with all that it had started"
            ) from None
        finally:
            children.kill_group(process.pid)
            await process.wait()
        seconds = round(site.clock.monotonic() - begun, 3)
        return {"code": code, "said": discreet(said), "seconds": seconds}


def _end_orphan(before: str) -> None:
    """End what a killed agent left running, if it still does."""
    if before and not is_dead(before):
        children.kill_group(int(before.split(":")[3]))
