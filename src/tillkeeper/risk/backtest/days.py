"""Day by day: what the analysts would have had on their list, and how much of it was fraud."""

from datetime import timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH
from tillkeeper.risk.backtest.types import Day, Workload
from tillkeeper.risk.types import OUTCOMES

DAY_US: Final = 86_400 * 1_000_000
HOLD: Final = OUTCOMES.index("hold")
_FORGOTTEN_DAYS: Final = 28  # a card whose fraud is known is blocked, and another one after so long

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Facts(NamedTuple):
    """What is true of payments, whoever decides. `day`: number of the business day, never falling; `customer`: 64 bits of
    the customer's id; `amount`: minor units of the reference currency; `known_us`: since when a fraud is known.
    """

    ids: Ints
    day: Ints
    customer: Ints
    amount: Ints
    fraud: Flags
    judged: Flags
    known_us: Ints

    def where(self, rows: Flags | slice) -> "Facts":
        """Some of them."""
        return Facts._make(column[rows] for column in self)


class Calendar:
    """Takes payments in order of days. `offset_us`: of the business's clock, ahead of UTC."""

    def __init__(self, capacity: int, offset_us: int) -> None:
        self._capacity = capacity
        self._offset = offset_us
        self._victims: dict[int, list[int]] = {}
        self._found: dict[int, int] = {}
        self._parts: list[tuple[Facts, NDArray[np.int8], NDArray[np.float64]]] = []
        self._today: int | None = None
        self.lines: list[Day] = []
        self._perfect: list[float] = []

    def take(self, facts: Facts, outcomes: NDArray[np.int8], rank: NDArray[np.float64]) -> None:
        """The next payments, decided, with what puts them on the list: the higher the sooner."""
        edges = [0, *(np.flatnonzero(np.diff(facts.day)) + 1).tolist(), len(facts.day)]
        for begin, end in pairwise(edges):
            if begin == end:
                continue
            if int(facts.day[begin]) != self._today:
                self.close()
                self._today = int(facts.day[begin])
            rows = slice(begin, end)
            self._parts.append((facts.where(rows), outcomes[rows], rank[rows]))

    def close(self) -> None:
        """The day is over."""
        if self._today is None or not self._parts:
            return
        facts = Facts._make(map(np.concatenate, zip(*(part[0] for part in self._parts), strict=True)))
        outcomes = np.concatenate([part[1] for part in self._parts])
        rank = np.concatenate([part[2] for part in self._parts])
        self._parts = []
        precision = self._looked_at(facts, rank)
        alerts = outcomes >= HOLD
        fraud = facts.fraud & facts.judged
        self.lines.append(
            Day(
                day=str((EPOCH + timedelta(days=self._today)).date()),
                payments=len(rank),
                frauds=int(fraud.sum()),
                alerts=int(alerts.sum()),
                customers=len(np.unique(facts.customer[alerts])),
                saved=int(facts.amount[fraud & (outcomes > 0)].sum()),
                lost=int(facts.amount[fraud & (outcomes == 0)].sum()),
                card_precision=precision,
            )
        )
        for customer, known in zip(
            facts.customer[fraud].tolist(), facts.known_us[fraud].tolist(), strict=True
        ):
            self._victims.setdefault(customer, []).append(known)

    def _looked_at(self, facts: Facts, rank: NDArray[np.float64]) -> float | None:
        """Card precision of the day: known victims are not on the list, and who was found is not looked at again."""
        if not facts.judged.all() or not self._capacity:
            return None
        cards, at = np.unique(facts.customer, return_inverse=True)
        away = self._away()
        listed = np.array([card not in away for card in cards.tolist()], np.bool_)
        tops = np.full(len(cards), -np.inf)
        np.maximum.at(tops, at, rank)
        victims = np.zeros(len(cards), np.bool_)
        np.logical_or.at(victims, at, facts.fraud)
        cards, tops, victims = cards[listed], tops[listed], victims[listed]
        first = np.argsort(-tops, kind="stable")[: self._capacity]
        found = cards[first][victims[first]]
        assert self._today is not None
        self._found.update(dict.fromkeys(found.tolist(), self._today))
        self._perfect.append(min(int(victims.sum()), self._capacity) / self._capacity)
        return len(found) / self._capacity

    def _away(self) -> set[int]:
        """Customers whose fraud is known since before today, or was found on the list, in the last weeks."""
        assert self._today is not None
        start = self._today * DAY_US - self._offset
        since = start - _FORGOTTEN_DAYS * DAY_US
        for customer in [one for one, known in self._victims.items() if max(known) <= since]:
            del self._victims[customer]
        known = {one for one, moments in self._victims.items() if any(since < at <= start for at in moments)}
        return known | {one for one, day in self._found.items() if self._today - day < _FORGOTTEN_DAYS}

    def card_precision(self) -> tuple[float | None, float | None]:
        """The mean of the judged days, and what a perfect list would have had."""
        shares = [line.card_precision for line in self.lines if line.card_precision is not None]
        if not shares:
            return None, None
        return sum(shares) / len(shares), sum(self._perfect) / len(self._perfect)

    def workload(self) -> Workload:
        """Alerts a day beside the capacity."""
        counts = [line.customers for line in self.lines]
        over = sum(count > self._capacity for count in counts)
        mean = round(sum(counts) / len(counts), 2) if counts else None
        return Workload(self._capacity, len(counts), mean, max(counts, default=0), over)

    def shown(self) -> tuple[Day, ...]:
        """The latest days, as many as a report holds."""
        return tuple(self.lines[-limits.BACKTEST_DAYS :])
