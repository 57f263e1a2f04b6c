"""Exact sliding windows over payments, compiled by Numba: one call carries a whole turn.

Every payment is one `EVENT` that stands in up to four lists, one per kind of profile (customer, payee, device, ip),
each in order of arrival. A profile keeps, per window, where the window begins (`tail`), a running count, sum and number
of distinct counterparties, and the largest payment (`peak`: the head of a list of decreasing amounts that all windows
share). Work per payment is constant on average: each event enters and leaves each window once.

Everything kept is an integer, so a profile depends on its events alone, not on how often it was moved forward: that is
why profiles rebuilt from the database equal the ones lived through.

A profile's time never runs back: an event older than the newest time seen by a profile counts, in that profile, as
happening at that newest time. The four profiles of one event may therefore see it at four times (`t`). Who pays and is
paid has one time: as a payee it stands at least where the same person stands as a customer.

What is kept for declared features (series.py) is told of each event: its place here and the times it was seen at.

This file imports nothing that is compiled in, and is not to be split: Numba's cache of machine code watches the one file of
the function that is called, and would go on using what was compiled from constants and helpers of others.
"""

import math
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from tillkeeper.risk.arrays import kernel
from tillkeeper.risk.arrays import refill as refill  # noqa: PLC0414 - beside what it is called for

# NumPy's integers, not Python's: for each value of a Python constant that is handed over Numba compiles a function anew.
CUSTOMER, PAYEE, DEVICE, IP, NETWORK = (cast("int", np.int64(n)) for n in range(5))

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
SPANS: Final = (60 * SECOND, 3600 * SECOND, DAY, 7 * DAY, 30 * DAY)  # of the windows (t - span, t]
DELAY: Final = 7 * DAY  # until fraud is known: a payee's fraud rate looks only at payments older than this
DELAYED_SPANS: Final = (DAY, 7 * DAY, 30 * DAY)  # of the windows (t - delay - span, t - delay]
MEMORY: Final = DELAY + DELAYED_SPANS[2]  # nothing older has any influence
AGE_LIMIT: Final = 7 * DAY  # of pairs: more would need a longer memory to be the same after a restart
LONGEST: Final = len(SPANS) - 1

# Pairs of profiles whose latest common event is looked up. The last is the table's other use: a payment by its id.
PAIRS: Final = ((CUSTOMER, PAYEE), (CUSTOMER, DEVICE), (PAYEE, DEVICE), (IP, CUSTOMER), (IP, DEVICE))
BY_ID: Final = cast("int", np.int64(len(PAIRS)))
IN, OUT = cast("int", np.int64(1)), cast("int", np.int64(-1))
# Per kind: the pairs of its two distinct counts, and the kinds counted (features.OTHERS in numbers).
PAIRS_OF: Final = ((0, 1), (0, 2), (1, 2), (3, 4))
OTHERS_OF: Final = ((PAYEE, DEVICE), (CUSTOMER, DEVICE), (CUSTOMER, PAYEE), (CUSTOMER, DEVICE))
FRAUD: Final = 1 << BY_ID  # bits below: "a later event of this pair stands in the table"

HALF: Final = 20  # amounts are below 2**40; squares are summed as products of 20-bit halves
HALF_MASK: Final = (1 << HALF) - 1
AMOUNT_LIMIT: Final = 1 << (2 * HALF)
MIN_TRAVEL_SECONDS: Final = 60.0  # a jump of the position within a minute is measured as if it took one
EARTH_KM: Final = 6371.0088

NONE: Final = -1
LONG_AGO: Final = -(2**61)
MAX_EVENTS: Final = 2**28  # an entry of the table holds 31 bits of hash, 28 of event, 3 of pair

EVENT: Final = np.dtype(
    [
        ("t", "i8", 4),  # µs, as each kind's profile sees it
        ("amount", "i8"),
        ("first", "i8", 2),  # since when the customer knows this payee, this device
        ("id", "i8", 2),
        ("next", "i4", 4),  # in each kind's list
        ("older", "i4", 4),  # neighbours in the list of decreasing amounts
        ("newer", "i4", 4),
        ("who", "i4", 4),  # the profiles
        ("marks", "i4"),
        ("lists", "i4"),  # how many lists it still stands in
    ],
    align=True,
)
PROFILE: Final = np.dtype(
    [
        ("now", "i8"),
        ("total", "i8", 5),
        ("high", "i8"),  # over 30 days: sum of upper halves, and of the products of halves
        ("high_high", "i8"),
        ("high_low", "i8"),
        ("low_low", "i8"),
        ("seen", "i8"),  # the newest time of whatever happened here: payments, logins, settings
        ("guard", "i8"),  # the newest time of any profile that shares an event with this one
        ("placed_at", "i8"),
        ("kind", "i8"),
        ("place", "f8", 2),
        ("count", "i4", 5),
        ("others", "i4", (2, 5)),
        ("tail", "i4", 5),
        ("peak", "i4", 5),
        ("last", "i4"),
        ("refs", "i4"),  # events that name it; at 0 its number may be given to another
        ("entering", "i4"),  # payees: the first event younger than the label delay
        ("settled_tail", "i4", 3),
        ("settled", "i4", 3),
        ("frauds", "i4", 3),
    ],
    align=True,
)
FREE, USED, LIVE, ENTRIES = range(4)  # the pool's counters


class Pool(NamedTuple):
    """All state of the windows: four plain arrays, so Numba takes them as they are."""

    events: NDArray[Any]
    profiles: NDArray[Any]
    table: NDArray[np.int64]
    counters: NDArray[np.int64]


class Turn(NamedTuple):
    """Payments in arrival order. `who`: customer, payee, device, ip; the customer as a payee, the payee as a customer; -1
    for none. To be written: `event`, each one's place among the events, and `times`: what the clocks of customer, payee,
    device, ip and the customer as a payee showed, then the same clocks of everything that happens (`seen`).
    """

    at: NDArray[np.int64]
    amount: NDArray[np.int64]
    who: NDArray[np.int32]
    id: NDArray[np.int64]
    place: NDArray[np.float64]
    event: NDArray[np.int32]
    times: NDArray[np.int64]


# A row of the matrix: a block per kind (count, sum, mean, maximum, two distinct counts; each by window), then the same of
# what the customer received (count, sum, distinct payers), then by delayed window payments, frauds and their rate.
BLOCK: Final = 6 * len(SPANS)
RECEIVED: Final = 4 * BLOCK
SETTLED: Final = RECEIVED + 3 * len(SPANS)
AMOUNT: Final = SETTLED + 9
RATIO, Z_SCORE, SINCE_LAST, AGE, DISTANCE, SPEED, LATE = (AMOUNT + n for n in (1, 2, 3, 4, 8, 9, 10))
NEW: Final = AGE + 2  # ages of the pairs customer-payee and customer-device, then whether they are new
COLUMNS: Final = LATE + 1


@kernel
def distance_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance of two places in degrees (haversine)."""
    up = math.radians(other_latitude - latitude)
    along = math.radians(other_longitude - longitude)
    shrink = math.cos(math.radians(latitude)) * math.cos(math.radians(other_latitude))
    h = math.sin(up / 2) ** 2 + shrink * math.sin(along / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, h)))


# -- the table: (pair, a, b) -> the latest event of both. Open addressing; an entry holds its hash, so it can move.


@kernel
def _wide(number: int) -> int:
    """One width for all, so that what takes it is compiled once."""
    return np.int64(number)  # type: ignore[return-value]


@kernel
def _hash(pair: int, a: int, b: int) -> int:
    h = np.uint64(a) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(b)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93) + np.uint64(pair)
    h = (h ^ (h >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(h >> np.uint64(33))  # type: ignore[return-value]


@kernel
def _event_of(entry: int) -> int:
    return (entry & 0x7FFFFFFF) >> 3


@kernel
def _find(p: Pool, pair: int, a: int, b: int) -> int:
    """The slot that holds the key, or the empty slot where it belongs."""
    h = _hash(pair, a, b)
    mask = p.table.size - 1
    slot = h & mask
    while p.table[slot] != NONE:
        entry = p.table[slot]
        if entry >> 31 == h and entry & 7 == pair:
            event = p.events[_event_of(entry)]
            if pair == BY_ID:
                if event.id[0] == a and event.id[1] == b:
                    return slot
            elif event.who[PAIRS[pair][0]] == a and event.who[PAIRS[pair][1]] == b:
                return slot
        slot = (slot + 1) & mask
    return slot


@kernel
def _put(p: Pool, slot: int, pair: int, a: int, b: int, x: int) -> None:
    if p.table[slot] == NONE:
        p.counters[ENTRIES] += 1
    p.table[slot] = (_hash(pair, a, b) << 31) | (x << 3) | pair


@kernel
def _remove(p: Pool, slot: int) -> None:
    mask = p.table.size - 1
    hole = slot
    while True:
        slot = (slot + 1) & mask
        entry = p.table[slot]
        if entry == NONE:
            break
        home = (entry >> 31) & mask
        if (slot - home) & mask >= (slot - hole) & mask:
            p.table[hole] = entry
            hole = slot
    p.table[hole] = NONE
    p.counters[ENTRIES] -= 1


# -- leaving


@kernel
def _free(p: Pool, x: int) -> None:
    """The event stands in no list any more: forget it wherever it is named."""
    event = p.events[x]
    for pair in range(BY_ID):
        a = _wide(event.who[PAIRS[pair][0]])
        b = _wide(event.who[PAIRS[pair][1]])
        if a >= 0 and b >= 0 and not event.marks & (1 << pair):
            _remove(p, _find(p, pair, a, b))
    slot = _find(p, BY_ID, event.id[0], event.id[1])
    if p.table[slot] != NONE and _event_of(p.table[slot]) == x:
        _remove(p, slot)
    for k in range(4):
        if event.who[k] >= 0:
            p.profiles[event.who[k]].refs -= 1
    event.next[0] = p.counters[FREE]
    p.counters[FREE] = x
    p.counters[LIVE] -= 1


@kernel
def _drop(p: Pool, x: int) -> None:
    event = p.events[x]
    event.lists -= 1
    if event.lists == 0:
        _free(p, x)


@kernel
def _add_squares(p: Pool, e: int, amount: int, sign: int) -> None:
    """Add an amount to the 30-day sums of squares, or take it away."""
    profile = p.profiles[e]
    high, low = amount >> HALF, amount & HALF_MASK
    profile.high += sign * high
    profile.high_high += sign * high * high
    profile.high_low += sign * high * low
    profile.low_low += sign * low * low


@kernel
def _expire(p: Pool, e: int, k: int, w: int) -> None:
    """Move the beginning of one window up to the profile's time."""
    profile = p.profiles[e]
    cutoff = profile.now - SPANS[w]
    x = profile.peak[w]
    while x >= 0 and p.events[x].t[k] <= cutoff:
        x = p.events[x].newer[k]
    profile.peak[w] = x
    if w == LONGEST and x >= 0:
        p.events[x].older[k] = NONE
    x = profile.tail[w]
    while x >= 0 and p.events[x].t[k] <= cutoff:
        event = p.events[x]
        following = event.next[k]
        profile.count[w] -= 1
        profile.total[w] -= event.amount
        for side in range(2):
            if event.who[OTHERS_OF[k][side]] >= 0 and not event.marks & (1 << PAIRS_OF[k][side]):
                profile.others[side, w] -= 1
        if w == LONGEST and k == CUSTOMER:
            _add_squares(p, e, event.amount, OUT)
        if w == LONGEST and k != PAYEE:
            _drop(p, x)
        x = following
    profile.tail[w] = x


@kernel
def _settle(p: Pool, e: int) -> None:
    """Move a payee's delayed windows: events enter when the label delay has passed, and leave at the far end."""
    profile = p.profiles[e]
    x = profile.entering
    while x >= 0 and p.events[x].t[PAYEE] <= profile.now - DELAY:
        fraud = (p.events[x].marks & FRAUD) // FRAUD
        for d in range(len(DELAYED_SPANS)):
            profile.settled[d] += 1
            profile.frauds[d] += fraud
        x = p.events[x].next[PAYEE]
    profile.entering = x
    for d in range(len(DELAYED_SPANS)):
        cutoff = profile.now - DELAY - DELAYED_SPANS[d]
        x = profile.settled_tail[d]
        while x >= 0 and p.events[x].t[PAYEE] <= cutoff:
            following = p.events[x].next[PAYEE]
            profile.settled[d] -= 1
            profile.frauds[d] -= (p.events[x].marks & FRAUD) // FRAUD
            if d == 2:
                _drop(p, x)
            x = following
        profile.settled_tail[d] = x


@kernel
def _forward(p: Pool, e: int, k: int, t: int) -> int:
    """Move a profile to time t, or leave it where it is if it is further. Returns the time it stands at."""
    profile = p.profiles[e]
    if t > profile.now:
        profile.now = t
        for w in range(len(SPANS)):
            _expire(p, e, k, w)
        front = profile.tail[LONGEST]
        if k == PAYEE:
            _settle(p, e)
            front = profile.settled_tail[2]
        if front < 0:
            profile.last = NONE
    return profile.now  # type: ignore[no-any-return]


# -- arriving


@kernel
def _new_event(p: Pool) -> int:
    p.counters[LIVE] += 1
    x = p.counters[FREE]
    if x >= 0:
        p.counters[FREE] = p.events[x].next[0]
    else:
        x = p.counters[USED]
        p.counters[USED] += 1
    return x  # type: ignore[no-any-return]


@kernel
def _count_pair(p: Pool, x: int, pair: int, row: NDArray[np.float64]) -> None:
    """Make this event the latest of a pair of profiles, and count the pair where it is new within a window."""
    event = p.events[x]
    a, b = _wide(event.who[PAIRS[pair][0]]), _wide(event.who[PAIRS[pair][1]])
    if a < 0 or b < 0:
        return
    slot = _find(p, pair, a, b)
    before = NONE
    if p.table[slot] != NONE:
        before = _event_of(p.table[slot])
        p.events[before].marks |= 1 << pair
    _put(p, slot, pair, a, b, x)
    for k in PAIRS[pair]:
        for side in range(2):
            if PAIRS_OF[k][side] == pair:
                profile = p.profiles[event.who[k]]
                for w in range(len(SPANS)):
                    if before < 0 or p.events[before].t[k] <= event.t[k] - SPANS[w]:
                        profile.others[side, w] += 1
    if PAIRS[pair][0] == CUSTOMER:
        known = before >= 0 and p.events[before].t[CUSTOMER] > event.t[CUSTOMER] - SPANS[LONGEST]
        event.first[pair] = p.events[before].first[pair] if known else event.t[CUSTOMER]
        row[AGE + pair] = min(event.t[CUSTOMER] - event.first[pair], AGE_LIMIT) / SECOND
        row[NEW + pair] = 0.0 if known else 1.0


@kernel
def _raise_peaks(p: Pool, e: int, k: int, x: int) -> None:
    """The event is the largest of every window whose largest was not above it."""
    profile = p.profiles[e]
    event = p.events[x]
    q = profile.last if profile.peak[LONGEST] >= 0 else NONE
    while q >= 0 and p.events[q].amount <= event.amount:
        q = p.events[q].older[k]
    event.older[k] = q
    event.newer[k] = NONE
    if q >= 0:
        p.events[q].newer[k] = x
    for w in range(len(SPANS)):
        if profile.peak[w] < 0 or p.events[profile.peak[w]].amount <= event.amount:
            profile.peak[w] = x


@kernel
def _append(p: Pool, e: int, k: int, x: int) -> None:
    """Put the event at the end of a profile's list and into all its windows."""
    profile = p.profiles[e]
    event = p.events[x]
    _raise_peaks(p, e, k, x)
    for w in range(len(SPANS)):
        if profile.tail[w] < 0:
            profile.tail[w] = x
        profile.count[w] += 1
        profile.total[w] += event.amount
    event.next[k] = NONE
    if profile.last >= 0:
        p.events[profile.last].next[k] = x
    profile.last = x
    profile.refs += 1
    event.lists += 1
    if k == CUSTOMER:
        _add_squares(p, e, event.amount, IN)
    if k == PAYEE:
        _await_settling(p, e, x)


@kernel
def _await_settling(p: Pool, e: int, x: int) -> None:
    profile = p.profiles[e]
    profile.entering = profile.entering if profile.entering >= 0 else x
    for d in range(len(DELAYED_SPANS)):
        profile.settled_tail[d] = profile.settled_tail[d] if profile.settled_tail[d] >= 0 else x


# -- what is read


@kernel
def _deviation(p: Pool, e: int) -> float:
    """Sample standard deviation of the amounts within 30 days, NaN for fewer than two.

    The squares are taken around the mean's integer part in exact integers: what is left to rounding is far below a
    minor unit, however small the deviation is beside the mean.
    """
    profile = p.profiles[e]
    n = np.int64(profile.count[LONGEST])
    if n < 2:
        return math.nan
    total = profile.total[LONGEST]
    mean = total // n
    high, low = mean >> HALF, mean & HALF_MASK
    total_low = total - (profile.high << HALF)
    hh = profile.high_high - 2 * high * profile.high + n * high * high
    hl = profile.high_low - high * total_low - low * profile.high + n * high * low
    ll = profile.low_low - 2 * low * total_low + n * low * low
    around = float(hh) * 2.0 ** (2 * HALF) + float(hl) * 2.0 ** (HALF + 1) + float(ll)
    rest = float(total - n * mean)
    return math.sqrt(max(0.0, (around - rest * rest / n) / (n - 1)))


@kernel
def _read_past(
    p: Pool, e: int, at: int, amount: int, place: NDArray[np.float64], row: NDArray[np.float64]
) -> None:
    """What the customer did before this payment; the profile stands at the payment's time, without it."""
    profile = p.profiles[e]
    row[AMOUNT] = amount
    row[LATE] = (profile.now - at) / SECOND
    row[RATIO] = row[Z_SCORE] = row[SINCE_LAST] = row[DISTANCE] = row[SPEED] = math.nan
    n = profile.count[LONGEST]
    if n > 0:
        mean = profile.total[LONGEST] / n
        if mean > 0:
            row[RATIO] = amount / mean
        deviation = _deviation(p, e)
        if deviation > 0:
            row[Z_SCORE] = (amount - mean) / deviation
        row[SINCE_LAST] = (profile.now - p.events[profile.last].t[CUSTOMER]) / SECOND
    if math.isnan(place[0]):
        return
    if profile.placed_at > profile.now - SPANS[LONGEST]:
        row[DISTANCE] = distance_km(profile.place[0], profile.place[1], place[0], place[1])
        seconds = max(MIN_TRAVEL_SECONDS, (profile.now - profile.placed_at) / SECOND)
        row[SPEED] = row[DISTANCE] / seconds * 3600.0
    profile.placed_at = profile.now
    profile.place[0], profile.place[1] = place[0], place[1]


@kernel
def _read_windows(p: Pool, e: int, column: int, row: NDArray[np.float64]) -> None:
    profile, width = p.profiles[e], len(SPANS)
    for w in range(width):
        row[column + w] = profile.count[w]
        row[column + width + w] = profile.total[w]
        row[column + 2 * width + w] = profile.total[w] / profile.count[w]
        row[column + 3 * width + w] = p.events[profile.peak[w]].amount
        row[column + 4 * width + w] = profile.others[0, w]
        row[column + 5 * width + w] = profile.others[1, w]


@kernel
def _read_payee(p: Pool, e: int, row: NDArray[np.float64]) -> None:
    profile = p.profiles[e]
    for d in range(len(DELAYED_SPANS)):
        row[SETTLED + d] = profile.settled[d]
        row[SETTLED + 3 + d] = profile.frauds[d]
        row[SETTLED + 6 + d] = profile.frauds[d] / profile.settled[d] if profile.settled[d] > 0 else 0.0


@kernel
def _read_received(p: Pool, e: int, t: int, row: NDArray[np.float64]) -> None:
    """What the customer was paid, from the profile of the same person as payee."""
    width = len(SPANS)
    if e < 0:
        row[RECEIVED : RECEIVED + 3 * width] = 0.0
        return
    _forward(p, e, PAYEE, t)
    profile = p.profiles[e]
    for w in range(width):
        row[RECEIVED + w] = profile.count[w]
        row[RECEIVED + width + w] = profile.total[w]
        row[RECEIVED + 2 * width + w] = profile.others[0, w]


@kernel
def _clocks(p: Pool, turn: Turn, i: int) -> None:
    """Move all profiles of a payment to its time, and write down where each stands then."""
    at, who, times = turn.at[i], turn.who[i], turn.times[i]
    for k in range(4):
        t = at
        if k == PAYEE and who[5] >= 0:
            t = max(t, p.profiles[who[5]].now)
        times[k] = _forward(p, who[k], k, t) if who[k] >= 0 else 0
    times[4] = _forward(p, who[4], PAYEE, times[CUSTOMER]) if who[4] >= 0 else times[CUSTOMER]
    newest = max(times[0], times[1], times[2], times[3])
    for k in range(4):
        times[5 + k] = at
        if who[k] >= 0:
            profile = p.profiles[who[k]]
            times[5 + k] = profile.seen = max(profile.seen, at)
            profile.guard = max(profile.guard, newest, profile.seen)


@kernel
def _observe(p: Pool, turn: Turn, i: int, row: NDArray[np.float64]) -> None:
    # All profiles are moved first: a pair is counted as new or known against windows that stand at this event.
    _clocks(p, turn, i)
    x = _new_event(p)
    turn.event[i] = x
    event = p.events[x]
    event.amount = turn.amount[i]
    event.marks = event.lists = 0
    event.id[0], event.id[1] = turn.id[i, 0], turn.id[i, 1]
    for k in range(4):
        event.who[k], event.t[k] = turn.who[i, k], turn.times[i, k]
    _read_received(p, turn.who[i, 4], turn.times[i, 4], row)
    _read_past(p, event.who[CUSTOMER], turn.at[i], event.amount, turn.place[i], row)
    row[AGE : AGE + 4] = math.nan
    for pair in range(BY_ID):
        _count_pair(p, x, pair, row)
    _put(p, _find(p, BY_ID, event.id[0], event.id[1]), BY_ID, event.id[0], event.id[1], x)
    for k in range(4):
        if event.who[k] >= 0:
            _append(p, event.who[k], k, x)
            _read_windows(p, event.who[k], k * BLOCK, row)
        else:
            row[k * BLOCK : (k + 1) * BLOCK] = math.nan
    _read_payee(p, event.who[PAYEE], row)


@kernel
def observe(p: Pool, turn: Turn, matrix: NDArray[np.float64]) -> None:
    """Take the payments of a turn in, one after the other; each row is what was known with that payment included.

    The pool must have room for n more events, and 6 n more entries at no more than half a table.
    """
    for i in range(turn.at.size):
        _observe(p, turn, i, matrix[i])


@kernel
def learn(p: Pool, high: int, low: int, fraud: int) -> int:
    """Mark a payment as fraud (1) or not (0). Its place among the events, NONE if it is not, or no longer, remembered."""
    entry = p.table[_find(p, BY_ID, high, low)]
    if entry == NONE:
        return NONE
    x = _event_of(entry)
    event = p.events[x]
    if event.marks & FRAUD != fraud * FRAUD:
        event.marks ^= FRAUD
        profile = p.profiles[event.who[PAYEE]]
        age = profile.now - event.t[PAYEE]
        for d in range(len(DELAYED_SPANS)):
            if DELAY <= age < DELAY + DELAYED_SPANS[d]:
                profile.frauds[d] += 2 * fraud - 1
    return x


@kernel
def sweep(p: Pool, begin: int, end: int, horizon: int, idle: NDArray[np.int64]) -> int:
    """Look at the profiles of [begin, end): forget those that stand before the horizon, list those nobody names any more.

    Returns how many were written to `idle`, each as its number * 8 + its kind.
    """
    found = 0
    for e in range(begin, end):
        profile = p.profiles[e]
        if profile.kind < 0 or profile.now >= horizon or profile.guard >= horizon:
            continue
        if profile.last >= 0:
            now = profile.now
            _forward(p, e, profile.kind, now + MEMORY)
            profile.now = now
        if profile.refs == 0:
            idle[found] = e * 8 + profile.kind
            profile.kind = NONE
            found += 1
    return found
