"""Say that a database fell back behind its anchors because an older copy was restored."""

from collections.abc import Sequence
from pathlib import Path

from tillkeeper.audit.anchors import Anchor
from tillkeeper.audit.compare import Comparison
from tillkeeper.audit.events import append
from tillkeeper.audit.findings import Findings
from tillkeeper.audit.keys import Restore, add_restore, find_ring
from tillkeeper.base.clock import Clock
from tillkeeper.store import Store


async def note_restore(
    store: Store, folder: Path, anchors: Sequence[Anchor], clock: Clock, *, by: str, reason: str
) -> Restore | None:
    """Note in the key file, and in the trail, that what the anchors have more than the database was lost by a restore.

    None where nothing is missing. Every verification tells it from then on. Raises PrivateFileError.
    """
    ring = find_ring(folder)
    if ring is None:
        return None
    agreed: list[int] = []
    for anchor in anchors:
        comparison = Comparison(store, anchor, ring, Findings())
        await comparison.part(ring.trail, clock)
        if comparison.fell_back is not None:
            agreed.append(comparison.fell_back)
    if not agreed:
        return None
    async with store.tx("audit restored") as tx:
        restore = Restore(min(agreed), clock.now(), by, reason)
        add_restore(folder, restore)
        await append(tx, by, "audit.restored", "audit", f"to event {restore.size - 1}: {reason}", "cli")
    return restore
