"""The demo's two people, and what they do alike in both of its tours: call commands, sign in, agree to what the other asked."""

import asyncio
import sys
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from tillkeeper import access
from tillkeeper.access import Session
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.store import Store

AUTHOR: Final = "you"
COLLEAGUE: Final = "colleague"
_CHILD_SECONDS: Final = 600.0

T = TypeVar("T")


class TourError(Exception):
    """A tour cannot go on. The message says where, and why."""


async def command(*arguments: str) -> Any:
    """What a command of ours said, as a process of its own. Raises TourError."""
    line = [sys.executable, "-m", "tillkeeper", *arguments, "--json"]
    child = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(_CHILD_SECONDS):
            out, err = await child.communicate()
    except TimeoutError:
        raise TourError(f"till {' '.join(arguments)} did not end within {_CHILD_SECONDS:g} s") from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode != 0:
        raise TourError(f"till {' '.join(arguments)}: {(err or out).decode().strip()[-500:]}")
    return msgspec.json.decode(out)


class Pair:
    """Somebody who asks, and a colleague who agrees."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def sign_in(self, person: str) -> Session:
        """Somebody of the team comes in by a link."""
        async with self._store.tx("tour signs in") as tx:
            token = await access.sign_in_link(tx, person, self._clock, actor="till demo")
            return granted(await access.open_session(tx, token, self._clock)).session

    async def agree(self, deed: access.approvals.Deed, about: str) -> None:
        """The colleague signs in by a link, agrees to what waits about a thing, and signs out. Raises TourError."""
        kinds = access.approvals.deeds(deed)
        async with self._store.tx("tour colleague") as tx:
            waiting = await access.approvals.open_about(tx, deed.name, [about], self._clock)
        if (asked := waiting.get(about)) is None:
            raise TourError(f"nobody was asked to agree to {about}: see Four eyes in the console")
        session = await self.sign_in(COLLEAGUE)
        async with self._store.tx("tour agreement") as tx:
            granted(
                await access.approvals.decide(
                    tx, kinds, asked.id, asked.digest, session, self._clock, give=True
                )
            )
        granted(await access.approvals.carry_out(self._store, kinds, asked.id, self._clock))
        async with self._store.tx("tour colleague leaves") as tx:
            await access.end_session(tx, session.id, self._clock, actor=COLLEAGUE)


def granted(answer: T | Refusal) -> T:
    """What was asked for. Raises TourError."""
    if isinstance(answer, Refusal):
        raise TourError(str(Refused(answer)))
    return answer
