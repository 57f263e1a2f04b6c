"""Champion and challengers: what people do with models. Every act stays on record; the last one says what scores now.

A challenger scores every payment without effect. Promoting takes four eyes (faces/model_deeds.py); whoever sees harm
undoes it at once, alone, and it is on record.
"""

import asyncio
from collections.abc import Container
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import refuse
from tillkeeper.risk import declared
from tillkeeper.risk.features import Catalogue
from tillkeeper.risk.models import rows
from tillkeeper.risk.models.artifact import BadModelError, read
from tillkeeper.risk.models.scoring import Scorer, open_model
from tillkeeper.risk.models.types import InForce, ModelRow
from tillkeeper.store import Tx


async def keep(tx: Tx, blob: bytes, by: str, clock: Clock, known: Container[str]) -> ModelRow:
    """Keep a model for good, if it opens here; one that is kept already is found again. Raises BadModelError."""
    scorer = await asyncio.to_thread(open_model, blob, known)
    name = scorer.card.name
    version = await rows.add(tx, scorer.sha256, scorer.kind, name, blob, clock.now(), by)
    if version is not None:
        await audit.append(tx, by, "model.kept", f"model {version}", f"sha256 {scorer.sha256[:16]}")
    else:
        version = await rows.version_of(tx, scorer.sha256)
    return await find(tx, str(version))


async def find(tx: Tx, model: str) -> ModelRow:
    """A model by its number or name. Raises Refused (unknown_model)."""
    number = int(model) if model.isascii() and model.isdigit() and len(model) < 10 else None
    found = await rows.named(tx, number, model)
    exact = [one for one in found if one.version == number] or found
    if not exact:
        raise refuse("unknown_model", f"{model[:60]!r} is no model; till risk models lists them", "model")
    return exact[0]


async def load(tx: Tx, version: int) -> bytes:
    """The blob of a model. Raises BadModelError."""
    blob = await rows.blob(tx, version)
    if blob is None:
        raise BadModelError(f"there is no model {version}")
    return blob


async def opened(tx: Tx, version: int, known: Container[str]) -> Scorer:
    """A stored model, ready to score; it is read by a thread, for it may be large. Raises BadModelError."""
    return await asyncio.to_thread(open_model, await load(tx, version), known)


async def challenge(tx: Tx, model: str, by: str, clock: Clock, reason: str = "") -> InForce:
    """Let a fraud model score every payment without effect from now on.

    Raises Refused: unknown_model, model_role when it has a role already or is no fraud model, too_many_challengers;
    BadModelError when it does not open here.
    """
    await rows.lock(tx)
    found, now = await find(tx, model), await rows.in_force(tx)
    if found.kind != "fraud":
        raise refuse("model_role", "an anomaly model is promoted, it challenges nobody", "model")
    if found.version == now.champion or found.version in now.challengers:
        raise refuse("model_role", "it scores already", "model")
    if len(now.challengers) >= limits.MODEL_CHALLENGERS:
        raise refuse(
            "too_many_challengers", f"{limits.MODEL_CHALLENGERS} score already; retire one first", "model"
        )
    await opened(tx, found.version, await declared.catalogue(tx))
    after = msgspec.structs.replace(now, challengers=(*now.challengers, found.version))
    return await _act(tx, "challenge", found.version, after, by, clock, reason)


async def promote(
    tx: Tx,
    version: int,
    by: str,
    clock: Clock,
    known: Container[str] | None = None,
    *,
    reason: str = "",
    approval: UUID | None = None,
    replaces: int | None = None,
) -> InForce:
    """Make a model decide: the fraud model as champion, the anomaly model beside it. Who reigned before challenges it.

    `known`: the features there are, unset: all that this installation has. `replaces`: who is to reign until now, 0:
    nobody; unset: whoever does. The same approval is carried out once. Raises BadModelError when it does not open, Refused:
    model_role when it reigns already, approval_changed when another does.
    """
    await rows.lock(tx)
    now = await rows.in_force(tx)
    if approval is not None and await rows.approved(tx, approval):
        return now
    scorer = await opened(tx, version, await declared.catalogue(tx) if known is None else known)
    if version in (now.champion, now.anomaly):
        raise refuse("model_role", "it decides already", "model")
    reigns = (now.anomaly if scorer.kind == "anomaly" else now.champion) or 0
    if replaces not in (None, reigns):
        raise refuse(
            "approval_changed",
            f"it was to replace {_named(replaces)}, and {_named(reigns)} decides now: compare them, and ask again",
        )
    after = _promoted(now, version, scorer.kind)
    return await _act(tx, "promote", version, after, by, clock, reason, approval=approval)


async def retire(tx: Tx, model: str, by: str, clock: Clock, reason: str = "") -> InForce:
    """Take a model out of force, whatever its role; it stays, and old receipts are explained with it.

    Raises Refused: unknown_model, model_role when it has no role.
    """
    await rows.lock(tx)
    found, now = await find(tx, model), await rows.in_force(tx)
    after = InForce(
        now.revision,
        None if now.champion == found.version else now.champion,
        tuple(each for each in now.challengers if each != found.version),
        None if now.anomaly == found.version else now.anomaly,
    )
    if after == now:
        raise refuse("model_role", "it has no role; there is nothing to retire", "model")
    return await _act(tx, "retire", found.version, after, by, clock, reason)


async def check_unread(tx: Tx, feature: str, known: Catalogue) -> None:
    """That no model in force reads a feature, itself or what is computed from it; until the transaction ends none will come
    into force. Raises Refused (model_role) naming the model.
    """
    await rows.lock(tx)
    now = await rows.in_force(tx)
    roles = [(now.champion, "decides"), (now.anomaly, "says how unusual a payment is")]
    for version, does in (*roles, *((each, "challenges") for each in now.challengers)):
        if version is not None and feature in known.reading(await _read_by(tx, version)):
            name = (await find(tx, str(version))).name
            raise refuse(
                "model_role",
                f"model {version} ({name}) {does} and reads {feature}: take it out of force first (till risk models"
                f" retire {version})",
                "name",
            )


async def _read_by(tx: Tx, version: int) -> tuple[str, ...]:
    """What a model reads; nothing of one that is damaged, which scores nothing."""
    try:
        return (await asyncio.to_thread(read, await load(tx, version))).features
    except BadModelError:
        return ()


async def undo(tx: Tx, by: str, clock: Clock, reason: str = "") -> InForce:
    """Take the newest promotion back: what decided before it decides again. One person, at once, on record.

    Challengers that came since stay. Raises Refused (nothing_to_undo).
    """
    await rows.lock(tx)
    promoted, now = await rows.promotion(tx), await rows.in_force(tx)
    if promoted is None or promoted[1] not in (now.champion, now.anomaly):
        raise refuse("nothing_to_undo", "no promotion is in force")
    act, model = promoted
    earlier = await rows.before(tx, act)
    challengers = tuple(each for each in now.challengers if each not in (earlier.champion, model))
    if model in earlier.challengers:
        challengers = (model, *challengers)
    # Going back must never fail for want of room: the challenger that came last makes it.
    after = InForce(now.revision, earlier.champion, challengers[: limits.MODEL_CHALLENGERS], now.anomaly)
    if model == now.anomaly:
        after = msgspec.structs.replace(now, anomaly=earlier.anomaly)
    return await _act(tx, "undo", model, after, by, clock, reason, undoes=act)


def _promoted(now: InForce, version: int, kind: str) -> InForce:
    if kind == "anomaly":
        return msgspec.structs.replace(now, anomaly=version)
    rest = [each for each in now.challengers if each != version]
    if now.champion is not None:
        rest = [now.champion, *rest]
    return msgspec.structs.replace(now, champion=version, challengers=tuple(rest[: limits.MODEL_CHALLENGERS]))


def _named(model: int | None) -> str:
    return f"model {model}" if model else "no model"


async def _act(
    tx: Tx,
    act: str,
    model: int,
    after: InForce,
    by: str,
    clock: Clock,
    reason: str,
    *,
    approval: UUID | None = None,
    undoes: int | None = None,
) -> InForce:
    done = await rows.add_act(
        tx, act, model, after, at=clock.now(), by=by, reason=reason, approval=approval, undoes=undoes
    )
    await audit.append(tx, by, f"model.{_PAST[act]}", f"model {model}", reason)
    return done


_PAST = {"challenge": "challenges", "promote": "promoted", "retire": "retired", "undo": "undone"}
