"""Recompute the tree from the events and compare it with everything that was signed and anchored.

An auditor that trusts no row: each event is hashed anew and compared with its leaf, the leaves are folded anew and compared
with each head, each head's signature is checked, and each anchored head is looked for among them. It reads in batches, so
its memory does not grow, and events may be written and sealed meanwhile. What cannot be looked at is "not assessed".
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.audit import rows
from tillkeeper.audit.anchors import Anchor
from tillkeeper.audit.compare import Comparison
from tillkeeper.audit.findings import Fault, Findings, Part, State
from tillkeeper.audit.form import event_form
from tillkeeper.audit.keys import Ring
from tillkeeper.audit.rows import Leaf
from tillkeeper.audit.tree import Frontier, leaf_hash
from tillkeeper.audit.types import Head
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, from_us
from tillkeeper.base.ids import NIL
from tillkeeper.store import Store

EVENTS: Final = "events"
SIGNATURES: Final = "signatures"
WAITING: Final = "waiting"
_LATE: Final = timedelta(minutes=1)  # an event that waits longer was not meant to be sealed, or nobody seals
_CLOCKS: Final = timedelta(hours=1)  # a clock may have been wrong by so much when a key was replaced


class Report(msgspec.Struct, frozen=True):
    """What was found. `faults` are at most AUDIT_FAULTS, by their place in the tree; `fault_count` is all of them."""

    size: int
    root: bytes
    parts: tuple[Part, ...]
    faults: tuple[Fault, ...]
    fault_count: int

    @property
    def state(self) -> State:
        """The worst of the parts: what could not be assessed is never fine."""
        states = {part.state for part in self.parts}
        return "broken" if "broken" in states else "not assessed" if "not assessed" in states else "holds"

    @property
    def first(self) -> Fault | None:
        """The fault nearest to the beginning."""
        return self.faults[0] if self.faults else None


async def verify(
    store: Store,
    ring: Ring | None,
    anchors: Sequence[Anchor],
    clock: Clock,
    tell: Callable[[int, int], None] = lambda _done, _size: None,
) -> Report:
    """Look at everything. `ring`: the keys to trust; None if there is no key file here. `tell` hears how far it has come."""
    found = Findings()
    async with store.tx("audit verify") as tx:
        last = await rows.last_head(tx)
    size, trail = (last.head.size, last.head.trail) if last else (0, NIL)
    trail = ring.trail if ring else trail
    anchored = [await Comparison(store, each, ring, found).part(trail, clock) for each in anchors]
    walk = _Walk(ring, found)
    await walk.through(store, size, tell)
    parts = (
        found.part(EVENTS, f"{walk.tree.size} sealed events looked at"),
        walk.signatures(),
        await _waiting(store, found, size, clock.now()),
        *anchored,
    )
    return Report(walk.tree.size, walk.tree.root(), parts, await _named(store, found), found.count)


class _Walk:
    """The way through all leaves and heads, in order."""

    def __init__(self, ring: Ring | None, found: Findings) -> None:
        self.tree = Frontier()
        self._ring, self._found = ring, found
        self._heads = 0
        self._judged = 0  # so many leaves are under a head that was looked at
        self._good = 0  # and so many under one that fits
        self._fits = True
        self._whole = True  # no leaf was missing so far: only then a tree can be computed
        self._key = 0  # the place of the last head's key in the order of use

    async def through(self, store: Store, size: int, tell: Callable[[int, int], None]) -> None:
        """All leaves and heads up to a size."""
        heads = _heads(store, size)
        next_head = await anext(heads, None)
        async for leaf in _leaves(store, size):
            self._take(leaf)
            if leaf.seq % limits.AUDIT_PAGE == 0:
                tell(leaf.seq, size)
            if next_head is not None and self._whole and self.tree.size == next_head[0].size:
                if self._judge(next_head[0]):
                    self._compare(*next_head)
                next_head = await anext(heads, None)
        if self._whole and self.tree.size < size:
            what = f"{size} events were sealed, {self.tree.size} are there: the rest was cut off"
            self._found.note(EVENTS, self.tree.size, None, what)
        while next_head is not None:
            self._judge(next_head[0])
            next_head = await anext(heads, None)

    def _take(self, leaf: Leaf) -> None:
        """A leaf with its event."""
        if self._whole and leaf.seq != self.tree.size:
            what = f"the leaves {self.tree.size} to {leaf.seq - 1} are gone; no tree can be computed from there on"
            self._found.note(EVENTS, self.tree.size, None, what)
            self._whole = False
        if leaf.columns is None:
            self._found.note(EVENTS, leaf.seq, leaf.event, "the event is gone")
        elif leaf_hash(event_form(leaf.columns)) != leaf.hash:
            self._found.note(EVENTS, leaf.seq, leaf.event, "the event is not as it was sealed")
        if self._whole:
            self.tree.append(leaf.hash)

    def _judge(self, head: Head) -> bool:
        """Whether a head is ours."""
        start, self._judged, self._heads = self._judged, head.size, self._heads + 1
        if self._ring is None:
            return True
        place, named = self._ring.place(head.key), f"the head of {head.size} events"
        if place is None:
            what = f"{named} is signed with {head.key}, which is no key of ours"
        elif head.trail != self._ring.trail or not self._ring.signed(head.key, head.form(), head.signature):
            what = f"{named} does not have our signature"
        elif place < self._key or _retired(self._ring.keys[place].until, head.at):
            what = f"{named} is signed with {head.key}, which had been replaced"
        else:
            self._key = place
            return True
        self._found.note(SIGNATURES, start, None, what)
        return False

    def _compare(self, head: Head, frontier: bytes) -> None:
        """A head with the tree as it is; of several in a row that do not fit, the first counts."""
        fits = head.root == self.tree.root()
        if self._fits and not fits:
            start, stop = _where(self.tree, head, frontier)
            start, stop = max(start, self._good), min(stop, head.size)
            one = f"one of the events {start} to {stop - 1}" if stop - start > 1 else "the event"
            what = f"{one} is another than was sealed: changed, moved, taken out or put in"
            self._found.note(EVENTS, start, None, what)
        self._fits, self._good = fits, head.size

    def signatures(self) -> Part:
        """What came of the signatures."""
        if self._ring is None:
            return Part(
                SIGNATURES, "not assessed", "there is no audit.key in the key folder to check them with"
            )
        good = f"{self._heads} heads looked at, the last key is {self._ring.keys[self._key].id}"
        return self._found.part(SIGNATURES, good)


def _where(tree: Frontier, head: Head, raw: bytes) -> tuple[int, int]:
    """The first of the perfect subtrees that is not as the head's frontier has it, if that gives the head's root."""
    frontier = Frontier.read(head.size, raw)
    if frontier is None or frontier.root() != head.root:
        return 0, head.size
    start = 0
    widths = [1 << bit for bit in reversed(range(head.size.bit_length())) if head.size >> bit & 1]
    for width, theirs, ours in zip(widths, frontier.peaks, tree.peaks, strict=True):
        if theirs != ours:
            return start, start + width
        start += width
    return 0, head.size


def _retired(until: datetime | None, at: datetime) -> bool:
    return until is not None and at > until + _CLOCKS


async def _waiting(store: Store, found: Findings, size: int, now: datetime) -> Part:
    """Events without a leaf, leaves without a head."""
    async with store.tx("audit verify") as tx:
        count = await rows.leaf_count(tx)
        covered = count <= size or await rows.head_from(tx, count) is not None
    if not covered:
        found.note(WAITING, size, None, f"the leaves from {size} on are under no signed head")
    waiting, late = 0, []
    async for event, at in _unsealed(store):
        waiting += 1
        if not at.isdigit() or now - from_us(int(at)) > _LATE:
            late.append(event)
            late = late[:1]
    if late:
        return found.part(
            WAITING, f"{waiting} events are not sealed, {late[0]} first: does the agent run?", "not assessed"
        )
    return found.part(WAITING, f"{waiting} events wait for the seal")


async def _unsealed(store: Store) -> AsyncIterator[tuple[str, str]]:
    """Id and time of every event that has no leaf."""
    place: UUID | None = NIL
    while place is not None:
        async with store.tx("audit verify") as tx:
            end = await rows.page_end(tx, place, limits.AUDIT_PAGE)
            found = await rows.unsealed_between(tx, place, end or rows.LAST)
        for event in found:
            yield event[0], event[1]
        place = rows.following(end) if end else None


async def _leaves(store: Store, size: int) -> AsyncIterator[Leaf]:
    at = 0
    while at < size:
        async with store.tx("audit verify") as tx:
            found = await rows.leaves(tx, at, size)
        if not found:
            return
        for leaf in found:
            yield leaf
        at = found[-1].seq + 1


async def _heads(store: Store, size: int) -> AsyncIterator[tuple[Head, bytes]]:
    after = 0
    while True:
        async with store.tx("audit verify") as tx:
            found = await rows.heads(tx, after)
        for head in found:
            if head[0].size > size:
                return
            yield head
        if not found:
            return
        after = found[-1][0].size


async def _named(store: Store, found: Findings) -> tuple[Fault, ...]:
    """The faults by their place, each with the event that stands there now, if one does."""
    named = []
    async with store.tx("audit verify") as tx:
        for fault in sorted(found.faults, key=lambda each: each.seq):
            event = fault.event or await rows.event_at(tx, fault.seq)
            named.append(msgspec.structs.replace(fault, event=event))
    return tuple(named)
