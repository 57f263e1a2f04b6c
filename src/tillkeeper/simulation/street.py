"""The city lives: intents are carried out when their time has come, until somebody stops it."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from tillkeeper.simulation.acts import Intent
from tillkeeper.simulation.client import Api, Unanswered
from tillkeeper.simulation.deeds import Deeds
from tillkeeper.simulation.journal import MOST_KEPT
from tillkeeper.simulation.roll import Roll

LABEL_DELAY_SECONDS: Final = 8.0
# Beyond so many unanswered requests the city waits, and a delay of so many seconds is not caught up:
# a platform that was away must not be met by everything it missed.
MOST_IN_FLIGHT: Final = 256
FORGIVEN_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.25


class Street:
    """One run of the city against one platform."""

    def __init__(self, api: Api, roll: Roll, label_delay: float = LABEL_DELAY_SECONDS) -> None:
        self.api = api
        self.asleep = asyncio.Event()
        self.deeds = Deeds(api, roll, self._pause, self._note_fraud)
        self._key = roll.key
        self._label_delay = label_delay
        self._labels: deque[tuple[float, str]] = deque()
        self._start = 0.0

    def stop(self) -> None:
        """Begin nothing new; what is on its way ends."""
        self.asleep.set()

    async def live(self, intents: Iterable[Intent], seconds: float | None = None) -> None:
        """Carry out intents for so many seconds, or until stop(); returns when the last answer is there."""
        now = self.api.clock.monotonic
        self._start = begin = now()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_books())
            for intent in intents:
                if seconds is not None and max(intent.at, now() - begin) >= seconds:
                    break
                if not await self._turn_of(intent):
                    break
                group.create_task(self.deeds.carry_out(intent))
            self.stop()

    async def _turn_of(self, intent: Intent) -> bool:
        """Wait for the intent's time. False when the city falls asleep first."""
        while self.api.in_flight >= MOST_IN_FLIGHT:
            if not await self._pause(_LOOK_SECONDS):
                return False
        late = self.api.clock.monotonic() - self._start - intent.at
        if late > FORGIVEN_SECONDS:
            self._start += late
        return await self._pause(max(-late, 0.0))

    async def _pause(self, seconds: float) -> bool:
        if self.asleep.is_set():
            return False
        if seconds <= 0:
            await asyncio.sleep(0)
            return True
        try:
            async with asyncio.timeout(seconds):
                await self.asleep.wait()
        except TimeoutError:
            return True
        return False

    def _note_fraud(self, payment: str) -> None:
        self._labels.append((self.api.clock.monotonic() + self._label_delay, payment))

    async def _keep_books(self) -> None:
        """Report frauds when their owners notice them; at the end all that are left. Keep the journal small."""
        awake = True
        while awake:
            awake = await self._pause(_LOOK_SECONDS)
            now = self.api.clock.monotonic()
            while self._labels and (self._labels[0][0] <= now or not awake):
                await self._report(self._labels.popleft()[1])
            if len(self.deeds.journal.kept) > MOST_KEPT:
                await self.deeds.journal.settle(self.api)

    async def _report(self, payment: str) -> None:
        try:
            reply = await self.api.post("/v1/fraud-reports", {"payment": payment, "fraud": True}, self._key())
        except Unanswered:
            self.deeds.tally.unanswered += 1
            return
        self.deeds.tally.besides["fraud report" if reply.done else "fraud report refused"] += 1
