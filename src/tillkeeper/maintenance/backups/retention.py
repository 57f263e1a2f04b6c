"""Which backups are kept, and what the next one builds on. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from tillkeeper.base import limits
from tillkeeper.maintenance.backups.chest import Manifest
from tillkeeper.maintenance.backups.walnames import lsn_number

_KEEP = timedelta(days=limits.BACKUP_KEEP_DAYS)

Chain = list[Manifest]
"""A full backup and the incremental ones that build on it, the oldest first."""


def _place(manifest: Manifest) -> tuple[int, int]:
    return manifest.timeline, lsn_number(manifest.start_lsn)


def chains(there: Sequence[Manifest]) -> list[Chain]:
    """All of them, the oldest first by the log and not by a clock, which may have been wrong. An incremental whose parent is
    gone is of no use and stands alone.
    """
    found: dict[UUID, Chain] = {}
    for each in sorted(there, key=_place):
        chain = found.get(each.parent) if each.parent else None
        if chain is None:
            chain = []
        chain.append(each)
        found[each.id] = chain
    return list({id(chain): chain for chain in found.values()}.values())


def parent(there: Sequence[Manifest]) -> Manifest | None:
    """What the next incremental backup builds on; None: take a full one."""
    whole = [chain for chain in chains(there) if chain[0].kind == "full"]
    if not whole or len(whole[-1]) >= limits.BACKUP_CHAIN:
        return None
    return whole[-1][-1]


def late(there: Sequence[Manifest], good: Collection[UUID], now: datetime) -> list[Manifest]:
    """What may go: chains that ended long ago. The newest ones stay whatever their age, and so does the newest in which a
    drill found one good: a repository is never left without a backup that was proven.
    """
    all_ = chains(there)
    kept = [chain for chain in all_ if chain[0].kind == "full"][-limits.BACKUP_KEEP_CHAINS :]
    proven = [chain for chain in all_ if any(each.id in good for each in chain)][-1:]
    kept += proven + [chain for chain in all_ if now - chain[-1].ended_at <= _KEEP]
    ids = {each.id for chain in kept for each in chain}
    return [each for each in there if each.id not in ids]
