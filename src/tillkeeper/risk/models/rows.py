"""The models' statements, run."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.ids import first_id_at
from tillkeeper.risk.models.types import Act, InForce, ModelRow, Shadow
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")


async def add(tx: Tx, sha256: str, kind: str, name: str, blob: bytes, at: datetime, by: str) -> int | None:
    """Keep a model; its version, or None if it is kept already."""
    version: int | None = await tx.value(
        _sql.add,
        {"sha256": bytes.fromhex(sha256), "kind": kind, "name": name, "artifact": blob, "at": at, "by": by},
    )
    return version


async def version_of(tx: Tx, sha256: str) -> int | None:
    """The number of a model by its hash."""
    version: int | None = await tx.value(_sql.version_of, {"sha256": bytes.fromhex(sha256)})
    return version


async def blob(tx: Tx, version: int) -> bytes | None:
    """A model whole."""
    found: bytes | None = await tx.value(_sql.blob, {"version": version})
    return None if found is None else bytes(found)


async def named(tx: Tx, version: int | None, name: str) -> list[ModelRow]:
    """At most two models of this number or name, the newest first."""
    rows = await tx.rows(_sql.named, {"version": version, "name": name})
    return [msgspec.convert(row._asdict(), ModelRow) for row in rows]


async def newest(tx: Tx, in_force: InForce) -> list[ModelRow]:
    """The newest models and those in force, with their roles."""
    roles = dict.fromkeys(in_force.challengers, "challenger")
    roles |= {version: "champion" for version in [in_force.champion] if version is not None}
    roles |= {version: "anomaly" for version in [in_force.anomaly] if version is not None}
    rows = await tx.rows(_sql.newest, {"in_force": list(roles), "limit": limits.MODELS_LISTED})
    found = [msgspec.convert(row._asdict(), ModelRow) for row in rows]
    return [msgspec.structs.replace(one, role=roles.get(one.version, "")) for one in found]


async def lock(tx: Tx) -> None:
    """Make acts wait for each other until the transaction ends."""
    await tx.run(_sql.one_at_a_time, {})


async def in_force(tx: Tx) -> InForce:
    """What the last act left."""
    return _in_force(await tx.tuples(_sql.in_force, {}))


async def before(tx: Tx, act: int) -> InForce:
    """What was in force before an act."""
    return _in_force(await tx.tuples(_sql.before, {"id": act}))


async def revision(tx: Tx) -> int:
    """The number of the last act; 0: none."""
    found: int = await tx.value(_sql.revision, {})
    return found


async def add_act(
    tx: Tx,
    act: str,
    model: int,
    after: InForce,
    *,
    at: datetime,
    by: str,
    reason: str = "",
    approval: UUID | None = None,
    undoes: int | None = None,
) -> InForce:
    """Note an act; what is in force now."""
    params = {
        "at": at,
        "by": by,
        "act": act,
        "model": model,
        "reason": reason,
        "approval": approval,
        "undoes": undoes,
        "champion": after.champion,
        "challengers": list(after.challengers),
        "anomaly": after.anomaly,
    }
    return msgspec.structs.replace(after, revision=await tx.value(_sql.add_act, params))


async def acts(tx: Tx, limit: int) -> list[Act]:
    """What people did, the newest first."""
    return [
        Act(id_, at, by, act, model, reason, approval, undoes, InForce(id_, champion, tuple(others), anomaly))
        for id_, at, by, act, model, reason, approval, undoes, champion, others, anomaly in await tx.tuples(
            _sql.acts, {"limit": limit}
        )
    ]


async def approved(tx: Tx, approval: UUID) -> bool:
    """Whether an approval has been carried out already."""
    return await tx.value(_sql.approved, {"approval": approval}) is not None


async def promotion(tx: Tx) -> tuple[int, int] | None:
    """(act, model) of the newest promotion that nobody took back."""
    found = await tx.tuples(_sql.promotion, {})
    return (found[0][0], found[0][1]) if found else None


async def reigns(tx: Tx, role: str, limit: int) -> list[int]:
    """Models that rightly decided in a role ("champion", "anomaly"), the last one first; one that was taken back did not."""
    return [row[0] for row in await tx.tuples(_sql.reigns, {"role": role, "limit": limit})]


async def write_shadow(tx: Tx, shadows: Sequence[Shadow]) -> None:
    """Keep what models said."""
    await tx.run(
        _sql.write_shadow,
        {
            "payments": columns.uuids([one.payment for one in shadows]),
            "models": columns.integers([one.model for one in shadows]),
            "scores": columns.doubles([one.score for one in shadows]),
            "outcomes": columns.texts([one.outcome for one in shadows]),
        },
    )


async def compared(
    tx: Tx, models: Sequence[int], since: datetime, until: datetime, known_by: datetime
) -> list[tuple[Any, ...]]:
    """(model, customers, times, scores, stopped, fraud) by model, of payments that all these models scored: columns packed as
    PostgreSQL sends them, so that a hundred thousand payments hold nobody up.
    """
    params = {
        "models": list(models),
        "from_id": first_id_at(since),
        "since": since,
        "until": until,
        "known_by": known_by,
        "limit": limits.MODEL_COMPARED // max(len(models), 1),
    }
    return await tx.tuples(_sql.compared, params)


def _in_force(found: list[tuple[Any, ...]]) -> InForce:
    return InForce(found[0][0], found[0][1], tuple(found[0][2]), found[0][3]) if found else InForce()
