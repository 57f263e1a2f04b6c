"""The team: who they are, what they are, whether they may come in. A person's handle is never given to another."""

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tillkeeper import audit
from tillkeeper.access import approvals
from tillkeeper.access.sessions import end_sessions_of, void_links
from tillkeeper.access.types import ADMIN_ROLES, ROLES, Person
from tillkeeper.base.clock import Clock
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.limits import MAX_TEXT
from tillkeeper.base.results import Refused, refuse
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "people.sql")

_HANDLE: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_PASSKEY_USER_BYTES: Final = 32


async def add_person(
    tx: Tx, person: str, name: str, roles: Iterable[str], clock: Clock, *, actor: str, origin: str = ""
) -> Person:
    """Somebody new, active; an empty name becomes the handle.

    Raises Refused: invalid_value for a handle, name or roles that cannot be, person_exists, and what may never be stored.
    """
    name = " ".join(name.split()) or person
    wanted = _checked(roles)
    if not _HANDLE.fullmatch(person):
        raise refuse("invalid_value", "1 to 64 small letters, digits or . _ @ + -", "person")
    if len(name) > MAX_TEXT or not name.isprintable():
        raise refuse("invalid_value", f"a name of 1 to {MAX_TEXT} characters", "name")
    if (never := forbidden(name)) is not None:
        raise Refused(never)
    now, passkey_user = clock.now(), secrets.token_bytes(_PASSKEY_USER_BYTES)
    row = {"person": person, "name": name, "roles": list(wanted), "passkey_user": passkey_user, "at": now}
    if await tx.value(_sql.add_person, row) is None:
        raise refuse("person_exists", f"{person} stands for somebody, for ever: choose another", "person")
    await audit.append(tx, actor, "person.invited", person, " ".join(wanted), origin)
    return Person(person, name, frozenset(wanted), "active", now)


async def person(tx: Tx, handle: str) -> Person | None:
    """One person."""
    rows = await tx.tuples(_sql.find_person, {"person": handle})
    return _person(rows[0]) if rows else None


async def people(tx: Tx) -> list[Person]:
    """Everybody, suspended or not, by handle."""
    return [_person(row) for row in await tx.tuples(_sql.list_people)]


async def is_anybody(tx: Tx) -> bool:
    """Whether there are people at all: False only before the first start."""
    return bool(await tx.value(_sql.is_anybody))


async def set_roles(tx: Tx, person: str, roles: Iterable[str], actor: str, *, origin: str = "") -> Person:
    """Make a person be exactly these roles, from their next click on. Links not used yet are void: whoever holds one
    would now come in as more than they were made for.

    Raises Refused: unknown_person; not_oneself when the actor is the person; invalid_value for an unknown role or two
    roles that administer.
    """
    wanted = _checked(roles)
    if person == actor:
        raise refuse("not_oneself", "somebody else changes your roles")
    before = await _locked(tx, person)
    if frozenset(wanted) != before.roles:
        await tx.run(_sql.set_roles, {"person": person, "roles": list(wanted)})
        await void_links(tx, person)
        change = f"{' '.join(_sorted(before.roles)) or '-'} -> {' '.join(wanted) or '-'}"
        await audit.append(tx, actor, "roles.changed", person, change, origin)
    return Person(person, before.name, frozenset(wanted), before.state, before.created_at)


async def suspend(
    tx: Tx, person: str, clock: Clock, *, actor: str, reason: str = "", origin: str = ""
) -> None:
    """Close the door to a person at once: no sign-in, sessions ended, links and what they asked a second person for void.

    Their factors stay.

    Raises Refused: unknown_person; not_oneself.
    """
    if person == actor:
        raise refuse("not_oneself", "somebody else suspends you")
    if (await _locked(tx, person)).active:
        await tx.run(_sql.set_state, {"person": person, "state": "suspended"})
        await audit.append(tx, actor, "person.suspended", person, reason, origin)
        await end_sessions_of(tx, person, clock, actor=actor, origin=origin)
        await approvals.void(tx, person, actor=actor, origin=origin)


async def reinstate(tx: Tx, person: str, *, actor: str, reason: str = "", origin: str = "") -> None:
    """Open the door to a suspended person again.

    Raises Refused: unknown_person; not_oneself.
    """
    if person == actor:
        raise refuse("not_oneself", "somebody else lets you in again")
    if not (await _locked(tx, person)).active:
        await tx.run(_sql.set_state, {"person": person, "state": "active"})
        await audit.append(tx, actor, "person.reinstated", person, reason, origin)


async def people_without_second_factor(tx: Tx) -> list[str]:
    """Active people with any role whom neither a passkey nor an authenticator protects, by handle."""
    return [row[0] for row in await tx.tuples(_sql.without_second_factor)]


async def _locked(tx: Tx, person: str) -> Person:
    rows = await tx.tuples(_sql.lock_person, {"person": person})
    if not rows:
        raise refuse("unknown_person", f"{person} is nobody here")
    return _person(rows[0])


def _checked(roles: Iterable[str]) -> tuple[str, ...]:
    wanted = frozenset(roles)
    if not wanted.issubset(ROLES):
        raise refuse("invalid_value", f"any of: {', '.join(ROLES)}", "roles")
    if len(wanted & ADMIN_ROLES) > 1:
        raise refuse("invalid_value", f"at most one of: {', '.join(sorted(ADMIN_ROLES))}", "roles")
    return _sorted(wanted)


def _sorted(roles: frozenset[str]) -> tuple[str, ...]:
    return tuple(role for role in ROLES if role in roles)


def _person(row: Sequence[Any]) -> Person:
    return Person(row[0], row[1], frozenset(row[2]), row[3], row[4])
