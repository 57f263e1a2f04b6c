"""A bank for trying things out: it answers late, twice, never, or no, and keeps its own books of what it did.

It runs in our process but shares nothing with us: its journal is its own file, its notices come when it likes,
and after a crash of ours it knows what it knew.
"""

import asyncio
import logging
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base.clock import Clock, to_us
from tillkeeper.payments.rails.types import Listener, Notice, RailAnswer, RailAttempt

log = logging.getLogger(__name__)

SANDBOX: Final = "sandbox"
"""The name by which attempts ask for this bank."""

Behaviour = Literal["prompt", "late", "twice", "no", "never", "silent"]
_CHUNK: Final = 1 << 20
INSTRUCTIONS: Final[tuple[Behaviour, ...]] = ("late", "twice", "no", "never", "silent")


class Habits(msgspec.Struct, frozen=True):
    """How often the bank misbehaves when no instruction says how (shares of one), and its speeds in seconds.

    late: decides after `late_seconds`. twice: sends its notice twice. no: rejects. never: the order is lost on
    the way. silent: carries the order out and never says a word, not even when asked.
    """

    late: float = 0.0
    twice: float = 0.0
    no: float = 0.0
    never: float = 0.0
    silent: float = 0.0
    answer_seconds: float = 0.01
    late_seconds: float = 2.0


class Entry(msgspec.Struct, frozen=True):
    """A line of the bank's journal. `at_us` is when the decision stands (late: in the future), UTC microseconds.

    did: accepted (the money moved), rejected, or unheard (asked about an order it never had, so it will refuse it).
    """

    id: UUID
    did: Literal["accepted", "rejected", "unheard"]
    at_us: int
    direction: str = ""
    amount: int = 0
    currency: str = ""
    behaviour: Behaviour = "prompt"


class SandboxBank:
    """The bank. Without a journal file it forgets everything at the end of the process."""

    def __init__(
        self, clock: Clock, journal: Path | None = None, habits: Habits | None = None, seed: int = 0
    ) -> None:
        self._clock = clock
        self._habits = habits or Habits()
        self._seed = seed
        self._journal = _Journal(journal)
        self._listener: Listener | None = None
        self._notices: set[asyncio.Task[None]] = set()

    def listen(self, listener: Listener) -> None:
        """Send notices there."""
        self._listener = listener

    def journal(self) -> Sequence[Entry]:
        """What the bank did, in order: one entry per order, however often it was submitted."""
        return self._journal.entries()

    async def close(self) -> None:
        """Let notices not yet sent be lost, as in a crash, and close the journal."""
        for task in self._notices:
            task.cancel()
        await asyncio.gather(*self._notices, return_exceptions=True)
        self._journal.close()

    async def submit(self, attempt: RailAttempt) -> RailAnswer:
        """Carry an order out, once. See Rail.submit; for `never` and `silent` this waits for ever."""
        behaviour = self._behaviour(attempt)
        await asyncio.sleep(self._habits.answer_seconds)
        entry = self._journal.find(attempt.id)
        if entry is None and behaviour != "never":
            entry = self._carry_out(attempt, behaviour)
        if entry is None or behaviour == "silent":
            await asyncio.Event().wait()
        assert entry is not None
        return self._answer(entry)

    async def query(self, attempt: UUID) -> RailAnswer:
        """What became of an order. See Rail.query; for `silent` this waits for ever."""
        await asyncio.sleep(self._habits.answer_seconds)
        entry = self._journal.find(attempt)
        if entry is None:
            entry = self._journal.write(Entry(attempt, "unheard", to_us(self._clock.now())))
        if entry.did == "unheard":
            return RailAnswer("unknown", "no such order")
        if entry.behaviour == "silent":
            await asyncio.Event().wait()
        return self._answer(entry)

    def _behaviour(self, attempt: RailAttempt) -> Behaviour:
        for name in INSTRUCTIONS:
            if attempt.instruction == name:
                return name
        draw = random.Random(f"{self._seed}:{attempt.id}").random()  # noqa: S311 - a seeded sandbox
        for name in INSTRUCTIONS:
            draw -= getattr(self._habits, name)
            if draw < 0:
                return name
        return "prompt"

    def _carry_out(self, attempt: RailAttempt, behaviour: Behaviour) -> Entry:
        delay = self._habits.late_seconds if behaviour == "late" else 0.0
        entry = Entry(
            attempt.id,
            "rejected" if behaviour == "no" else "accepted",
            to_us(self._clock.now()) + round(delay * 1_000_000),
            attempt.direction,
            attempt.amount,
            attempt.currency,
            behaviour,
        )
        entry = self._journal.write(entry)
        times = {"late": 1, "twice": 2}.get(behaviour, 0)
        if times:
            self._start_notice(entry, times, delay + self._habits.answer_seconds)
        return entry

    def _answer(self, entry: Entry) -> RailAnswer:
        if entry.did == "accepted" and to_us(self._clock.now()) < entry.at_us:
            return RailAnswer("pending", "the order is being looked at")
        return _WORDS[entry.did]

    def _start_notice(self, entry: Entry, times: int, delay: float) -> None:
        task = asyncio.create_task(self._notify(entry, times, delay))
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    async def _notify(self, entry: Entry, times: int, delay: float) -> None:
        for _ in range(times):
            await asyncio.sleep(delay)
            if self._listener is None:
                continue
            try:
                await self._listener(Notice(entry.id, entry.did == "accepted", _WORDS[entry.did].text))
            except Exception:  # noqa: BLE001 - whatever the receiver does is not the bank's trouble
                log.warning("a notice on %s was not taken", entry.id)


_WORDS: Final = {
    "accepted": RailAnswer("accepted", "done"),
    "rejected": RailAnswer("rejected", "the account holder's bank declined"),
    "unheard": RailAnswer("rejected", "refused: the order was asked about before it came"),
}


class _Journal:
    """Lines of JSON in the bank's own file, read on from where it last stood: another process may have written."""

    def __init__(self, path: Path | None) -> None:
        self._known: dict[UUID, Entry] = {}
        self._read_to = 0
        self._rest = b""
        self._file = path.open("a+b", buffering=0) if path else None

    def find(self, attempt: UUID) -> Entry | None:
        self._catch_up()
        return self._known.get(attempt)

    def entries(self) -> list[Entry]:
        self._catch_up()
        return list(self._known.values())

    def write(self, entry: Entry) -> Entry:
        """Add an entry, unless the order has one; the one that stands."""
        if self._file is None:
            return self._known.setdefault(entry.id, entry)
        # One write of whole lines; a line that a crash cut short is closed by the next one's newline.
        self._file.write(b"\n" + msgspec.json.encode(entry) + b"\n")
        self._catch_up()
        return self._known[entry.id]

    def close(self) -> None:
        if self._file:
            self._file.close()

    def _catch_up(self) -> None:
        while self._file and (more := os.pread(self._file.fileno(), _CHUNK, self._read_to)):
            self._read_to += len(more)
            *lines, self._rest = (self._rest + more).split(b"\n")
            for line in lines:
                try:
                    entry = msgspec.json.decode(line, type=Entry)
                except msgspec.DecodeError:
                    continue
                self._known.setdefault(entry.id, entry)
