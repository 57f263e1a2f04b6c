"""The live state of declared features: what the windows do not keep, kept by strands; and values over the row.

Here declarations become the plan that series.py works by: features that look at the same events share a strand, and those
that look at the same stretch of time share a view of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk import series
from tillkeeper.risk.arrays import longer, zeroed
from tillkeeper.risk.declarations import ONLY_BUILT_IN, SCORE_SCALE, THIS, Declaration
from tillkeeper.risk.expressions import Expression
from tillkeeper.risk.features import FEATURES, KINDS, Catalogue, window_column

FIRST_NODES: Final = 1 << 22
FIRST_SLOTS: Final = 1 << 22
FIRST_PLACES: Final = 1 << 12
EVENT_KEYS: Final = ("customer", "device", "ip", "network")
"""The columns of an event's `who`, and of its `times`."""
PAYMENT_KEYS: Final = (*KINDS, "received")
"""The columns of a payment's `who`; of its `times` too, which the clocks of everything follow, of KINDS."""
_AGGREGATES: Final = {
    "count": series.COUNT, "frauds": series.COUNT, "sum": series.SUM, "mean": series.MEAN, "max": series.MAX,
    "min": series.MIN, "distinct": series.DISTINCT, "last": series.LAST, "first": series.FIRST, "age": series.AGE,
    "age_of_first": series.AGE_OF_FIRST, "rate": series.RATE, "run": series.RUN,
}  # fmt: skip
_AGES: Final = (series.AGE, series.AGE_OF_FIRST)
_PEAKS: Final = frozenset({series.MAX, series.MIN})
Columns = Mapping[str, NDArray[Any]]


class Rows(NamedTuple):
    """A turn as declared features see it; `who`, `times`, `events` as of series.Turn.

    `is_event`: of each event that may be among them, which are. `columns`: what filters and values read, as numbers.
    """

    who: NDArray[np.int32]
    times: NDArray[np.int64]
    events: NDArray[np.int32]
    is_event: Mapping[str, NDArray[np.bool_]]
    columns: Columns


class _View(NamedTuple):
    """A stretch of time, microseconds, and whether only known frauds count."""

    delay: int
    span: int
    frauds: bool


class _Measure(NamedTuple):
    """A feature's column, and what of its view it says."""

    column: int
    kind: int
    view: _View
    past: bool
    empty: float
    scale: float


class _Strand:
    """Features over the same events, while it is found out what of each event they need."""

    def __init__(self, one: Declaration) -> None:
        self.entity, self.event, self.where = one.entity, one.event, one.where
        self.takes = "payee" if one.entity == "received" else one.entity
        self.number: tuple[str, int] | None = None
        self.label: str | None = None
        self.falling: tuple[int, bool] | None = None
        self.measures: list[_Measure] = []

    def add(self, one: Declaration, column: int) -> bool:
        """Take a feature up; False if its events, or what is to be kept of each, are others."""
        kind = _AGGREGATES[one.aggregate]
        label = one.of if kind == series.DISTINCT else None
        number = (one.of, -1 if kind == series.MIN else 1) if one.of and not label else None
        falling = (one.delay_us, one.frauds) if kind in _PEAKS else None
        needs = ((self.number, number), (self.label, label), (self.falling, falling))
        if (one.entity, one.event, one.where) != (self.entity, self.event, self.where):
            return False
        if any(None not in pair and pair[0] != pair[1] for pair in needs):
            return False
        self.number, self.label, self.falling = (
            self.number or number,
            self.label or label,
            self.falling or falling,
        )
        # An event that waits is not within its view while it is the newest: what was known before it came is the same.
        past = one.past or one.entity == "received" or one.delay_us > 0
        empty = 0.0 if kind == series.RATE or kind in series.EMPTY_IS_ZERO else np.nan
        scale = series.SECOND if kind in _AGES else SCORE_SCALE if one.of == "score" else 1
        view = _View(one.delay_us, one.window_us, one.frauds)
        self.measures.append(_Measure(column, kind, view, past, empty, float(scale)))
        return True

    @property
    def views(self) -> list[_View]:
        """By how far they reach back."""
        return sorted({each.view for each in self.measures}, key=lambda view: (view.delay + view.span, view))

    @property
    def columns(self) -> tuple[str, ...]:
        """What it reads of an event."""
        return (
            *([self.number[0]] if self.number else []),
            self.label or "",
            *(self.where.names if self.where else ()),
        )

    @property
    def hears(self) -> bool:
        """Whether labels change anything in it."""
        return any(each.view.frauds for each in self.measures)


class _Sight(NamedTuple):
    """How turns of one kind are seen, payments or all else: what of them the plan's numbers mean."""

    plan: series.Plan
    numbers: tuple[str, ...]
    filters: tuple[tuple[str, Expression | None, Callable[[Columns], NDArray[Any]] | None], ...]
    room: tuple[int, int]

    @classmethod
    def of(cls, strands: Sequence[_Strand], code: Callable[[str, str], int], *, payments: bool) -> "_Sight":
        """The plan for these. Strands of payments are not looked at beside payments: theirs is another clock."""
        keys = PAYMENT_KEYS if payments else EVENT_KEYS
        taking = [strand for strand in strands if (strand.event == "payment") == payments]
        numbers = dict.fromkeys(
            name
            for strand in taking
            for name in (strand.number and strand.number[0], strand.label)
            if name and name not in keys
        )
        filters = dict.fromkeys((one.event, one.where) for one in taking if one.where or not payments)
        plan = _Planning(strands, keys, tuple(numbers), tuple(filters), payments=payments).plan()
        return cls(
            plan,
            tuple(numbers),
            tuple((event, where, where.over(code) if where else None) for event, where in filters),
            (len(taking), sum(len(strand.views) for strand in taking)),
        )

    def turn(self, rows: Rows) -> series.Turn:
        """A turn as the kernel takes it."""
        n = len(rows.events)
        numbers = np.empty((n, len(self.numbers)), np.int64)
        for at, name in enumerate(self.numbers):
            column = rows.columns[name]
            numbers[:, at] = np.rint(column * SCORE_SCALE) if name == "score" else column
        passes = np.empty((len(self.filters), n), np.bool_)
        for at, (event, where, compute) in enumerate(self.filters):
            passes[at] = rows.is_event[event]
            if where and compute:
                passes[at] &= compute({name: rows.columns[name] for name in where.names})
        return series.Turn(rows.who, rows.times, numbers, passes, rows.events)


class _Planning(NamedTuple):
    """What a plan is made from: the strands, and the columns of a turn in which each finds what it needs."""

    strands: Sequence[_Strand]
    keys: Sequence[str]
    numbers: Sequence[str]
    filters: Sequence[tuple[str, Expression | None]]
    payments: bool

    def plan(self) -> series.Plan:
        """All strands with their views and measures behind each other."""
        lines, views, measures = list[tuple[int, ...]](), list[tuple[int, ...]](), list[tuple[Any, ...]]()
        marks = 0
        for strand in self.strands:
            own = sorted(strand.measures, key=lambda one: not one.past)
            past = sum(one.past for one in own)
            first, at = len(views), len(measures)
            hears = marks if strand.hears else series.NONE
            marks += strand.hears
            views += _views(strand)
            measures += [
                (first + strand.views.index(one.view), one.kind, one.column, one.empty, one.scale)
                for one in own
            ]
            bounds = (hears, first, len(views), at, at + past, len(measures))
            lines.append((*self._keys(strand), *self._events(strand), *bounds))
        return series.Plan(
            np.array(lines, series.STRAND), np.array(views, series.VIEW), np.array(measures, series.MEASURE)
        )

    def _keys(self, strand: _Strand) -> tuple[int, ...]:
        """Columns of who takes an event in and who is read, each with the column of the clock; and if anybody may be."""
        here = (strand.event == "payment") <= self.payments
        takes = (
            _place(self.keys, strand.takes) if (strand.event == "payment") == self.payments else series.NONE
        )
        reads = _place(self.keys, strand.entity) if here else series.NONE
        clocks = len(PAYMENT_KEYS) if self.payments and strand.event != "payment" else 0
        anybody = int(here and strand.entity == "received")
        return takes, takes + clocks, reads, reads + clocks, anybody

    def _events(self, strand: _Strand) -> tuple[int, ...]:
        """The filter's row, and the columns of values and labels."""
        number, sign = strand.number or ("", 1)
        return (
            _place(self.filters, (strand.event, strand.where)),
            _place(self.numbers, number),
            sign,
            _place(self.numbers, strand.label),
            _place(self.keys, strand.label),
        )


def _place(among: Sequence[Any], one: Any) -> int:
    return among.index(one) if one in among else series.NONE


def _views(strand: _Strand) -> list[tuple[int, ...]]:
    views = strand.views
    kinds = {view: {one.kind for one in strand.measures if one.view == view} for view in views}
    peaked = [view for view in views if kinds[view] & _PEAKS]
    return [
        (*view, series.DISTINCT in kinds[view], (view in peaked) + (view in peaked[-1:])) for view in views
    ]


class Kept:
    """All series of a catalogue, and its values in the order they are declared. Not for use by several threads."""

    def __init__(
        self, catalogue: Catalogue, code: Callable[[str, str], int], wanted: frozenset[str] | None = None
    ) -> None:
        self._strands = list[_Strand]()
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
                self._add(one, feature.index)
        self.reads = frozenset(
            name.removeprefix("this_")
            for names in (
                *(strand.columns for strand in self._strands),
                *([name for name, at in names if at < 0] for _, names, _ in self._values),
            )
            for name in names
        )
        """The columns of an event that anything reads: the others need not be there."""
        self._payments = _Sight.of(self._strands, code, payments=True)
        self._others = _Sight.of(self._strands, code, payments=False)
        self.state = self._empty()

    def _add(self, one: Declaration, column: int) -> None:
        if not any(strand.add(one, column) for strand in self._strands):
            self._strands.append(_Strand(one))
            self._strands[-1].add(one, column)

    def _empty(self) -> series.Series:
        strands = len(self._strands)
        return series.Series(
            zeroed(FIRST_NODES, series.NODE),
            zeroed(FIRST_SLOTS, series.SLOT),
            np.zeros((0, strands), np.int32),
            np.zeros(FIRST_PLACES, series.PLACE),
            np.zeros((0, sum(strand.hears for strand in self._strands)), np.int32),
            np.zeros(strands, np.int32),
            np.array([0, 0, 0, 0, 0, 1], np.int64),
        )

    def take(self, rows: Rows, matrix: NDArray[np.float64], profiles: int, events: int) -> None:
        """Take a turn into all series, and fill their columns and the values'.

        `profiles` and `events`: how many numbers of each there may be.
        """
        sight = self._payments if "payment" in rows.is_event else self._others
        if self._strands:
            self._make_room(len(matrix), sight.room, profiles, events)
            series.observe(self.state, sight.plan, sight.turn(rows), matrix)
        with np.errstate(all="ignore"):
            for index, names, compute in self._values:
                found = compute({name: rows.columns[name] if at < 0 else matrix[:, at] for name, at in names})
                matrix[:, index] = np.where(np.isfinite(found), found, np.nan)

    def learn(self, event: int, who: NDArray[np.int32], *, fraud: bool) -> None:
        """The payment at this place of the windows was fraud, or not; `who`: its profiles."""
        if self.state.marks.size:
            self._make_place(len(self._payments.plan.views))
            series.learn(self.state, self._payments.plan, who, event, int(fraud))

    def forget(self, numbers: NDArray[np.int64]) -> None:
        """These profiles' numbers will be given to others."""
        if self._strands:
            series.clear(self.state, self._payments.plan, numbers[numbers < len(self.state.rows)])

    def counts(self) -> dict[str, int]:
        """How many strands, events in them, and the bytes these take."""
        used, slots = (int(self.state.counters[each]) for each in (series.USED, series.SLOTS))
        return {
            "strands": len(self._strands),
            "kept": int(self.state.counters[series.LIVE]),
            "bytes": used * series.NODE.itemsize + slots * series.SLOT.itemsize,
        }

    def _make_room(self, n: int, each: tuple[int, int], profiles: int, events: int) -> None:
        state, (nodes, slots) = self.state, (n * some for some in each)
        if len(state.rows) < profiles:
            state = state._replace(rows=longer(state.rows, profiles))
        if len(state.marks) < events and state.marks.shape[1]:
            state = state._replace(marks=longer(state.marks, events))
        while int(state.counters[series.LIVE]) + nodes + 1 > len(state.nodes):
            state = state._replace(nodes=longer(state.nodes, 2 * len(state.nodes)))
        while int(state.counters[series.SLOTS]) + slots > len(state.slots):
            state = state._replace(slots=longer(state.slots, 2 * len(state.slots)))
        self.state = state
        self._make_place(slots)

    def _make_place(self, n: int) -> None:
        """For so many more labels."""
        state = self.state
        coming = int(state.counters[series.PLACES] + state.counters[series.WAITING]) + n
        while coming * 2 > len(state.places):
            larger = np.zeros(2 * len(state.places), series.PLACE)
            series.rehash(state, larger)
            state = state._replace(places=larger)
        self.state = state


def feature_index(catalogue: Catalogue, name: str) -> int:
    """The column of a feature; -1 for one of the decided event's own columns."""
    return -1 if name in THIS else catalogue[name].index


def warm_up() -> None:
    """Have what is seldom called compiled, or loaded from the cache, before a payment waits for it."""
    kept = Kept(FEATURES, lambda _, __: 0)
    series.rehash(kept.state, np.zeros(8, series.PLACE))
    kept.forget(np.zeros(0, np.int64))
