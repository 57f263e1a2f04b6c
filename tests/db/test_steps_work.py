"""Steps that rotate keys and run programs: done, killed in the midst, stopped, refused."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.postgres import Database
from tests.support.steps import Step, Trial, site_on
from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.steps import Aborted, Site, StepError
from tillkeeper.store import Store, sole
from tillkeeper.vault import JOB, Pace

SHELL = "/bin/sh"


@pytest.fixture
async def site(database: Database, store: Store, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(database, store, SystemClock(), tmp_path) as made:
        settings = msgspec.structs.replace(made.settings, commands=f"/bin/true {SHELL}")
        yield replace(made, settings=settings, production=True)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else writes here, so there are no writers to wait for."""
    monkeypatch.setattr(Pace, "resting", lambda _: Pace(trust=0.05, writers=0.05, blocks=1))
    monkeypatch.setattr(limits, "STEP_TELL_SECONDS", 0.02)


async def people(site: Site, count: int) -> None:
    async with site.store.tx("test") as tx:
        for _ in range(count):
            await parties.add_customer(tx, site.vault, parties.Newcomer(new_id(), "Li"), site.clock.now())


async def test_a_key_is_rotated_and_a_broken_off_rotation_goes_on(site: Site, in_a_hurry: None) -> None:
    await people(site, 60)
    step, stopped = Step(site, "keys.rotate"), Trial(stop_after=1)
    assert await step.stands_in_the_way() == []
    with pytest.raises(Aborted):
        await step.run(stopped)
    trial = Trial(stopped.saved)
    evidence = await step.run(trial)
    assert (evidence["version"], evidence["destroyed"]) == (2, [1])  # it went on: no third version
    assert evidence["rows"] >= 60
    assert await step.faults(evidence) == []
    assert (
        await step.run(Trial(trial.saved)) == evidence
    )  # killed before the journal knew: not rotated once more
    assert trial.told
    with pytest.raises(StepError, match="cannot be undone"):
        await step.undo(evidence)


async def test_only_one_rotates_at_a_time(site: Site, in_a_hurry: None) -> None:
    async def lost() -> None:
        raise AssertionError

    async with sole.sole(site.admin_url, JOB, lost):
        with pytest.raises(StepError, match="another process rotates keys now"):
            await Step(site, "keys.rotate", purpose="index").run()


# -- programs


def command(site: Site, words: str, **more: Any) -> Step:
    return Step(site, "command.run", command=[SHELL, "-c", words], **more)


async def test_a_program_runs_without_secrets_and_what_it_says_is_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILL_SECRET", "swordfish")
    words = r"head -c 100000 /dev/zero | tr '\0' x; echo ' 13812345678' >&2; exit 3"
    step, trial = command(site, words, codes=[0, 3]), Trial()
    assert await step.stands_in_the_way() == []
    evidence = await step.run(trial)
    assert evidence["code"] == 3
    assert len(evidence["said"]) <= limits.COMMAND_OUTPUT_BYTES
    assert evidence["said"].endswith("x ‹masked›\n")
    assert await step.faults(evidence) == []
    assert await step.run(Trial(trial.saved)) == evidence
    said = (await command(site, "env").run())["said"]
    assert "PATH=" in said
    assert "swordfish" not in said


async def test_a_program_that_fails_is_an_error_with_its_last_words(site: Site) -> None:
    trial = Trial()
    for _ in range(2):  # it has ended, so it may be tried again
        with pytest.raises(StepError, match="ended with code 1: no such disk"):
            await command(site, "echo no such disk; exit 1").run(trial)


async def test_a_program_that_hangs_is_killed_with_all_it_started(site: Site, tmp_path: Path) -> None:
    note = tmp_path / "pids"
    step = command(site, f"sleep 60 & echo $! $$ >{note}; wait", seconds=3)
    with pytest.raises(StepError, match=r"killed after 3(\.0)? s"):
        await step.run()
    await gone(note)


async def gone(note: Path) -> None:
    """All processes that were noted have ended."""
    async with asyncio.timeout(30):
        for pid in note.read_text().split():
            while runs(pid):  # noqa: ASYNC110 - no bell rings
                await asyncio.sleep(0.02)


def runs(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("pause", [0.0, 0.5])
async def test_a_cancelled_step_leaves_nothing_running(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """Nor when it is cancelled while its program starts (`pause`: that takes so long after it has begun to work)."""
    note, start = tmp_path / "pids", asyncio.create_subprocess_exec

    async def written() -> None:
        while not note.exists() or not note.read_text():  # noqa: ASYNC110 - no bell rings
            await asyncio.sleep(0.02)

    async def slowly(*words: str, **more: Any) -> asyncio.subprocess.Process:
        process = await start(*words, **more)
        await written()
        await asyncio.sleep(pause)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slowly)
    working = asyncio.create_task(command(site, f"sleep 600 & echo $! $$ >{note}; wait").run())
    await written()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await gone(note)


async def test_what_a_killed_agent_left_running_is_ended_before_it_is_run_again(
    site: Site, tmp_path: Path
) -> None:
    note = tmp_path / "pids"
    words, trial = f"echo $$ >>{note}; sleep 600", Trial()
    step = command(site, words, repeatable=True, seconds=300)
    working = asyncio.create_task(step.run(trial))
    while not note.exists() or not trial.saved.get("process"):  # noqa: ASYNC110 - no bell rings
        await asyncio.sleep(0.02)
    left, brief = trial.saved, command(site, words, repeatable=True, seconds=3)
    with pytest.raises(StepError):  # killed when its own time is over; the first one at once
        await brief.run(Trial(left))
    with pytest.raises(StepError, match=f"code -{signal.SIGKILL}"):
        await working
    assert len(note.read_text().split()) == 2

    once = command(site, f"echo $$ >>{note}")
    with pytest.raises(StepError, match="nobody knows how far it came"):
        await once.run(Trial(left))
    assert len(note.read_text().split()) == 2


async def test_only_programs_of_the_operators_list_run(site: Site) -> None:
    step = Step(site, "command.run", command=["/bin/echo", "hello"])
    assert await step.stands_in_the_way() == ["command_allowed"]
    with pytest.raises(StepError, match="not named in TILL_COMMANDS"):
        await step.run()
    missing = Step(site, "command.run", command=["/no/such/program"])
    assert await missing.stands_in_the_way() == ["command_allowed", "command_there"]
