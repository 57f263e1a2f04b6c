"""The deeds of access and of the vault that take four eyes. The vault is a neighbour, so its root key's deed stands here."""

from typing import Any, Final

import msgspec

from tillkeeper.access.approvals import Deed
from tillkeeper.access.people import person, set_roles
from tillkeeper.access.types import Approval
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.store import Tx


class RoleChange(msgspec.Struct, frozen=True):
    """Terms: make a person be exactly these roles, who was those `before`."""

    person: str
    roles: tuple[str, ...]
    before: tuple[str, ...]


class RootChange(msgspec.Struct, frozen=True):
    """Terms: put one root key in the place of another, both by name."""

    root: str
    new_root: str


async def _present_roles(tx: Tx, terms: RoleChange) -> Any:
    found = await person(tx, terms.person)
    if found is None:
        return Refusal("unknown_person", f"{terms.person} is nobody here")
    if found.roles != frozenset(terms.before):
        return Refusal("approval_changed", "the roles have changed since")
    return [found.state, sorted(found.roles)]


async def _change_roles(tx: Tx, approval: Approval, terms: RoleChange) -> Refusal | None:
    present = await _present_roles(tx, terms)
    if isinstance(present, Refusal):
        return present
    try:
        await set_roles(tx, terms.person, terms.roles, approval.asked_by, origin=approval.origin)
    except Refused as error:
        return error.refusal
    return None


async def _nothing(_: Tx, __: Any) -> None:
    """The terms name all that they stand on."""


ROLE_CHANGE: Final = Deed("people.set_roles", RoleChange, _present_roles, _change_roles)
"""Done as soon as a second person agrees."""

ROOT_CHANGE: Final = Deed("vault.change_root", RootChange, _nothing)
"""Agreed to in the console; the command line that asked goes on."""
