"""What one declared feature keeps, for each key: the events within its window, exact and compiled like windows.py.

A series belongs to one declaration. Every event that passes the declaration's filter is one `NODE` in the list of its key
(a profile's number), in order of arrival. It waits until the label delay has passed, is inside for the length of the
window, and leaves. Which nodes count (`inside` = 2) is all of them, or only known frauds. Everything kept is an integer.

Time is that of the profile, handed in, and never runs back. A label that comes when its event is inside already marks the
key as `stale`: it is counted anew when it is next looked at.

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
NOBODY: Final = -2
THE_END: Final = cast("int", np.int64(2**62))

NODE: Final = np.dtype(
    [
        ("t", "i8"),
        ("value", "i8"),
        ("next", "i4"),
        ("older", "i4"),  # neighbours in the list of falling (for the smallest: rising) values
        ("newer", "i4"),
        ("event", "i4"),  # where the payment stands in the windows, by which a label finds it
        ("fraud", "i1"),
        ("inside", "i1"),  # 0 waits or is gone, 1 within the window, 2 within and counts
    ],
    align=True,
)
SLOT: Final = np.dtype(
    [
        ("total", "i8"),
        ("head", "i4"),  # the oldest node within the window
        ("entering", "i4"),  # the oldest node that still waits
        ("last", "i4"),
        ("size", "i4"),
        ("count", "i4"),
        ("different", "i4"),
        ("newest", "i4"),  # of those that count
        ("oldest", "i4"),
        ("peak", "i4"),
        ("run", "i4"),
        ("stale", "i1"),
    ],
    align=True,
)
PLACE: Final = np.dtype([("key", "i8"), ("value", "i8"), ("count", "i8")])
FREE, USED, LIVE, PLACES = range(4)  # the counters; node 0 is never used: it says "none"
KIND, FRAUDS, PAST, SPAN, DELAY = range(5)  # the settings


class Series(NamedTuple):
    """All state of one feature. `settings`: aggregate, frauds only, without the current event, window and delay in µs."""

    nodes: NDArray[Any]
    slots: NDArray[Any]
    places: NDArray[Any]
    node_of: NDArray[np.int32]
    counters: NDArray[np.int64]
    settings: NDArray[np.int64]


class Feed(NamedTuple):
    """A turn as one series sees it, row by row: which key takes the event in at which time, and which key is read.

    -1: none; NOBODY: a key of which nothing was ever kept. `event`: the payment's place in the windows, -1 for what is no payment. `scale`: values are divided by it.
    """

    takes: NDArray[np.int32]
    takes_at: NDArray[np.int64]
    reads: NDArray[np.int32]
    reads_at: NDArray[np.int64]
    value: NDArray[np.int64]
    event: NDArray[np.int32]
    empty: float
    scale: float


# -- how many of each value: (key, value) -> count. Open addressing.


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
def _meet(s: Series, e: int, value: int) -> None:
    place = s.places[_place_of(s, e, value)]
    if place.count == 0:
        place.key, place.value = e, value
        s.counters[PLACES] += 1
        s.slots[e].different += 1
    place.count += 1


@kernel
def _part(s: Series, e: int, value: int) -> None:
    at = _place_of(s, e, value)
    s.places[at].count -= 1
    if s.places[at].count == 0:
        _vacate(s, at)
        s.slots[e].different -= 1


@kernel
def rehash(s: Series, places: NDArray[Any]) -> None:
    """Move all counts into a larger, empty table."""
    for old in s.places:
        if old.count != 0:
            place = _home(old.key, old.value, places.size)
            while places[place].count != 0:
                place = (place + 1) & (places.size - 1)
            places[place] = old


# -- in and out of the window


@kernel
def _raise_peak(s: Series, e: int, x: int) -> None:
    slot, node = s.slots[e], s.nodes[x]
    sign = -1 if s.settings[KIND] == MIN else 1
    q = slot.newest if slot.peak != 0 else 0
    while q != 0 and sign * s.nodes[q].value <= sign * node.value:
        q = s.nodes[q].older
    node.older, node.newer = q, 0
    if q != 0:
        s.nodes[q].newer = x
    else:
        slot.peak = x


@kernel
def _enter(s: Series, e: int, x: int) -> None:
    """The node comes into the window."""
    slot, node = s.slots[e], s.nodes[x]
    slot.size += 1
    node.inside = 1
    if s.settings[FRAUDS] and not node.fraud:
        slot.run = 0
        return
    node.inside = 2
    slot.run += 1
    slot.count += 1
    slot.total += node.value
    if s.settings[KIND] in (MAX, MIN):
        _raise_peak(s, e, x)
    elif s.settings[KIND] == DISTINCT:
        _meet(s, e, node.value)
    slot.newest = x
    if slot.oldest == 0:
        slot.oldest = x


@kernel
def _leave(s: Series, e: int, x: int) -> None:
    """The node goes out of the window; it is the oldest within."""
    slot, node = s.slots[e], s.nodes[x]
    slot.size -= 1
    if node.inside == 2:
        slot.count -= 1
        slot.total -= node.value
        if slot.peak == x:
            slot.peak = node.newer
            if node.newer != 0:
                s.nodes[node.newer].older = 0
        if s.settings[KIND] == DISTINCT:
            _part(s, e, node.value)
        if slot.newest == x:
            slot.newest = 0
        following = node.next
        while following != 0 and s.nodes[following].inside != 2:
            following = s.nodes[following].next if s.nodes[following].inside == 1 else 0
        slot.oldest = following
    slot.run = min(slot.run, slot.size)
    node.inside = 0
    if node.event >= 0 and s.node_of[node.event] == x:
        s.node_of[node.event] = 0
    node.next = s.counters[FREE]
    s.counters[FREE] = x
    s.counters[LIVE] -= 1


@kernel
def _recount(s: Series, e: int) -> None:
    """Count the nodes within the window anew, with what is known of them by now."""
    slot = s.slots[e]
    x = slot.head
    while x > 0 and x != slot.entering:
        if s.nodes[x].inside == 2 and s.settings[KIND] == DISTINCT:
            _part(s, e, s.nodes[x].value)
        x = s.nodes[x].next
    slot.total = slot.size = slot.count = slot.newest = slot.oldest = slot.peak = slot.run = slot.stale = 0
    x = slot.head
    while x > 0 and x != slot.entering:
        _enter(s, e, x)
        x = s.nodes[x].next


@kernel
def _forward(s: Series, e: int, t: int) -> None:
    """Move a key to time t: what is old enough enters, what is too old leaves."""
    slot = s.slots[e]
    if slot.stale:
        _recount(s, e)
    x, border = slot.entering, t - s.settings[DELAY]
    while x != 0 and s.nodes[x].t <= border:
        if slot.head == 0:
            slot.head = x
        _enter(s, e, x)
        x = s.nodes[x].next
    slot.entering = x
    x, border = slot.head, border - s.settings[SPAN]
    while x > 0 and x != slot.entering and s.nodes[x].t <= border:
        following = s.nodes[x].next
        _leave(s, e, x)
        x = following
    slot.head = 0 if x == slot.entering else x
    if slot.head == 0 and slot.entering == 0:
        slot.last = 0


@kernel
def _append(s: Series, e: int, t: int, value: int, event: int) -> None:
    s.counters[LIVE] += 1
    x = s.counters[FREE]
    if x != 0:
        s.counters[FREE] = s.nodes[x].next
    else:
        s.counters[USED] += 1
        x = s.counters[USED]
    node, slot = s.nodes[x], s.slots[e]
    node.t, node.value, node.event = t, value, event
    node.next = node.older = node.newer = node.fraud = node.inside = 0
    if event >= 0:
        s.node_of[event] = x
    if slot.last != 0:
        s.nodes[slot.last].next = x
    slot.last = x
    if slot.entering == 0:
        slot.entering = x
    _forward(s, e, t)


# -- what is read


@kernel
def _read(s: Series, e: int, t: int, feed: Feed) -> float:
    slot, kind, found = s.slots[e], s.settings[KIND], feed.empty
    if kind == COUNT:
        found = slot.count
    elif kind == RUN:
        found = slot.run
    elif kind == DISTINCT:
        found = slot.different
    elif kind == SUM:
        found = slot.total / feed.scale
    elif kind == RATE:
        found = slot.count / slot.size if slot.size > 0 else feed.empty
    elif slot.count > 0:
        found = _read_known(s, slot, t) / (SECOND if kind in (AGE, AGE_OF_FIRST) else feed.scale)
    return found


@kernel
def _read_known(s: Series, slot: Any, t: int) -> float:
    """What is only known where something counts, before it is divided by its scale."""
    kind = s.settings[KIND]
    found = 0.0
    if kind == MEAN:
        found = slot.total / slot.count
    elif kind == AGE:
        found = t - s.nodes[slot.newest].t
    elif kind == AGE_OF_FIRST:
        found = t - s.nodes[slot.oldest].t
    elif kind == LAST:
        found = s.nodes[slot.newest].value
    elif kind == FIRST:
        found = s.nodes[slot.oldest].value
    else:
        found = s.nodes[slot.peak].value
    return float(found)


@kernel
def observe(s: Series, feed: Feed, out: NDArray[np.float64]) -> None:
    """Take a turn in, row by row, and read each row's key; NaN where there is none.

    There must be room for n more nodes and, for distinct values, n more places at no more than half a table.
    """
    for i in range(out.size):
        e, t = feed.reads[i], feed.reads_at[i]
        out[i] = math.nan
        if e == NOBODY:
            out[i] = 0.0 if s.settings[KIND] in EMPTY_IS_ZERO else feed.empty
        if e >= 0:
            _forward(s, e, t)
            if s.settings[PAST]:
                out[i] = _read(s, e, t, feed)
        if feed.event[i] >= 0:
            s.node_of[feed.event[i]] = 0
        if feed.takes[i] >= 0:
            _forward(s, feed.takes[i], feed.takes_at[i])
            _append(s, feed.takes[i], feed.takes_at[i], feed.value[i], feed.event[i])
        if e >= 0 and not s.settings[PAST]:
            out[i] = _read(s, e, t, feed)


@kernel
def learn(s: Series, e: int, event: int, fraud: int) -> None:
    """The payment at this place of the windows, which is in the list of this key or in none, was fraud, or not."""
    x = s.node_of[event]
    if x == 0 or s.nodes[x].fraud == fraud:
        return
    s.nodes[x].fraud = fraud
    if s.nodes[x].inside != 0:
        s.slots[e].stale = 1


@kernel
def clear(s: Series, keys: NDArray[np.int64]) -> None:
    """Forget everything about some keys: their numbers will be others'."""
    for e in keys:
        _forward(s, e, THE_END)


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
