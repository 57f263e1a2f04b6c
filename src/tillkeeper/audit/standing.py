"""How far the seal has come, for the doctor and the console."""

from tillkeeper.audit import rows
from tillkeeper.audit.anchoring import FAILED, RECOVERED
from tillkeeper.audit.events import last_of
from tillkeeper.audit.types import Standing
from tillkeeper.store import Tx


async def unsealed(tx: Tx) -> tuple[int, float]:
    """How many events wait for the seal, counted up to AUDIT_WAITING, and for how many seconds the oldest has.

    Cheap: it looks only at what was written since the last head. By the database's clock; one that was set back gives 0.
    """
    return await _waiting(tx, await rows.last_head(tx))


async def standing(tx: Tx) -> Standing:
    """How far the seal has come, and which anchors cannot be used."""
    last = await rows.last_head(tx)
    waiting, lag = await _waiting(tx, last)
    anchors = await last_of(tx, FAILED, RECOVERED)
    failing = tuple(sorted(name for name, action in anchors.items() if action == FAILED))
    return Standing(last.head if last else None, waiting, lag, failing)


async def _waiting(tx: Tx, last: rows.Stored | None) -> tuple[int, float]:
    count, seconds = await rows.waiting(tx, last.seen or rows.NOTHING if last else rows.NOTHING)
    return count, max(seconds, 0.0)
