"""The profiles of all customers, payees, devices and ip addresses: who is who, and room for the windows."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tillkeeper.base.money import exponent
from tillkeeper.risk import series, windows
from tillkeeper.risk.arrays import longer, zeroed
from tillkeeper.risk.daytime import hour_weekday
from tillkeeper.risk.declarations import EVENTS, SCORE_SCALE
from tillkeeper.risk.features import FEATURES, KINDS, Catalogue
from tillkeeper.risk.kept import Kept, Rows
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Attempt, Batch, Event, halves

# Zeroed memory costs nothing until it is used, so there is room for many from the beginning: copying it to twice its
# size would hold up a turn. Where the machine does not give so much, it is less.
FIRST_EVENTS: Final = 1 << 24
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
SWEPT_PER_ARRIVAL: Final = 5
"""Idle profiles are looked for a few at a time, so that no turn pays for all."""

_WATCHED: Final = [FEATURES[f"{kind}_watched"].index for kind in KINDS]


class Profiles:
    """Exact sliding windows over everything that happened within windows.MEMORY.

    Not for use by several threads. An attempt older than the newest one of a profile counts there as happening at that
    newest time. An attempt that lies more than LATENESS_US behind all of the last WATERMARK_BLOCK arrivals
    may find a part of its past forgotten.

    `wanted`: features that will be read; others that would need state of their own are left NaN. All, if it is None.
    """

    def __init__(
        self,
        rules: RuleSet,
        zone: ZoneInfo,
        catalogue: Catalogue = FEATURES,
        wanted: frozenset[str] | None = None,
    ) -> None:
        self.catalogue = catalogue
        self._unknown = np.full(len(catalogue), np.nan)
        self._unknown[_WATCHED] = 0.0
        self._worth = rules.worth
        self._other = rules.other
        self._unit = 10 ** exponent(rules.reference)
        self._zone = zone
        self._pool = windows.Pool(
            zeroed(FIRST_EVENTS, windows.EVENT),
            zeroed(FIRST_PROFILES, windows.PROFILE),
            np.full(FIRST_ENTRIES, windows.NONE, np.int64),
            np.array([windows.NONE, 0, 0, 0], np.int64),
        )
        self._next_table: NDArray[np.int64] | None = None
        self._cleared = 0
        self._codes: dict[tuple[str, str], int] = {}
        self._kept = Kept(catalogue, self._code, wanted)
        self._numbers: tuple[dict[Any, int], ...] = ({}, {}, {}, {}, {})
        self._keys: list[Any] = []
        self._unused: list[int] = []
        self._swept = 0
        self._arrived = 0
        self._oldest = [2**62, 2**62]

    def observe(self, attempts: Batch | Sequence[Attempt]) -> NDArray[np.float64]:
        """Take a turn in, in the order given; one row per attempt in the order of the catalogue."""
        batch = attempts if isinstance(attempts, Batch) else Batch.of(attempts)
        turn = self._turn(batch)
        n = len(batch)
        self._make_room(n)
        matrix = np.empty((n, len(self.catalogue)))
        matrix[:] = self._unknown
        windows.observe(self._pool, turn, matrix)
        self._kept.take(self._payment_rows(batch, turn, matrix), matrix, *self._numbers_given())
        self._forget(turn.at)
        return matrix

    def observe_events(self, events: Sequence[Event]) -> NDArray[np.float64]:
        """Take logins and changes of settings in, in the order given; one row per event.

        Of a row, what is counted over logins and settings is known, and the values over that; the rest is NaN.
        """
        number = self._number
        who = np.array(
            [
                (
                    number(windows.CUSTOMER, one.customer.int),
                    windows.NONE if one.device is None else number(windows.DEVICE, one.device),
                    windows.NONE if one.ip is None else number(windows.IP, one.ip),
                    windows.NONE if one.network is None else number(windows.NETWORK, one.network),
                )
                for one in events
            ],
            np.int32,
        ).reshape(-1, 4)
        at = np.array([one.at_us for one in events], np.int64)
        seen = np.empty((len(events), 4), np.int64)
        series.witness(self._pool.profiles, at, who, seen)
        matrix = np.full((len(events), len(self.catalogue)), np.nan)
        if len(events):
            self._kept.take(self._event_rows(events, at, who, seen), matrix, *self._numbers_given())
            self._forget(at)
        return matrix

    def _payment_rows(self, batch: Batch, turn: windows.Turn, matrix: NDArray[np.float64]) -> Rows:
        own: dict[str, NDArray[Any]] = {"amount": turn.amount, "late_s": matrix[:, windows.LATE]}
        if self._kept.reads & {"hour", "weekday"}:
            own["hour"], own["weekday"] = hour_weekday(turn.at, self._zone)
        if "kind" in self._kept.reads:
            own["kind"] = np.array([self._code("kind", one) for one in batch.kinds], np.float64)
        columns = {**own, **{f"this_{name}": column for name, column in own.items()}}
        columns["ratio"] = matrix[:, windows.RATIO]
        return Rows(
            who=turn.who,
            times=turn.times,
            events=turn.event,
            is_event={"payment": np.ones(len(batch), np.bool_)},
            columns=columns,
        )

    def _event_rows(
        self, events: Sequence[Event], at: NDArray[np.int64], who: NDArray[np.int32], seen: NDArray[np.int64]
    ) -> Rows:
        hour, weekday = hour_weekday(at, self._zone)
        nothing = np.full(len(events), np.nan)
        columns = {
            "hour": hour,
            "weekday": weekday,
            "succeeded": np.array([one.succeeded for one in events], np.float64),
            "score": np.rint(np.array([one.score for one in events]) * SCORE_SCALE) / SCORE_SCALE,
            "country": np.array([self._code("country", one.country) for one in events], np.float64),
            "kind": np.array([self._code("kind", one.kind) for one in events], np.float64),
            "this_amount": nothing, "this_late_s": nothing, "this_kind": nothing, "this_hour": hour,
            "this_weekday": weekday,
        }  # fmt: skip
        return Rows(
            who=who,
            times=seen,
            events=np.full(len(events), windows.NONE, np.int32),
            is_event={name: np.array([one.event == name for one in events], np.bool_) for name in EVENTS[1:]},
            columns=columns,
        )

    def _code(self, column: str, text: str) -> int:
        """A number that stands for a text."""
        return self._codes.setdefault((column.removeprefix("this_"), text), len(self._codes))

    def _numbers_given(self) -> tuple[int, int]:
        return len(self._pool.profiles), len(self._pool.events)

    def learn(self, payment: UUID, *, fraud: bool) -> bool:
        """Count a payment as fraud, or not, from now on. False when it is not (or no longer) remembered."""
        high, low = halves([payment])[0].tolist()
        event = int(windows.learn(self._pool, high, low, int(fraud)))
        if event >= 0:
            self._kept.learn(event, self._pool.events[event]["who"], fraud=fraud)
        return event >= 0

    def counts(self) -> dict[str, int]:
        """How many profiles of each kind and how many payments are remembered, and the bytes used in the arrays."""
        kinds = self._pool.profiles["kind"][: len(self._keys)]
        found = {kind: int((kinds == number).sum()) for number, kind in enumerate(KINDS)}
        found["payments"] = int(self._pool.counters[windows.LIVE])
        kept = self._kept.counts()
        found["bytes"] = (
            kept["bytes"]
            + int(self._pool.counters[windows.USED]) * windows.EVENT.itemsize
            + len(self._keys) * windows.PROFILE.itemsize
            + self._pool.table.nbytes
        )
        return found

    def _turn(self, batch: Batch) -> windows.Turn:
        number = self._number
        customers, payees = self._numbers[windows.CUSTOMER], self._numbers[windows.PAYEE]
        who: list[int] = []
        columns = (batch.customers, batch.payees, batch.devices, batch.ips)
        for customer, payee, device, ip in zip(*columns, strict=True):
            who += (
                number(windows.CUSTOMER, customer),
                number(windows.PAYEE, payee),
                windows.NONE if device is None else number(windows.DEVICE, device),
                windows.NONE if ip is None else number(windows.IP, ip),
                payees.get(customer, windows.NONE),
                customers.get(payee, windows.NONE),
            )
        n = len(batch)
        numbers = np.array(who, np.int32).reshape(-1, 6)
        event, times = np.empty(n, np.int32), np.empty((n, 9), np.int64)
        return windows.Turn(batch.at_us, self._amounts(batch), numbers, batch.ids, batch.places, event, times)

    def _amounts(self, batch: Batch) -> NDArray[np.int64]:
        """In minor units of the reference currency, at most what the windows hold."""
        worth, other = self._worth, self._other
        rates = np.array([worth.get(currency, other) for currency in batch.currencies], np.int64)
        within = np.minimum(np.maximum(batch.amounts, 0), MOST // self._unit)
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
                self._pool = self._pool._replace(
                    profiles=longer(self._pool.profiles, 2 * len(self._pool.profiles))
                )
        self._pool.profiles[number] = _BLANK
        self._pool.profiles[number]["kind"] = kind
        self._numbers[kind][key] = number
        return number

    def _make_room(self, n: int) -> None:
        while self._pool.counters[windows.LIVE] + n > len(self._pool.events):
            if len(self._pool.events) * 2 > windows.MAX_EVENTS:
                raise MemoryError(f"more than {windows.MAX_EVENTS // 2} payments within the risk memory")
            self._pool = self._pool._replace(events=longer(self._pool.events, 2 * len(self._pool.events)))
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
        end = min(begin + SWEPT_PER_ARRIVAL * len(at), len(self._keys))
        self._swept = 0 if end == len(self._keys) else end
        idle = np.empty(end - begin, np.int64)
        found = windows.sweep(self._pool, begin, end, horizon, idle)
        if not found:
            return
        numbers, kinds = idle[:found] >> 3, idle[:found] & 7
        self._kept.forget(numbers)
        for number, kind in zip(numbers.tolist(), kinds.tolist(), strict=True):
            del self._numbers[kind][self._keys[number]]
            self._keys[number] = None
            self._unused.append(number)


def _blank_profile() -> NDArray[Any]:
    blank = np.zeros((), windows.PROFILE)
    for link in ("tail", "peak", "last", "kind", "entering", "settled_tail"):
        blank[link] = windows.NONE
    for time in ("now", "placed_at", "seen", "guard"):
        blank[time] = windows.LONG_AGO
    return blank


_BLANK: Final = _blank_profile()
