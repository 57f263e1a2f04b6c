"""Looking at personal data: policy, grant and audit in one committed transaction; only then is the cell opened."""

from typing import Final
from uuid import UUID

from tillkeeper import access, audit
from tillkeeper.access import Session
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.parties.rows import customers
from tillkeeper.parties.sealing import COLUMNS
from tillkeeper.store import Store, Tx
from tillkeeper.vault import Sealed, Vault

ACTION: Final = "customer.reveal"
REVEALED: Final = "customer.revealed"


async def reveal(
    store: Store,
    vault: Vault,
    session: Session,
    customer: UUID,
    field: str,
    grant: UUID,
    clock: Clock,
    *,
    origin: str = "",
) -> str | Refusal:
    """The "name", "phone" or "id_number" of a customer in the clear, for one person's eyes.

    Gives forbidden, unknown_customer, customer_erased, not_given, and what `grants.spend` does. Refusals are on record too.
    """
    async with store.tx("reveal") as tx:
        found = await _allowed(tx, vault, session, customer, field, grant, clock, origin)
        if isinstance(found, Refusal):
            said = f"{field}: {found.code}"
            await audit.append(
                tx, session.person, REVEALED, to_typeid("cus", customer), said, origin, "refused"
            )
            return found
    return await vault.open(found)


async def _allowed(
    tx: Tx,
    vault: Vault,
    session: Session,
    customer: UUID,
    field: str,
    grant: UUID,
    clock: Clock,
    origin: str,
) -> Sealed | Refusal:
    if not access.policies().judge(session, ACTION).allowed:
        return Refusal("forbidden", f"no policy lets you do {ACTION}")
    value = await _value(tx, vault, customer, field)
    if isinstance(value, Refusal):
        return value
    public = to_typeid("cus", customer)
    spent = await access.grants.spend(tx, grant, session.person, public, clock)
    if isinstance(spent, Refusal):
        return spent
    reason = f"{field}: {spent.purpose} {spent.reference}"
    await audit.append(tx, session.person, REVEALED, public, reason, origin)
    return value


async def _value(tx: Tx, vault: Vault, customer: UUID, field: str) -> Sealed | Refusal:
    found = (await customers(tx, vault, [customer])).get(customer)
    if found is None:
        return Refusal("unknown_customer", "check the id")
    if found.erased:
        return Refusal("customer_erased", "nobody can open it any more")
    value = getattr(found, field) if field in COLUMNS else None
    if value is None:
        return Refusal("not_given", "there is nothing to see", "field")
    if not isinstance(value, Sealed):
        return Refusal("unavailable", "run till migrate: this name is not sealed yet")
    return value
