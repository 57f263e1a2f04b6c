"""The walk through history: profiles lived through again, where no label counts before it was known."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.features import FEATURES, Catalogue
from tillkeeper.risk.history.types import NOTHING_BESIDE, Seen, Stretch
from tillkeeper.risk.profiles import LATENESS_US, Profiles
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Batch, Event
from tillkeeper.risk.windows import MEMORY

REMEMBERED_US: Final = MEMORY + LATENESS_US
"""What happened longer ago has no influence on any value."""

_LOW: Final = (1 << 64) - 1


class Walk:
    """Takes stretches in order of arrival through profiles that begin empty; not for use by several threads.

    A label counts for every payment whose clock has reached the moment it was known at, and for none before: a stretch is
    cut for it, and where customers did something besides paying. The clock of a walk never runs back.
    """

    def __init__(
        self, profiles: Profiles, features: Sequence[str] = tuple(FEATURES), beside: Sequence[str] = ()
    ) -> None:
        catalogue = profiles.catalogue
        self._profiles = profiles
        self._columns = np.array([catalogue[name].index for name in features], np.int64)
        declared = [catalogue[name].declaration for name in catalogue.reading(features)]
        self._eventful = any(one is not None and one.event != "payment" for one in declared) or bool(beside)
        self._beside = np.array([catalogue[name].index for name in beside], np.int64)
        self._now = -(2**62)
        self._coming = _NOTHING
        self.learnt = 0

    @classmethod
    def of(
        cls,
        rules: RuleSet,
        zone: ZoneInfo,
        features: Sequence[str],
        catalogue: Catalogue = FEATURES,
        beside: Sequence[str] = (),
    ) -> "Walk":
        """A walk that computes these features and nothing else; amounts are worth what the rules say.

        `beside`: features of logins and changes of settings that are wanted, too.
        """
        return cls(Profiles(rules, zone, catalogue, frozenset((*features, *beside))), features, beside)

    def through(self, stretches: Iterable[Stretch]) -> Iterator[Seen]:
        """Each stretch with its values."""
        for stretch in stretches:
            yield self.take(stretch)

    def take(self, stretch: Stretch) -> Seen:
        """The next stretch with its values."""
        values = np.empty((len(stretch.clock_us), len(self._columns)))
        if not len(values):
            return Seen(values, stretch)
        clock = np.maximum.accumulate(np.maximum(stretch.clock_us, self._now))
        self._await(stretch, clock)
        events, beside = self._events(stretch), [NOTHING_BESIDE.reshape(0, len(self._beside))]
        for begin, end in pairwise(self._edges(stretch.batch, clock, events)):
            self._learn(int(clock[begin]))
            if begin in events:
                beside.append(self._profiles.observe_events(events[begin])[:, self._beside])
            values[begin:end] = self._profiles.observe(part(stretch.batch, begin, end))[:, self._columns]
        self._now = int(clock[-1])
        self._learn(self._now)
        return Seen(values, stretch, np.concatenate(beside))

    def _await(self, stretch: Stretch, clock: NDArray[np.int64]) -> None:
        """Put the labels of a stretch among those to come.

        One that clears a payment which nobody called a fraud says nothing new to the profiles.
        """
        row, known, fraud = stretch.verdicts
        news = np.isin(row, row[fraud])
        row, known, fraud = row[news], known[news], fraud[news]
        # Nothing is known of a payment before it arrived, whatever its label says.
        arrived = np.maximum(known, clock[row] + 1)
        self._coming = self._coming.with_(
            _Coming(arrived, stretch.batch.ids[row], fraud, _who(stretch.batch, row))
        )

    def _events(self, stretch: Stretch) -> dict[int, list[Event]]:
        """By the payment they came before; none where no feature reads them."""
        found: dict[int, list[Event]] = {}
        for row, event in stretch.events if self._eventful else ():
            found.setdefault(row, []).append(event)
        return found

    def _edges(self, batch: Batch, clock: NDArray[np.int64], events: Iterable[int]) -> list[int]:
        """Where the stretch is cut, its beginning and end among them.

        A label changes the values of those only who had to do with its payment. So it is learnt no later than before the
        next payment of one of them, and where several can be learnt together, they are.
        """
        due, _ = self._coming.parted(int(clock[-1]))
        known = np.searchsorted(clock, due.known_us, "left").tolist()
        wanted = zip(_deadlines(batch, known, due.who.tolist()), known, strict=True)
        cuts, last = {0, *events}, 0
        for deadline, first in sorted(wanted):
            if first > last and deadline < len(clock):
                last = deadline
                cuts.add(deadline)
        return [*sorted(cuts), len(clock)]

    def _learn(self, now_us: int) -> None:
        """Learn what is known by a moment."""
        due, self._coming = self._coming.parted(now_us)
        for (high, low), fraud in zip(due.ids.tolist(), due.fraud.tolist(), strict=True):
            payment = UUID(int=(high & _LOW) << 64 | low & _LOW)
            self.learnt += self._profiles.learn(payment, fraud=fraud)


class _Coming(NamedTuple):
    """Labels by the moment they are known at. `who`: whom each payment had to do with, a tuple each."""

    known_us: NDArray[np.int64]
    ids: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    who: NDArray[np.object_]

    def with_(self, more: "_Coming") -> "_Coming":
        """Both together. Of labels known at one moment the one written later comes later."""
        both = [np.concatenate(columns) for columns in zip(self, more, strict=True)]
        order = np.argsort(both[0], kind="stable")
        return _Coming._make(column[order] for column in both)

    def parted(self, now_us: int) -> "tuple[_Coming, _Coming]":
        """Those known by a moment, and the others."""
        due = int(np.searchsorted(self.known_us, now_us, "right"))
        return _Coming._make(column[:due] for column in self), _Coming._make(column[due:] for column in self)


_NOTHING: Final = _Coming(
    np.empty(0, np.int64), np.empty((0, 2), np.int64), np.empty(0, np.bool_), np.empty(0, np.object_)
)


def _who(batch: Batch, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """The customer, payee, device and address of payments."""
    found = np.empty(len(rows), np.object_)
    for n, row in enumerate(rows.tolist()):
        one = (batch.customers[row], batch.payees[row], batch.devices[row], batch.ips[row])
        found[n] = tuple(key for key in one if key is not None)
    return found


def _deadlines(batch: Batch, first: Sequence[int], who: Sequence[tuple[Any, ...]]) -> list[int]:
    """For each label known from a row on, the next row that has to do with the same; the batch's length if none has."""
    keys = {key for each in who for key in each}
    rows: dict[Any, list[int]] = {}
    for column in (batch.customers, batch.payees, batch.devices, batch.ips) if keys else ():
        for row, key in enumerate(column):
            if key in keys:
                rows.setdefault(key, []).append(row)
    for found in rows.values():
        found.sort()
    return [
        min((_next(rows.get(key, ()), begin, len(batch)) for key in each), default=len(batch))
        for begin, each in zip(first, who, strict=True)
    ]


def _next(rows: Sequence[int], begin: int, otherwise: int) -> int:
    place = bisect_left(rows, begin)
    return rows[place] if place < len(rows) else otherwise


def part(batch: Batch, begin: int, end: int) -> Batch:
    """Some rows of a batch."""
    if begin == 0 and end == len(batch):
        return batch
    return Batch(**{name: column[begin:end] for name, column in msgspec.structs.asdict(batch).items()})
