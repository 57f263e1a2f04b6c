"""People for tests: made when they are first needed, with every role that does not administer."""

from collections.abc import Iterable

from tillkeeper import access
from tillkeeper.base.clock import Clock
from tillkeeper.store import Tx


async def somebody(
    tx: Tx, person: str, clock: Clock, roles: Iterable[str] = access.WORKING_ROLES
) -> access.Person:
    """A person of this handle, made if need be."""
    found = await access.person(tx, person)
    return found or await access.add_person(tx, person, "", roles, clock, actor="test")


async def link_for(tx: Tx, person: str, clock: Clock, roles: Iterable[str] = access.WORKING_ROLES) -> str:
    """The token of a sign-in link for a person, who is made if need be."""
    await somebody(tx, person, clock, roles)
    return await access.sign_in_link(tx, person, clock)
