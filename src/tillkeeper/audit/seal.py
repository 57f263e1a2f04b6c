"""The sealer: events become leaves of the tree, and each new head is signed and handed to the anchors.

Numbers are given here and nowhere else, so writers need no lock. What to seal is the difference between two snapshots: the
events of transactions that the one before did not see. Nothing waits for a long transaction, and nothing is read twice.
At its start the sealer also walks once through all events, for those that no snapshot tells of: written before there was
a sealer, or brought into this cluster by a restore. Two sealers at a time (a lease handed over) do no harm: a leaf's number
and its event are unique, so the slower one fails, forgets what it believed, and reads where the tree stands.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper.audit import rows
from tillkeeper.audit.anchoring import ACTOR, Keeper
from tillkeeper.audit.anchors import Anchor
from tillkeeper.audit.events import append
from tillkeeper.audit.form import event_form
from tillkeeper.audit.keys import KEY_FILE, Ring, find_ring, open_ring
from tillkeeper.audit.tree import Frontier, leaf_hash
from tillkeeper.audit.types import Head
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import NIL
from tillkeeper.store import Store, Tx

log = logging.getLogger(__name__)
_NO_END: Final = 2**63 - 1


class _Place(msgspec.Struct, frozen=True):
    """Where the sealer stands. `seen`: the snapshot whose events are sealed.

    While the difference takes several batches, `target` is the snapshot that it goes up to, and `next` where to read on.
    `walked`: where the walk through all events reads on; None when it has ended.
    """

    seen: str
    target: str | None = None
    next: tuple[str, UUID] = rows.START
    walked: UUID | None = None


class _Batch(msgspec.Struct, frozen=True):
    """Events to seal, where the sealer stands when they are, and whether there is more to do at once."""

    events: list[tuple[Any, ...]]
    place: _Place
    more: bool


class _Tree(msgspec.Struct, frozen=True):
    """The tree as the database has it, and who signs it."""

    ring: Ring
    frontier: Frontier
    head: Head | None
    place: _Place


class Sealer:
    """Seals, beat by beat. `key_folder` has the signing key (made at the first start); `anchors` get every head's news."""

    def __init__(self, store: Store, key_folder: Path, anchors: list[Anchor], clock: Clock) -> None:
        self._store, self._folder, self._clock = store, key_folder, clock
        self._keepers = [Keeper(anchor, store, clock) for anchor in anchors]
        self._tree: _Tree | None = None
        self._well_at = clock.monotonic()
        self._alarmed = False

    async def run(self) -> None:
        """Seal and anchor until cancelled. Whatever fails is said once, and tried again at the next beat."""
        self._tree, self._well_at = None, self._clock.monotonic()
        try:
            while True:
                more = False
                try:
                    more = await self.beat()
                except Exception as error:  # noqa: BLE001 - the trail must go on as soon as it can
                    self._alarm(f"{type(error).__name__}: {error}")
                else:
                    self._rest_assured(more=more)
                self.tend()
                if not more:
                    await asyncio.sleep(limits.SEAL_SECONDS)
        finally:
            await self.stop()

    async def beat(self) -> bool:
        """Seal what there is, one batch at most; whether there may be more.

        Raises PrivateFileError for a key file that cannot be used, and what the store raises.
        """
        try:
            async with self._store.tx("seal") as tx:
                tree = self._tree or await self._begin(tx)
                batch = await self._look(tx, tree.place)
                after = await self._add(tx, tree, batch)
        except Exception as error:
            self._tree = None  # the database says where the tree stands, not our memory
            if rows.is_clash(error):
                log.info("audit: another sealer was faster")
                return False
            raise
        self._tree = after
        return batch.more

    def tend(self) -> None:
        """Let every anchor that is behind the newest head catch up, each by itself."""
        if self._tree is not None and self._tree.head is not None:
            for keeper in self._keepers:
                keeper.tend(self._tree.head, self._tree.ring)

    async def stop(self) -> None:
        """Let go of the anchors."""
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers))

    async def settled(self) -> None:
        """Wait until no anchor is being written."""
        await asyncio.gather(*(keeper.settled() for keeper in self._keepers))

    async def _begin(self, tx: Tx) -> _Tree:
        """Where the database stands. What is not ours is not built upon, but does not stop us either.

        Who plants a false head or leaf could otherwise end the sealing. The tree goes on from the leaves as they are, and
        verification finds the fault for ever.
        """
        stored = await rows.last_head(tx)
        ring = await self._open_ring(tx, stored)
        head, frontier, seen = None, Frontier(), None
        if stored is not None:
            head, frontier, seen = stored.head, stored.frontier or frontier, stored.seen
            if stored.frontier is None or not ring.signed(head.key, head.form(), head.signature):
                log.error(
                    "audit: the head of %d events is not signed by our key: till audit verify", head.size
                )
                head, frontier = None, Frontier()
        frontier = frontier.copy()
        known = frontier.size
        async for seq, each in rows.hashes(tx, known, _NO_END):
            if seq != frontier.size:
                break
            frontier.append(each)
        if frontier.size != known and (stored is None or head is not None):
            log.error("audit: leaves %d to %d have no head: till audit verify", known, frontier.size - 1)
        # Where a snapshot tells what is new, the walk is for what no snapshot tells of.
        place = _Place(seen, walked=NIL) if seen else _Place(rows.NOTHING)
        return _Tree(ring, frontier, head, place)

    async def _open_ring(self, tx: Tx, stored: rows.Stored | None) -> Ring:
        """The keys. Where the file is lost, a new key goes on with the trail; what the lost one signed remains verifiable."""
        if stored is None or find_ring(self._folder) is not None:
            ring = open_ring(self._folder, self._clock)
        else:
            log.error("audit: %s is lost; a new key goes on with the trail", self._folder / KEY_FILE)
            old = await rows.keys(tx, self._clock.now())
            ring = open_ring(self._folder, self._clock, stored.head.trail, old)
        if await rows.add_key(tx, ring.current):
            await append(tx, ACTOR, "audit_key.changed", ring.current.id)
        return ring

    async def _look(self, tx: Tx, place: _Place) -> _Batch:
        now = await rows.snapshot(tx)  # before the events: whatever it sees, they see too
        new = await rows.unsealed(tx, place.seen, place.next)
        if len(new) == limits.SEAL_BATCH:
            there = (new[-1][8], rows.following(UUID(new[-1][0])))
            return _Batch(
                new, msgspec.structs.replace(place, target=place.target or now, next=there), more=True
            )
        upto = _Place(place.target or now, walked=place.walked)
        if place.walked is None:
            return _Batch(new, upto, more=False)
        end = await rows.page_end(tx, place.walked, limits.SEAL_BATCH)
        known = {event[0] for event in new}
        old = await rows.unsealed_between(tx, place.walked, end or rows.LAST)
        old = [event for event in old if event[0] not in known]
        return _Batch(
            new + old,
            msgspec.structs.replace(upto, walked=rows.following(end) if end else None),
            more=bool(old and end),
        )

    async def _add(self, tx: Tx, tree: _Tree, batch: _Batch) -> _Tree:
        """Write a batch's leaves and the head over them."""
        if not batch.events:
            return msgspec.structs.replace(tree, place=batch.place)
        frontier, hashes = tree.frontier.copy(), [leaf_hash(event_form(event)) for event in batch.events]
        for each in hashes:
            frontier.append(each)
        head = self._signed(tree.ring, frontier)
        await rows.add_leaves(tx, tree.frontier.size, [event[0] for event in batch.events], hashes)
        await rows.add_head(tx, head, frontier, batch.place.seen)
        return _Tree(tree.ring, frontier, head, batch.place)

    def _signed(self, ring: Ring, frontier: Frontier) -> Head:
        head = Head(ring.trail, frontier.size, frontier.root(), self._clock.now(), ring.current.id, b"")
        return msgspec.structs.replace(head, signature=ring.sign(head.form()))

    def _alarm(self, trouble: str) -> None:
        if not self._alarmed:
            log.warning("audit: events are not sealed: %s", trouble)
        self._alarmed = True

    def _rest_assured(self, *, more: bool) -> None:
        """A beat went well; `more`: it left some to do. What lies too long after the last that left nothing is an alarm."""
        behind = self._clock.monotonic() - self._well_at
        if behind > limits.SEAL_LAG_SECONDS:
            self._alarm(f"the sealer is {behind:.1f} s behind")
        if more:
            return
        if self._alarmed:
            log.warning("audit: events are sealed again, after %.1f s", behind)
        self._well_at, self._alarmed = self._clock.monotonic(), False
