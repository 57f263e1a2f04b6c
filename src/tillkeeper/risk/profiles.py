"""The profiles of all customers, payees, devices and ip addresses: who is who, and room for the windows."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tillkeeper.base.money import exponent
from tillkeeper.risk import windows
from tillkeeper.risk.daytime import hour_night_weekend
from tillkeeper.risk.features import FEATURES, KINDS
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Attempt

# Zeroed memory costs nothing until it is used, so there is room from the beginning; later each array doubles.
FIRST_EVENTS: Final = 1 << 18
FIRST_PROFILES: Final = 1 << 14
ENTRIES_PER_EVENT: Final = windows.BY_ID + 1
WATERMARK_BLOCK: Final = 8192
"""The horizon of forgetting follows the oldest event time among the last one to two blocks of arrivals, so that a replay
of an old file and live payments may mix."""
LATENESS_US: Final = windows.DAY
"""How far an attempt may lie behind the recent ones and still find all of its past remembered."""
SWEPT_PER_PAYMENT: Final = 4
"""Idle profiles are looked for a few at a time, so that no turn pays for all."""

_HOUR: Final = FEATURES["hour"].index
_IS_SEND: Final = FEATURES["is_send"].index


class Profiles:
    """Exact sliding windows over everything that happened within windows.MEMORY.

    Not for use by several threads. An attempt older than the newest one of a profile counts there as happening at that
    newest time. An attempt that lies more than LATENESS_US behind all of the last WATERMARK_BLOCK arrivals
    may find a part of its past forgotten.
    """

    def __init__(self, rules: RuleSet, zone: ZoneInfo) -> None:
        self._worth = rules.worth
        self._other = rules.other
        self._unit = 10 ** exponent(rules.reference)
        self._zone = zone
        self._pool = windows.Pool(
            np.zeros(FIRST_EVENTS, windows.EVENT),
            np.zeros(FIRST_PROFILES, windows.PROFILE),
            np.full(FIRST_EVENTS * 2, windows.NONE, np.int64),
            np.array([windows.NONE, 0, 0, 0], np.int64),
        )
        self._numbers: tuple[dict[Any, int], ...] = ({}, {}, {}, {})
        self._keys: list[Any] = []
        self._unused: list[int] = []
        self._swept = 0
        self._arrived = 0
        self._oldest = [2**62, 2**62]

    def observe(self, attempts: Sequence[Attempt]) -> NDArray[np.float64]:
        """Take a turn in, in the order given; one row per attempt in the order of FEATURES."""
        turn = self._turn(attempts)
        n = len(attempts)
        self._make_room(n)
        matrix = np.empty((n, len(FEATURES)))
        matrix[:, _HOUR : _HOUR + 3] = hour_night_weekend(turn.at, self._zone)
        matrix[:, _IS_SEND] = [attempt.kind == "send" for attempt in attempts]
        windows.observe(self._pool, turn, matrix)
        self._forget(turn.at)
        return matrix

    def learn(self, payment: UUID, *, fraud: bool) -> bool:
        """Count a payment as fraud, or not, from now on. False when it is not (or no longer) remembered."""
        high, low = _halves([payment])[0].tolist()
        return bool(windows.learn(self._pool, high, low, int(fraud)))

    def counts(self) -> dict[str, int]:
        """How many profiles of each kind and how many payments are remembered, and the bytes of the arrays."""
        kinds = self._pool.profiles["kind"][: len(self._keys)]
        found = {kind: int((kinds == number).sum()) for number, kind in enumerate(KINDS)}
        found["payments"] = int(self._pool.counters[windows.LIVE])
        found["bytes"] = sum(array.nbytes for array in self._pool)
        return found

    def _turn(self, attempts: Sequence[Attempt]) -> windows.Turn:
        numbers = self._numbers
        number = self._number
        payees = numbers[windows.PAYEE]
        who: list[int] = []
        for one in attempts:
            customer = one.customer.int
            payee = one.payee.int
            who += (
                number(windows.CUSTOMER, customer),
                number(windows.PAYEE, payee),
                windows.NONE if one.device is None else number(windows.DEVICE, one.device),
                windows.NONE if one.ip is None else number(windows.IP, one.ip),
                payees.get(customer, windows.NONE),
            )
        unit, worth, other, most = self._unit, self._worth, self._other, windows.AMOUNT_LIMIT - 1
        return windows.Turn(
            np.array([one.at_us for one in attempts], np.int64),
            np.array(
                [min(one.amount * unit // worth.get(one.currency, other), most) for one in attempts], np.int64
            ),
            np.array(who, np.int32).reshape(-1, 5),
            _halves([one.id for one in attempts]),
            np.array([(one.latitude, one.longitude) for one in attempts], np.float64),
        )

    def _number(self, kind: int, key: Any) -> int:
        found = self._numbers[kind].get(key)
        if found is not None:
            return found
        if self._unused:
            number = self._unused.pop()
            self._keys[number] = key
        else:
            number = len(self._keys)
            self._keys.append(key)
            if number == len(self._pool.profiles):
                self._pool = self._pool._replace(profiles=_doubled(self._pool.profiles))
        self._pool.profiles[number] = _BLANK
        self._pool.profiles[number]["kind"] = kind
        self._numbers[kind][key] = number
        return number

    def _make_room(self, n: int) -> None:
        table, counters = self._pool.table, self._pool.counters
        while counters[windows.LIVE] + n > len(self._pool.events):
            self._pool = self._pool._replace(events=_doubled(self._pool.events))
            if len(self._pool.events) > windows.MAX_EVENTS:
                raise MemoryError(f"more than {windows.MAX_EVENTS} payments within the risk memory")
        size = len(table)
        while (counters[windows.ENTRIES] + ENTRIES_PER_EVENT * n) * 2 > size:
            size *= 2
        if size > len(table):
            fuller = np.full(size, windows.NONE, np.int64)
            windows.refill(table, fuller)
            self._pool = self._pool._replace(table=fuller)

    def _forget(self, at: NDArray[np.int64]) -> None:
        """Free what nothing can ask for any more: a few profiles at a time, round and round."""
        self._arrived += len(at)
        self._oldest[1] = min(self._oldest[1], int(at.min()))
        horizon = min(self._oldest) - windows.MEMORY - LATENESS_US
        if self._arrived >= WATERMARK_BLOCK:
            self._arrived = 0
            self._oldest = [self._oldest[1], 2**62]
        begin = self._swept
        end = min(begin + SWEPT_PER_PAYMENT * len(at), len(self._keys))
        self._swept = 0 if end == len(self._keys) else end
        idle = np.empty(end - begin, np.int64)
        found = windows.sweep(self._pool, np.arange(begin, end, dtype=np.int32), horizon, idle)
        for packed in idle[:found].tolist():
            number, kind = divmod(packed, len(KINDS))
            del self._numbers[kind][self._keys[number]]
            self._keys[number] = None
            self._unused.append(number)


def _blank_profile() -> NDArray[Any]:
    blank = np.zeros((), windows.PROFILE)
    for link in ("tail", "peak", "last", "kind", "entering", "settled_tail"):
        blank[link] = windows.NONE
    blank["now"] = blank["placed_at"] = windows.LONG_AGO
    return blank


_BLANK: Final = _blank_profile()


def _halves(ids: Sequence[UUID]) -> NDArray[np.int64]:
    """UUIDs as two signed 64-bit halves each."""
    return np.frombuffer(b"".join([one.bytes for one in ids]), ">i8").astype(np.int64).reshape(-1, 2)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    larger = np.zeros(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger
