"""Legal holds: what a court or an authority wants kept is not erased."""

from uuid import UUID

from tillkeeper import audit
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.parties.types import LegalHold
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


async def place_hold(
    tx: Tx, customer: UUID, reason: str, clock: Clock, *, actor: str, origin: str = ""
) -> LegalHold | Refusal:
    """Forbid a customer's erasure. Gives unknown_customer, customer_erased, and legal_hold if one is in force."""
    state = await tx.value(_sql.lock_customer, {"id": customer})
    if (refusal := unfit(state)) is not None:
        return refusal
    if (found := await hold_on(tx, customer)) is not None:
        return held(found)
    hold = LegalHold(new_id(), customer, reason, actor, clock.now(), None, None)
    params = {"id": hold.id, "customer": customer, "reason": reason, "actor": actor, "at": hold.placed_at}
    await tx.run(_sql.place_hold, params)
    await audit.append(tx, actor, "customer.held", to_typeid("cus", customer), reason, origin)
    return hold


async def release_hold(
    tx: Tx, customer: UUID, reason: str, clock: Clock, *, actor: str, origin: str = ""
) -> Refusal | None:
    """End the legal hold on a customer. Gives no_legal_hold."""
    params = {"customer": customer, "reason": reason, "actor": actor, "at": clock.now()}
    if await tx.value(_sql.release_hold, params) is None:
        return Refusal("no_legal_hold", "nothing to release")
    await audit.append(tx, actor, "customer.hold_released", to_typeid("cus", customer), reason, origin)
    return None


async def hold_on(tx: Tx, customer: UUID) -> LegalHold | None:
    """The legal hold in force on a customer."""
    rows = await tx.tuples(_sql.hold_on, {"customer": customer})
    return LegalHold(*rows[0]) if rows else None


def unfit(state: str | None) -> Refusal | None:
    """Why nothing more can be done about a customer of this state; None: no such customer."""
    if state is None:
        return Refusal("unknown_customer", "check the id")
    return Refusal("customer_erased", "this was done before") if state == "erased" else None


def held(hold: LegalHold) -> Refusal:
    """Why a held customer is not erased."""
    since = f"{hold.placed_at:%Y-%m-%d}"
    return Refusal("legal_hold", f"held since {since} by {hold.placed_by}: {hold.reason}")
