"""The live state of declared features: what the windows do not keep, kept by a series each; and values over the row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk import series, windows
from tillkeeper.risk.arrays import longer, zeroed
from tillkeeper.risk.declarations import ONLY_BUILT_IN, SCORE_SCALE, THIS, Declaration
from tillkeeper.risk.features import Catalogue, Feature, window_column

FIRST_NODES: Final = 1 << 20
FIRST_PLACES: Final = 1 << 12
EVENT_KEYS: Final = ("customer", "device", "ip", "network")
"""The columns of an event's `who`."""
PAYMENT_KEYS: Final = ("customer", "payee", "device", "ip", "received")
KIND_OF: Final = {"customer": 0, "payee": 1, "received": 1, "device": 2, "ip": 3, "network": 4}
_AGGREGATES: Final = {
    "count": series.COUNT, "frauds": series.COUNT, "sum": series.SUM, "mean": series.MEAN, "max": series.MAX,
    "min": series.MIN, "distinct": series.DISTINCT, "last": series.LAST, "first": series.FIRST, "age": series.AGE,
    "age_of_first": series.AGE_OF_FIRST, "rate": series.RATE, "run": series.RUN,
}  # fmt: skip
Columns = Mapping[str, NDArray[Any]]


class Rows(NamedTuple):
    """A turn as declared features see it.

    `who`, `times`, `seen`: by key (customer, payee, ...), the profiles' numbers, their payments' clock and that of
    everything. `events`: the payments' places in the windows. `columns`: what filters and values read, as numbers.
    """

    kinds: frozenset[str]
    who: Mapping[str, NDArray[np.int32]]
    times: Columns
    seen: Columns
    events: NDArray[np.int32]
    is_event: Mapping[str, NDArray[np.bool_]]
    columns: Columns


class Kept:
    """All series of a catalogue, and its values in the order they are declared. Not for use by several threads."""

    def __init__(
        self, catalogue: Catalogue, code: Callable[[str, str], int], wanted: frozenset[str] | None = None
    ) -> None:
        self._series = []
        self._values = []
        reading = catalogue.keys() if wanted is None else catalogue.reading(wanted)
        for feature in catalogue.values():
            one = feature.declaration
            assert one is not None
            if feature.name not in reading or window_column(one) == feature.index:
                continue
            if one.value:
                names = [(name, feature_index(catalogue, name)) for name in one.value.names]
                self._values.append((feature.index, names, one.value.over(code)))
            elif one.aggregate and one.aggregate not in ONLY_BUILT_IN:
                self._series.append(_Held(feature, one, code))

    def take(self, rows: Rows, matrix: NDArray[np.float64], profiles: int, events: int) -> None:
        """Take a turn into all series, and fill their columns and the values'.

        `profiles` and `events`: how many numbers of each there may be.
        """
        for held in self._series:
            held.take(rows, matrix, profiles, events)
        with np.errstate(all="ignore"):
            for index, names, compute in self._values:
                found = compute({name: rows.columns[name] if at < 0 else matrix[:, at] for name, at in names})
                matrix[:, index] = np.where(np.isfinite(found), found, np.nan)

    def learn(self, event: int, who: Sequence[int], *, fraud: bool) -> None:
        """The payment at this place of the windows was fraud, or not; `who`: its profiles."""
        for held in self._series:
            held.learn(event, who, fraud=fraud)

    def forget(self, numbers: NDArray[np.int64], kinds: NDArray[np.int64]) -> None:
        """These profiles' numbers will be given to others."""
        for held in self._series:
            held.forget(numbers[kinds == held.kind])

    def counts(self) -> dict[str, int]:
        """How many series, events in them, and the bytes these take."""
        used = [int(held.state.counters[series.USED]) for held in self._series]
        return {
            "series": len(used),
            "kept": sum(int(held.state.counters[series.LIVE]) for held in self._series),
            "bytes": sum(used) * series.NODE.itemsize,
        }


def feature_index(catalogue: Catalogue, name: str) -> int:
    """The column of a feature; -1 for one of the decided event's own columns."""
    return -1 if name in THIS else catalogue[name].index


class _Held:
    """One series and how its events are found."""

    def __init__(self, feature: Feature, one: Declaration, code: Callable[[str, str], int]) -> None:
        self.index = feature.index
        self.kind = KIND_OF[one.entity]
        self._one = one
        self._takes = "payee" if one.entity == "received" else one.entity
        self._where = (one.where, one.where.over(code)) if one.where else None
        self._empty = 0.0 if one.aggregate == "rate" else np.nan
        self._scale = float(SCORE_SCALE) if one.of == "score" else 1.0
        past = one.past or one.entity == "received"
        kind = _AGGREGATES[one.aggregate]
        self._nothing = 0.0 if kind in series.EMPTY_IS_ZERO else self._empty
        self.state = series.Series(
            zeroed(FIRST_NODES, series.NODE),
            np.zeros(0, series.SLOT),
            np.zeros(FIRST_PLACES, series.PLACE),
            np.zeros(0, np.int32),
            np.zeros(4, np.int64),
            np.array([kind, one.frauds, past, one.window_us, one.delay_us], np.int64),
        )

    def take(self, rows: Rows, matrix: NDArray[np.float64], profiles: int, events: int) -> None:
        if self._one.event == "payment" and "payment" not in rows.kinds:
            return  # clocks of payments: nothing of it is known beside them
        n = len(matrix)
        reads = rows.who.get(self._one.entity)
        if reads is None:
            reads = np.full(n, windows.NONE, np.int32)
        takes = self._taking(rows, n)
        if not self.state.counters[series.LIVE] and (takes < 0).all():
            matrix[:, self.index] = np.where(reads == windows.NONE, np.nan, self._nothing)
            return
        clocks = rows.times if self._one.event == "payment" else rows.seen
        self._make_room(n, profiles, events)
        feed = series.Feed(
            takes,
            clocks.get(self._takes, rows.columns["this_at"]),
            reads,
            clocks.get(self._one.entity, rows.columns["this_at"]),
            self._of(rows, n),
            rows.events if self._one.frauds else np.full(n, windows.NONE, np.int32),
            self._empty,
            self._scale,
        )
        found = np.empty(n)
        series.observe(self.state, feed, found)
        matrix[:, self.index] = found

    def _taking(self, rows: Rows, n: int) -> NDArray[np.int32]:
        """Which key takes each row's event in; -1 where none does."""
        one = self._one
        if one.event not in rows.kinds or self._takes not in rows.who:
            return np.full(n, windows.NONE, np.int32)
        takes = rows.who[self._takes]
        passes = rows.is_event[one.event]
        if self._where:
            passes = passes & self._where[1]({name: rows.columns[name] for name in self._where[0].names})
        if one.aggregate == "distinct" and one.of in rows.who:
            passes = passes & (rows.who[one.of] >= 0)
        return np.where(passes, takes, np.int32(windows.NONE))

    def _of(self, rows: Rows, n: int) -> NDArray[np.int64]:
        of = self._one.of
        if not of or self._one.event not in rows.kinds:
            return np.zeros(n, np.int64)
        values = rows.who[of] if of in rows.who else rows.columns[of]
        return np.rint(values * self._scale).astype(np.int64)

    def learn(self, event: int, who: Sequence[int], *, fraud: bool) -> None:
        if self._one.frauds and event < len(self.state.node_of):
            series.learn(self.state, who[self.kind], event, int(fraud))

    def forget(self, numbers: NDArray[np.int64]) -> None:
        if len(numbers):
            series.clear(self.state, numbers[numbers < len(self.state.slots)])

    def _make_room(self, n: int, profiles: int, events: int) -> None:
        state = self.state
        if len(state.slots) < profiles:
            state = state._replace(slots=longer(state.slots, profiles))
        if self._one.frauds and len(state.node_of) < events:
            state = state._replace(node_of=longer(state.node_of, events))
        while int(state.counters[series.LIVE]) + n + 1 > len(state.nodes):
            state = state._replace(nodes=longer(state.nodes, 2 * len(state.nodes)))
        while (int(state.counters[series.PLACES]) + n) * 2 > len(state.places):
            larger = np.zeros(2 * len(state.places), series.PLACE)
            series.rehash(state, larger)
            state = state._replace(places=larger)
        self.state = state


def warm_up() -> None:
    """Have what is seldom called compiled, or loaded from the cache, before a payment waits for it."""
    kinds = (series.NODE, series.SLOT, series.PLACE)
    nodes, slots, places = (np.zeros(4, kind) for kind in kinds)
    counters, settings = np.zeros(4, np.int64), np.zeros(5, np.int64)
    state = series.Series(nodes, slots, places, np.zeros(4, np.int32), counters, settings)
    series.rehash(state, np.zeros(8, series.PLACE))
    series.clear(state, np.zeros(1, np.int64))
