"""A walk in a process of its own, so that windows and what is made of their values are computed side by side."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.features import FEATURES, Catalogue
from tillkeeper.risk.history.types import HistoryError, Seen, Stretch
from tillkeeper.risk.history.walk import Walk
from tillkeeper.risk.rules import RuleSet

AHEAD: Final = 2
"""Stretches under way: the walk works on one while the values of the one before are judged."""


class Apart:
    """A walk in another process. What it is given and gives back goes through a pipe, a few megabytes at a time."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    @classmethod
    @asynccontextmanager
    async def walk(
        cls,
        rules: RuleSet,
        zone: ZoneInfo,
        features: Sequence[str],
        catalogue: Catalogue = FEATURES,
        beside: Sequence[str] = (),
    ) -> AsyncIterator["Apart"]:
        """Begin it; at the end of the block it is gone. Arguments as of Walk.of."""
        ours, theirs = multiprocessing.Pipe()
        spawned = multiprocessing.get_context("spawn")
        worth = (rules.source, rules.reference, rules.worth, rules.other)
        process = spawned.Process(
            target=_serve,
            args=(theirs, worth, zone.key, tuple(features), catalogue, tuple(beside)),
            daemon=True,
        )
        await asyncio.to_thread(process.start)
        theirs.close()
        try:
            yield cls(ours)
        finally:
            process.terminate()
            ours.close()
            await asyncio.to_thread(process.join)

    async def through(self, stretches: AsyncIterator[Stretch]) -> AsyncIterator[Seen]:
        """Each stretch with its values. Raises HistoryError where the other process ended."""
        sent: asyncio.Queue[Stretch | None] = asyncio.Queue(AHEAD)
        sending = asyncio.ensure_future(self._send(stretches, sent))
        try:
            while (stretch := await sent.get()) is not None:
                values, beside = await asyncio.to_thread(self._values)
                yield Seen(values, stretch, beside)
            await sending
        finally:
            sending.cancel()

    async def _send(self, stretches: AsyncIterator[Stretch], sent: asyncio.Queue[Stretch | None]) -> None:
        """In a task of its own: each side writes while the other does, and neither may wait to be read."""
        try:
            async for stretch in stretches:
                await sent.put(stretch)
                await asyncio.to_thread(self._pipe.send, stretch)
        except Exception:
            await sent.put(None)
            raise
        await sent.put(None)

    def _values(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        try:
            found: tuple[NDArray[np.float64], NDArray[np.float64]] | Exception = self._pipe.recv()
        except (EOFError, OSError) as error:
            said = "the process that computes features ended"
            raise HistoryError(said, "is there memory enough? take a shorter range") from error
        if isinstance(found, Exception):
            raise found
        return found


def _serve(
    pipe: Connection,
    worth: tuple[Any, ...],
    zone: str,
    features: tuple[str, ...],
    catalogue: Catalogue,
    beside: tuple[str, ...],
) -> None:
    """The other process: stretches in, values out, until the pipe is closed."""
    source, reference, rates, other = worth
    rules = RuleSet(source, reference, rates, other, (), ())
    walk = Walk.of(rules, ZoneInfo(zone), features, catalogue, beside)
    while True:
        try:
            stretch = pipe.recv()
        except EOFError:
            return
        try:
            seen = walk.take(stretch)
            pipe.send((seen.values, seen.beside))
        except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
            pipe.send(error)
            return
