"""Promoting a risk model takes four eyes. The deed stands between access and risk, and both console and command line ask."""

from typing import Any, Final

import msgspec

from tillkeeper import access
from tillkeeper.access import Approval
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.risk import declared
from tillkeeper.risk.models import BadModelError, InForce, ModelRow, in_force, registry
from tillkeeper.store import Tx

_clock: Final = SystemClock()


class Promotion(msgspec.Struct, frozen=True):
    """Terms: let this model decide from now on. `replaces`: the model that decides until then, 0 for none."""

    model: str
    name: str
    kind: str
    sha256: str
    replaces: int


def promotion_of(model: ModelRow, now: InForce) -> Promotion:
    """The terms of promoting a model as things stand."""
    reigns = now.champion if model.kind == "fraud" else now.anomaly
    return Promotion(str(model.version), model.name, model.kind, model.sha256, reigns or 0)


async def _present(tx: Tx, terms: Promotion) -> Any:
    """Refused if the model does not open here; void when another model has come to decide since."""
    try:
        model = await registry.find(tx, terms.model)
        await registry.opened(tx, model.version, await declared.catalogue(tx))
    except Refused as error:
        return error.refusal
    except BadModelError as error:
        return Refusal("bad_model", str(error), "model")
    now = await in_force(tx)
    if model.version in (now.champion, now.anomaly):
        return Refusal("model_role", "it decides already", "model")
    return [model.sha256, now.champion if model.kind == "fraud" else now.anomaly]


async def _carry_out(tx: Tx, approval: Approval, terms: Promotion) -> Refusal | None:
    try:
        await registry.promote(
            tx,
            int(terms.model),
            approval.asked_by,
            _clock,
            reason=f"agreed by {approval.decided_by}",
            approval=approval.id,
            replaces=terms.replaces,
        )
    except Refused as error:
        return error.refusal
    except BadModelError as error:
        return Refusal("bad_model", str(error), "model")
    return None


PROMOTE: Final = access.approvals.Deed("model.promote", Promotion, _present, _carry_out)
"""Done as soon as a second person agrees; `till risk models undo` takes it back at once."""
