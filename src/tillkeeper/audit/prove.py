"""Prove that an event stands in the trail to somebody who trusts the public key and nothing else."""

from uuid import UUID

import msgspec

from tillkeeper.audit import rows
from tillkeeper.audit.form import EVENT_FIELDS, event_form
from tillkeeper.audit.keys import Ring
from tillkeeper.audit.tree import Frontier, leaf_hash, node_hash, siblings
from tillkeeper.audit.types import Head
from tillkeeper.base.clock import to_us
from tillkeeper.store import Store, Tx


class Proof(msgspec.Struct, frozen=True):
    """An inclusion proof (RFC 6962, 2.1.1) with the signed head that it leads to; hashes and keys in hexadecimal.

    `event`: the columns' names and texts in the order in which they are hashed; `at_us`: the head's time, microseconds
    since 1970-01-01 UTC. What is hashed and signed is described in form.py.
    """

    event: list[tuple[str, str | None]]
    seq: int
    path: list[str]
    trail: UUID
    size: int
    root: str
    at_us: int
    key: str
    public_key: str | None
    signature: str


class ProofError(Exception):
    """There is nothing to prove. The message says why."""


async def prove(store: Store, event: UUID, ring: Ring | None, size: int | None = None) -> Proof:
    """The proof that an event is in the tree of `size` leaves, the newest by default; one that an anchor has is best.

    Without `ring` the proof names the key, but not its public part. Raises ProofError: no such event, not sealed yet, no
    head of this size, or the database no longer holds what was sealed.
    """
    async with store.tx("audit prove") as tx:
        leaf = await rows.leaf_of(tx, event)
        if leaf is None:
            raise ProofError("there is no sealed event of this id; a new one is sealed within a second")
        head = await _head(tx, size)
        if leaf.columns is None or leaf_hash(event_form(leaf.columns)) != leaf.hash:
            raise ProofError("the event is not as it was sealed: run till audit verify")
        if leaf.seq >= head.size:
            raise ProofError(f"the event is number {leaf.seq}, beyond the head of {head.size}")
        path = await _path(tx, leaf.seq, head.size)
    if _folded(leaf.hash, leaf.seq, head.size, path) != head.root:
        raise ProofError("the tree does not lead to the signed root: run till audit verify")
    place = ring.place(head.key) if ring else None
    public = ring.keys[place].public if ring and place is not None else None
    return Proof(
        event=list(zip(EVENT_FIELDS, leaf.columns, strict=True)),
        seq=leaf.seq,
        path=[each.hex() for each in path],
        trail=head.trail,
        size=head.size,
        root=head.root.hex(),
        at_us=to_us(head.at),
        key=head.key,
        public_key=public,
        signature=head.signature.hex(),
    )


async def _head(tx: Tx, size: int | None) -> Head:
    if size is None:
        last = await rows.last_head(tx)
        if last is None:
            raise ProofError("nothing is under a signed head yet")
        return last.head
    found = (await rows.heads_of(tx, [size])).get(size)
    if found is None:
        raise ProofError(f"there is no head of {size} events: take the size of an anchored one")
    return found


async def _path(tx: Tx, index: int, size: int) -> list[bytes]:
    """The roots beside the way up, each folded from its leaves as they stream by. Raises ProofError at a gap."""
    path = []
    for start, stop in siblings(index, size):
        part = Frontier()
        async for _, each in rows.hashes(tx, start, stop):
            part.append(each)
        if part.size != stop - start:
            raise ProofError("leaves are gone: run till audit verify")
        path.append(part.root())
    return path


def _folded(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Where a path leads."""
    root = leaf
    for (start, _), sibling in zip(siblings(index, size), path, strict=True):
        root = node_hash(sibling, root) if start < index else node_hash(root, sibling)
    return root
