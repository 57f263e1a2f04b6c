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
from tillkeeper.risk.types import Attempt, Batch, halves

# Zeroed memory costs nothing until it is used, so there is room for many from the beginning: copying it to twice its
# size would hold up a turn. Where the machine does not give so much, it is less.
FIRST_EVENTS: Final = 1 << 24
FEWEST_EVENTS: Final = 1 << 16
FIRST_PROFILES: Final = 1 << 20
FIRST_ENTRIES: Final = 1 << 18
ENTRIES_PER_EVENT: Final = windows.BY_ID + 1
WATERMARK_BLOCK: Final = 8192
"""The horizon of forgetting follows the oldest event time among the last one to two blocks of arrivals, so that a replay
of an old file and live payments may mix."""
LATENESS_US: Final = windows.DAY
"""How far an attempt may lie behind the recent ones and still find all of its past remembered."""
MOST: Final = 2**62
"""An amount above this over the reference currency's units counts as this: what is computed stays within 64 bits."""
SWEPT_PER_PAYMENT: Final = 4
"""Idle profiles are looked for a few at a time, so that no turn pays for all."""

_HOUR: Final = FEATURES["hour"].index
_IS_SEND: Final = FEATURES["is_send"].index
_IS_WITHDRAWAL: Final = FEATURES["is_withdrawal"].index
_WATCHED: Final = [FEATURES[f"{kind}_watched"].index for kind in KINDS]


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
            _zeroed(FIRST_EVENTS, windows.EVENT),
            _zeroed(FIRST_PROFILES, windows.PROFILE),
            np.full(FIRST_ENTRIES, windows.NONE, np.int64),
            np.array([windows.NONE, 0, 0, 0], np.int64),
        )
        self._next_table: NDArray[np.int64] | None = None
        self._cleared = 0
        self._numbers: tuple[dict[Any, int], ...] = ({}, {}, {}, {})
        self._keys: list[Any] = []
        self._unused: list[int] = []
        self._swept = 0
        self._arrived = 0
        self._oldest = [2**62, 2**62]

    def observe(self, attempts: Batch | Sequence[Attempt]) -> NDArray[np.float64]:
        """Take a turn in, in the order given; one row per attempt in the order of FEATURES."""
        batch = attempts if isinstance(attempts, Batch) else Batch.of(attempts)
        turn = self._turn(batch)
        n = len(batch)
        self._make_room(n)
        matrix = np.full((n, len(FEATURES)), np.nan)
        matrix[:, _HOUR : _HOUR + 3] = hour_night_weekend(turn.at, self._zone)
        matrix[:, _IS_SEND] = [kind == "send" for kind in batch.kinds]
        matrix[:, _IS_WITHDRAWAL] = [kind == "withdrawal" for kind in batch.kinds]
        matrix[:, _WATCHED] = 0.0
        windows.observe(self._pool, turn, matrix)
        self._forget(turn.at)
        return matrix

    def learn(self, payment: UUID, *, fraud: bool) -> bool:
        """Count a payment as fraud, or not, from now on. False when it is not (or no longer) remembered."""
        high, low = halves([payment])[0].tolist()
        return bool(windows.learn(self._pool, high, low, int(fraud)))

    def counts(self) -> dict[str, int]:
        """How many profiles of each kind and how many payments are remembered, and the bytes used in the arrays."""
        kinds = self._pool.profiles["kind"][: len(self._keys)]
        found = {kind: int((kinds == number).sum()) for number, kind in enumerate(KINDS)}
        found["payments"] = int(self._pool.counters[windows.LIVE])
        found["bytes"] = (
            int(self._pool.counters[windows.USED]) * windows.EVENT.itemsize
            + len(self._keys) * windows.PROFILE.itemsize
            + self._pool.table.nbytes
        )
        return found

    def _turn(self, batch: Batch) -> windows.Turn:
        number = self._number
        payees = self._numbers[windows.PAYEE]
        who: list[int] = []
        columns = (batch.customers, batch.payees, batch.devices, batch.ips)
        for customer, payee, device, ip in zip(*columns, strict=True):
            who += (
                number(windows.CUSTOMER, customer),
                number(windows.PAYEE, payee),
                windows.NONE if device is None else number(windows.DEVICE, device),
                windows.NONE if ip is None else number(windows.IP, ip),
                payees.get(customer, windows.NONE),
            )
        return windows.Turn(
            batch.at_us, self._amounts(batch), np.array(who, np.int32).reshape(-1, 5), batch.ids, batch.places
        )

    def _amounts(self, batch: Batch) -> NDArray[np.int64]:
        """In minor units of the reference currency, at most what the windows hold."""
        worth, other = self._worth, self._other
        rates = np.array([worth.get(currency, other) for currency in batch.currencies], np.int64)
        within = np.clip(batch.amounts, 0, MOST // self._unit)
        amounts: NDArray[np.int64] = np.minimum(within * self._unit // rates, windows.AMOUNT_LIMIT - 1)
        return amounts

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
        while self._pool.counters[windows.LIVE] + n > len(self._pool.events):
            if len(self._pool.events) * 2 > windows.MAX_EVENTS:
                raise MemoryError(f"more than {windows.MAX_EVENTS // 2} payments within the risk memory")
            self._pool = self._pool._replace(events=_doubled(self._pool.events))
        entries, coming = int(self._pool.counters[windows.ENTRIES]), ENTRIES_PER_EVENT * n
        if entries * 8 > len(self._pool.table) * 3:
            self._prepare_table(16 * coming)
        while (entries + coming) * 2 > len(self._pool.table):
            self._grow_table()

    def _prepare_table(self, slots: int) -> None:
        """Clear the next table bit by bit, from three eighths full on, so that the turn that moves only moves."""
        if self._next_table is None:
            self._next_table, self._cleared = np.empty(2 * len(self._pool.table), np.int64), 0
        self._next_table[self._cleared : self._cleared + slots] = windows.NONE
        self._cleared += slots

    def _grow_table(self) -> None:
        self._prepare_table(2 * len(self._pool.table))
        assert self._next_table is not None
        windows.refill(self._pool.table, self._next_table)
        self._pool = self._pool._replace(table=self._next_table)
        self._next_table = None

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


def _zeroed(count: int, kind: np.dtype[Any]) -> NDArray[Any]:
    while True:
        try:
            return np.zeros(count, kind)
        except MemoryError:
            if count <= FEWEST_EVENTS:
                raise
            count //= 2


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    larger = np.zeros(2 * len(array), array.dtype)
    # As bytes: NumPy copies records field by field, 35 times slower.
    larger.view(np.uint8)[: array.nbytes] = array.view(np.uint8)
    return larger
