"""Names and addresses of the parties that stand in a list."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from tillkeeper import parties
from tillkeeper.base.ids import NIL, to_typeid
from tillkeeper.parties import browse
from tillkeeper.payments import Payment
from tillkeeper.store import Tx
from tillkeeper.vault import Vault


class Named(msgspec.Struct, frozen=True):
    """A customer or merchant as a list shows them: the name (a customer's is masked), the public id, and the page to go to.

    `name` is empty once the customer was erased. `action`: what it takes to go there.
    """

    name: str
    public_id: str
    href: str
    action: str = ""


async def names_of(tx: Tx, vault: Vault, ids: Iterable[UUID]) -> dict[UUID, Named]:
    """Who the ids are; ids of nobody are left out."""
    wanted = [each for each in set(ids) if each != NIL]
    if not wanted:
        return {}
    customers, merchants = await parties.customers(tx, vault, wanted), await parties.merchants(tx, wanted)
    return {
        **{id_: named("cus", "customers", id_, each.name) for id_, each in customers.items()},
        **{id_: named("mer", "merchants", id_, each.name) for id_, each in merchants.items()},
    }


def named(prefix: str, section: str, party: UUID, name: str) -> Named:
    """One party."""
    public_id = to_typeid(prefix, party)
    return Named(name, public_id, f"/{section}/{public_id}", f"{section.removesuffix('s')}.view")


def parties_in(rows: Iterable[Payment]) -> set[UUID]:
    """Payers and payees of payments."""
    return {party for row in rows for party in (row.payer, row.payee)}


async def shops_named(tx: Tx, text: str, limit: int) -> list[Named]:
    """The first merchants whose name begins with a text. Customers are not found so: their names have no place in an address."""
    merchants = await browse.merchants_named(tx, text, limit)
    return [named("mer", "merchants", each.id, each.name) for each in merchants]
