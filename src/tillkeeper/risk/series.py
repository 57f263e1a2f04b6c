"""What declared features keep, for each key: the events within their windows, exact and compiled like windows.py.

A strand is the events of one kind that pass one filter. In it every key (a profile's number) has a list of `NODE`s in order
of arrival, which all features of the strand share. A feature reads a view: the events of (t - delay - span, t - delay], all
of them or only known frauds. An event waits until the view's delay has passed, is inside for the length of its span, and
leaves; it is forgotten when it has left the view that reaches back the furthest. Per key and view a `SLOT` holds where the
view begins and ends in the list, and what is counted within. Everything kept is an integer.

Time is that of the profile, handed in, and never runs back. A label that comes when its event is inside already marks the
slot as `stale`: it is counted anew when the key is next looked at.

One call takes a turn into all strands. A key that has no event in a strand has no slots there, so whoever was never seen
logging in costs a look at one number.

This file imports nothing that is compiled in, and is not to be split, for the reason given in windows.py.
"""

import math
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.arrays import kernel

SECOND: Final = 1_000_000
COUNT, SUM, MEAN, MAX, MIN, DISTINCT, LAST, FIRST, AGE, AGE_OF_FIRST, RATE, RUN = range(12)
EMPTY_IS_ZERO: Final = (COUNT, SUM, DISTINCT, RUN)
NONE: Final = -1
THE_END: Final = cast("int", np.int64(2**62))

NODE: Final = np.dtype(
    [
        ("t", "i8"),
        ("value", "i8"),
        ("label", "i4"),  # what distinct values are told apart by; NONE where there is none
        ("next", "i4"),
        ("older", "i4"),  # neighbours in the list of falling values
        ("newer", "i4"),
        (
            "event",
            "i4",
        ),  # where the payment stands in the windows, by which a label finds it; NONE if none can
        ("fraud", "i4"),
    ],
    align=True,
)
SLOT: Final = np.dtype(
    [
        ("total", "i8"),
        ("last", "i4"),  # of the list: the same in all slots of a key, kept in the first
        ("head", "i4"),  # the oldest node within the view
        ("entering", "i4"),  # the oldest node that still waits
        ("size", "i4"),
        ("count", "i4"),  # of those within, how many count
        ("different", "i4"),
        ("newest", "i4"),  # of those that count
        ("oldest", "i4"),
        ("peak", "i4"),
        ("run", "i4"),
        ("stale", "i4"),
    ],
    align=True,
)
PLACE: Final = np.dtype([("key", "i8"), ("value", "i4"), ("count", "i4")])

STRAND: Final = np.dtype(
    [
        ("takes", "i4"),  # column of `who` whose list takes the event in; NONE: this turn brings it nothing
        ("takes_at", "i4"),  # column of `times`
        ("reads", "i4"),  # column of `who` whose list is read; NONE: whoever it is is not known
        ("reads_at", "i4"),
        ("anybody", "i4"),  # 1: who is not known has received nothing
        ("passes", "i4"),  # row of `passes`; NONE: every event does
        ("number", "i4"),  # column of `numbers` that values come from; NONE: 0
        ("sign", "i4"),  # -1: of values the smallest is asked for
        ("label", "i4"),  # column of `numbers` that labels come from; NONE: there are none
        ("whose", "i4"),  # or the column of `who`
        ("marks", "i4"),  # column of `marks`; NONE: labels change nothing
        ("first", "i4"),  # of its views, by how far they reach back
        ("end", "i4"),
        ("measures", "i4"),  # the first of them; those about the past come first
        ("present", "i4"),
        ("measured", "i4"),
    ],
    align=True,
)
VIEW: Final = np.dtype(
    [
        ("delay", "i8"),
        ("span", "i8"),
        ("frauds", "i4"),
        ("distinct", "i4"),
        (
            "peaks",
            "i4",
        ),  # 1: has a peak, 2: and is the longest that has, which holds the list of falling values
    ],
    align=True,
)
MEASURE: Final = np.dtype(
    [("of", "i4"), ("kind", "i4"), ("column", "i4"), ("empty", "f8"), ("scale", "f8")], align=True
)
FREE, USED, LIVE, PLACES, WAITING, SLOTS = range(
    6
)  # the counters; node 0 and slot 0 are never used: they say "none"


class Series(NamedTuple):
    """All state. `rows`: by key and strand where its slots begin; `marks`: by payment the node it has in each strand that
    hears of labels; `places`: how many of each label, by view and key; `vacant`: by strand, slots nobody has any more.
    """

    nodes: NDArray[Any]
    slots: NDArray[Any]
    rows: NDArray[np.int32]
    places: NDArray[Any]
    marks: NDArray[np.int32]
    vacant: NDArray[np.int32]
    counters: NDArray[np.int64]


class Plan(NamedTuple):
    """What is kept, and where a turn of one kind says it. Never changed."""

    strands: NDArray[Any]
    views: NDArray[Any]
    measures: NDArray[Any]


class Turn(NamedTuple):
    """Events in order of arrival, a row each. `who`: profiles, negative for none; `times`: what their clocks show; `passes`
    has a row a filter. `event`: the payment's place in the windows, NONE for what is no payment.
    """

    who: NDArray[np.int32]
    times: NDArray[np.int64]
    numbers: NDArray[np.int64]
    passes: NDArray[np.bool_]
    event: NDArray[np.int32]


@kernel
def _wide(number: int) -> int:
    """One width for all, so that what takes it is compiled once."""
    return np.int64(number)  # type: ignore[return-value]


# -- how many of each label: (view, key, label) -> count. Open addressing.


@kernel
def _home(key: int, value: int, size: int) -> int:
    h = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(value)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return np.int64((h ^ (h >> np.uint64(29))) & np.uint64(size - 1))  # type: ignore[return-value]


@kernel
def _place_of(s: Series, key: int, value: int) -> int:
    place = _home(key, value, s.places.size)
    while s.places[place].count != 0 and (s.places[place].key != key or s.places[place].value != value):
        place = (place + 1) & (s.places.size - 1)
    return place


@kernel
def _vacate(s: Series, hole: int) -> None:
    place, mask = hole, s.places.size - 1
    while True:
        place = (place + 1) & mask
        there = s.places[place]
        if there.count == 0:
            break
        if (place - _home(there.key, there.value, s.places.size)) & mask >= (place - hole) & mask:
            s.places[hole] = there
            hole = place
    s.places[hole].count = 0
    s.counters[PLACES] -= 1


@kernel
def _meet(s: Series, key: int, slot: Any, label: int) -> None:
    if label < 0:
        return
    place = s.places[_place_of(s, key, label)]
    if place.count == 0:
        place.key, place.value = key, label
        s.counters[PLACES] += 1
        slot.different += 1
    place.count += 1


@kernel
def _part(s: Series, key: int, slot: Any, label: int) -> None:
    if label < 0:
        return
    at = _place_of(s, key, label)
    s.places[at].count -= 1
    if s.places[at].count == 0:
        _vacate(s, at)
        slot.different -= 1


@kernel
def rehash(s: Series, places: NDArray[Any]) -> None:
    """Move all counts into a larger, empty table."""
    for old in s.places:
        if old.count != 0:
            place = _home(old.key, old.value, places.size)
            while places[place].count != 0:
                place = (place + 1) & (places.size - 1)
            places[place] = old


@kernel
def _key(e: int, v: int) -> int:
    """Of a view of a key, in the table of labels."""
    return np.int64(e) << 16 | np.int64(v)  # type: ignore[return-value]


# -- in and out of a view


@kernel
def _raise_peak(s: Series, view: Any, slot: Any, x: int) -> None:
    """The node is the largest of the view if none was above it. The longest view keeps the list of falling values."""
    node = s.nodes[x]
    if view.peaks == 2:
        q = _wide(slot.newest) if slot.peak != 0 else 0
        while q != 0 and s.nodes[q].value <= node.value:
            q = s.nodes[q].older
        node.older, node.newer = q, 0
        if q != 0:
            s.nodes[q].newer = x
    if slot.peak == 0 or s.nodes[slot.peak].value <= node.value:
        slot.peak = x


@kernel
def _count(s: Series, view: Any, slot: Any, x: int) -> bool:
    """Take a node in that is within the view; whether it counts. Labels apart, which are not counted anew."""
    node = s.nodes[x]
    slot.size += 1
    if view.frauds and not node.fraud:
        slot.run = 0
        return False
    slot.run += 1
    slot.count += 1
    slot.total += node.value
    if view.peaks:
        _raise_peak(s, view, slot, x)
    slot.newest = x
    if slot.oldest == 0:
        slot.oldest = x
    return True


@kernel
def _recount(s: Series, view: Any, slot: Any) -> None:
    """Count the nodes within the view anew, with what is known of them by now."""
    slot.total = slot.size = slot.count = slot.newest = slot.oldest = slot.peak = slot.run = slot.stale = 0
    x = _wide(slot.head)
    while x > 0 and x != slot.entering:
        _count(s, view, slot, x)
        x = _wide(s.nodes[x].next)


@kernel
def _enter(s: Series, view: Any, v: int, slot: Any, e: int, border: int) -> None:
    """What is old enough comes into the view."""
    x = _wide(slot.entering)
    while x != 0 and s.nodes[x].t <= border:
        if slot.head == 0:
            slot.head = x
        if _count(s, view, slot, x) and view.distinct:
            s.counters[WAITING] -= 1
            _meet(s, _key(e, v), slot, s.nodes[x].label)
        x = _wide(s.nodes[x].next)
    slot.entering = x


@kernel
def _discount(s: Series, view: Any, v: int, slot: Any, e: int, x: int) -> None:
    """The oldest node within goes out of the view; it counted."""
    node = s.nodes[x]
    slot.count -= 1
    slot.total -= node.value
    if slot.peak == x:
        slot.peak = node.newer
        if view.peaks == 2 and node.newer != 0:
            s.nodes[node.newer].older = 0
    if view.distinct:
        _part(s, _key(e, v), slot, node.label)
    if slot.count == 0:
        slot.newest = slot.oldest = 0
        return
    x = node.next
    while view.frauds and not s.nodes[x].fraud:
        x = s.nodes[x].next
    slot.oldest = x


@kernel
def _leave(s: Series, strand: Any, v: int, slot: Any, e: int, border: int, view: Any) -> None:
    """What is too old goes out of the view, and is forgotten when this is the view that reaches back the furthest."""
    x = _wide(slot.head)
    while x > 0 and x != slot.entering and s.nodes[x].t <= border:
        node = s.nodes[x]
        following = _wide(node.next)
        slot.size -= 1
        if node.fraud or not view.frauds:
            _discount(s, view, v, slot, e, x)
        slot.run = min(slot.run, slot.size)
        if v == strand.end - 1:
            _forget(s, strand, x)
        x = following
    slot.head = 0 if x == slot.entering else x


@kernel
def _forget(s: Series, strand: Any, x: int) -> None:
    node = s.nodes[x]
    if node.event >= 0 and s.marks[node.event, strand.marks] == x:
        s.marks[node.event, strand.marks] = 0
    node.next = s.counters[FREE]
    s.counters[FREE] = x
    s.counters[LIVE] -= 1


@kernel
def _forward(s: Series, plan: Plan, k: int, e: int, t: int) -> int:
    """Move a key's views to time t. Returns where its slots begin, 0 if nothing is left of it."""
    strand, at = plan.strands[k], _wide(s.rows[e, k])
    if at == 0:
        return 0
    for v in range(
        strand.end - 1, strand.first - 1, -1
    ):  # the longest first: it holds the list of falling values
        slot, view = s.slots[at + v - strand.first], plan.views[v]
        if slot.stale:
            _recount(s, view, slot)
        _enter(s, view, v, slot, e, t - view.delay)
    for v in range(strand.first, strand.end):
        slot, view = s.slots[at + v - strand.first], plan.views[v]
        _leave(s, strand, v, slot, e, t - view.delay - view.span, view)
    longest = s.slots[at + strand.end - 1 - strand.first]
    if longest.head == 0 and longest.entering == 0:
        longest.head, s.vacant[k], s.rows[e, k] = s.vacant[k], at, 0
        return 0
    return at


# -- a new event


@kernel
def _settle(s: Series, plan: Plan, k: int, e: int) -> int:
    """Give a key slots in a strand, all empty. Returns where they begin."""
    strand = plan.strands[k]
    width, at = strand.end - strand.first, _wide(s.vacant[k])
    if at != 0:
        s.vacant[k] = s.slots[at + width - 1].head
    else:
        at = s.counters[SLOTS]
        s.counters[SLOTS] += width
    s.rows[e, k] = at
    for v in range(width):
        slot = s.slots[at + v]
        slot.total = 0
        slot.last = slot.head = slot.entering = slot.size = slot.count = slot.different = 0
        slot.newest = slot.oldest = slot.peak = slot.run = slot.stale = 0
    return at


@kernel
def _new_node(s: Series) -> int:
    s.counters[LIVE] += 1
    x = s.counters[FREE]
    if x != 0:
        s.counters[FREE] = s.nodes[x].next
    else:
        s.counters[USED] += 1
        x = s.counters[USED]
    return x  # type: ignore[no-any-return]


@kernel
def _label(strand: Any, turn: Turn, i: int) -> int:
    if strand.whose >= 0:
        return _wide(turn.who[i, strand.whose])
    return turn.numbers[i, strand.label] if strand.label >= 0 else NONE


@kernel
def _append(s: Series, plan: Plan, k: int, e: int, at: int, turn: Turn, i: int) -> None:
    """The event of a row comes to the end of a key's list, and into the views that do not let it wait."""
    strand, t = plan.strands[k], turn.times[i, plan.strands[k].takes_at]
    x = _new_node(s)
    if at == 0:
        at = _settle(s, plan, k, e)
    node, first = s.nodes[x], s.slots[at]
    node.t = t
    node.value = turn.numbers[i, strand.number] * strand.sign if strand.number >= 0 else 0
    node.label = _label(strand, turn, i)
    node.next = node.older = node.newer = node.fraud = 0
    node.event = turn.event[i] if strand.marks >= 0 else NONE
    if node.event >= 0:
        s.marks[node.event, strand.marks] = x
    if first.last != 0:
        s.nodes[first.last].next = x
    first.last = x
    for v in range(strand.first, strand.end):
        slot, view = s.slots[at + v - strand.first], plan.views[v]
        if slot.entering == 0:
            slot.entering = x
        if view.distinct and not view.frauds:
            s.counters[WAITING] += 1
    for v in range(strand.end - 1, strand.first - 1, -1):
        if plan.views[v].delay == 0:
            _enter(s, plan.views[v], v, s.slots[at + v - strand.first], e, t)


# -- what is read


@kernel
def _read(s: Series, strand: Any, one: Any, slot: Any, t: int) -> float:
    kind, found = one.kind, float(one.empty)
    if kind == COUNT:
        found = float(slot.count)
    elif kind == RUN:
        found = float(slot.run)
    elif kind == DISTINCT:
        found = float(slot.different)
    elif kind == SUM:
        found = float(slot.total / one.scale)
    elif kind == RATE:
        found = float(slot.count / slot.size) if slot.size > 0 else found
    elif slot.count > 0:
        found = _read_known(s, strand, slot, kind, t) / float(one.scale)
    return found


@kernel
def _read_known(s: Series, strand: Any, slot: Any, kind: int, t: int) -> float:
    """What is only known where something counts, before it is divided by its scale."""
    found = 0.0
    if kind == MEAN:
        found = float(slot.total / slot.count)
    elif kind == AGE:
        found = float(t - s.nodes[slot.newest].t)
    elif kind == AGE_OF_FIRST:
        found = float(t - s.nodes[slot.oldest].t)
    elif kind == LAST:
        found = float(s.nodes[slot.newest].value)
    elif kind == FIRST:
        found = float(s.nodes[slot.oldest].value)
    else:
        found = float(s.nodes[slot.peak].value * strand.sign)
    return found


@kernel
def _read_all(
    s: Series, plan: Plan, k: int, turn: Turn, i: int, at: int, begin: int, end: int, row: NDArray[np.float64]
) -> None:
    """Some measures of a strand for a row; `at`: where the slots of the key that is read begin, 0 if it has none."""
    strand = plan.strands[k]
    e = _wide(turn.who[i, strand.reads]) if strand.reads >= 0 else NONE
    for m in range(begin, end):
        one = plan.measures[m]
        if e < 0 and not strand.anybody:
            row[one.column] = math.nan
        elif at == 0:
            row[one.column] = one.empty
        else:
            slot = s.slots[at + one.of - strand.first]
            row[one.column] = _read(s, strand, one, slot, turn.times[i, strand.reads_at])


@kernel
def _observe(s: Series, plan: Plan, k: int, turn: Turn, i: int, row: NDArray[np.float64]) -> None:
    strand, at = plan.strands[k], 0
    e = _wide(turn.who[i, strand.reads]) if strand.reads >= 0 else NONE
    if e >= 0:
        at = _forward(s, plan, k, e, turn.times[i, strand.reads_at])
    _read_all(s, plan, k, turn, i, at, strand.measures, strand.present, row)
    if turn.event[i] >= 0 and strand.marks >= 0:
        s.marks[turn.event[i], strand.marks] = 0
    taker = _wide(turn.who[i, strand.takes]) if strand.takes >= 0 else NONE
    if taker >= 0 and (strand.passes < 0 or turn.passes[strand.passes, i]):
        if strand.takes != strand.reads:
            at = _forward(s, plan, k, taker, turn.times[i, strand.takes_at])
        _append(s, plan, k, taker, at, turn, i)
    if strand.present < strand.measured:
        at = _wide(s.rows[e, k]) if e >= 0 else 0
        _read_all(s, plan, k, turn, i, at, strand.present, strand.measured, row)


@kernel
def observe(s: Series, plan: Plan, turn: Turn, matrix: NDArray[np.float64]) -> None:
    """Take a turn in, row by row, and write what each row's keys say into their columns; NaN where there is no key.

    There must be room for a node and slots for each row and strand that takes events, and for labels: those of the turn and
    those WAITING, at no more than half a table.
    """
    for i in range(len(matrix)):
        for k in range(plan.strands.size):
            _observe(s, plan, k, turn, i, matrix[i])


# -- labels, and forgetting


@kernel
def _hear(s: Series, plan: Plan, v: int, slot: Any, e: int, x: int) -> None:
    """A view of frauds hears that a node of its list has become one, or is none any more."""
    view, node = plan.views[v], s.nodes[x]
    waits = slot.entering != 0 and node.t >= s.nodes[slot.entering].t
    inside = not waits and slot.head != 0 and node.t >= s.nodes[slot.head].t
    if inside:
        slot.stale = 1
    if view.distinct and waits:
        s.counters[WAITING] += 1 if node.fraud else -1
    elif view.distinct and inside and node.fraud:
        _meet(s, _key(e, v), slot, node.label)
    elif view.distinct and inside:
        _part(s, _key(e, v), slot, node.label)


@kernel
def learn(s: Series, plan: Plan, who: NDArray[np.int32], event: int, fraud: int) -> None:
    """The payment at this place of the windows, whose profiles these are, was fraud, or not. There must be room for a label a view."""
    for k in range(plan.strands.size):
        strand = plan.strands[k]
        x = _wide(s.marks[event, strand.marks]) if strand.marks >= 0 else 0
        if x != 0 and s.nodes[x].fraud != fraud:
            s.nodes[x].fraud = fraud
            e = _wide(who[strand.takes])
            for v in range(strand.first, strand.end):
                if plan.views[v].frauds:
                    _hear(s, plan, v, s.slots[s.rows[e, k] + v - strand.first], e, x)


@kernel
def clear(s: Series, plan: Plan, keys: NDArray[np.int64]) -> None:
    """Forget everything about some keys: their numbers will be others'."""
    for e in keys:
        for k in range(plan.strands.size):
            _forward(s, plan, k, e, THE_END)


@kernel
def witness(
    profiles: NDArray[Any], at: NDArray[np.int64], who: NDArray[np.int32], times: NDArray[np.int64]
) -> None:
    """Something else than payments happens to some profiles of the windows, -1 for none.

    `times` says what each one's clock of everything that happens showed.
    """
    for i in range(at.size):
        newest = at[i]
        for k in range(who.shape[1]):
            times[i, k] = at[i]
            if who[i, k] >= 0:
                profile = profiles[who[i, k]]
                times[i, k] = profile.seen = max(profile.seen, at[i])
                newest = max(newest, profile.seen)
        for k in range(who.shape[1]):
            if who[i, k] >= 0:
                profile = profiles[who[i, k]]
                profile.guard = max(profile.guard, newest)
