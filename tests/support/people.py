"""People for tests: made when they are first needed, with every role that does not administer."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from tillkeeper import access
from tillkeeper.access.entrance import passwords
from tillkeeper.base import limits
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


def hash_cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Password hashes that take no time; what real ones take is the business of tests/unit/test_passwords.py."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "PasswordHasher", lambda **_: cheap)
    monkeypatch.setattr(passwords, "NOBODYS", cheap.hash("nobody has this password"))


class Drawer:
    """A keeper for tests: reverses the text and ties it to its row."""

    def seal(self, row: str, text: str) -> bytes:
        return f"{row}|{text[::-1]}".encode()

    async def open(self, row: str, cell: bytes) -> str:
        whose, _, text = cell.decode().partition("|")
        assert whose == row
        return text[::-1]


def signed_in(
    person: str, clock: Clock, roles: Iterable[str] = ("operator",), *, confirmed: bool = True
) -> access.Session:
    """A person's session, of no browser: for doors that ask who is there."""
    now = clock.now()
    at = now if confirmed else now - timedelta(seconds=limits.CONFIRMED_SECONDS)
    return access.Session("00", person, "csrf", now, now, frozenset(roles), at, "link", "", "")
