"""A look at personal data: by policy and grant, counted and on record before the cell is opened."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.platform import Platform, opened
from tests.support.postgres import Database
from tillkeeper import access, audit, parties
from tillkeeper.access import Grant, Session
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.parties import Newcomer, Register
from tillkeeper.store import Store
from tillkeeper.vault import Sealed

PLAIN = {"name": "王小明", "phone": "+8613812345678", "id_number": "11010519491231002X"}


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


def session(person: str, *roles: str, now: Any) -> Session:
    return Session("s", person, "csrf", now, now, frozenset(roles), now, "link", "here", "Firefox")


class Booth:
    """Anna of support, somebody to look at, and the doors between."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.clock = platform, platform.clock
        self.anna = session("anna", "support", now=self.clock.now())

    async def customer(self, **more: Any) -> UUID:
        who = new_id()
        async with self.platform.store.tx("test") as tx:
            newcomer = Newcomer(who, **{**PLAIN, **more})
            await parties.add_customer(tx, self.platform.vault, newcomer, self.clock.now())
        return who

    async def grant(self, rows: int = 1, who: Session | None = None) -> UUID:
        async with self.platform.store.tx("test") as tx:
            made = await access.grants.open_grant(
                tx, who or self.anna, "ticket", "T-7", "calls back", rows, 900, self.clock
            )
        assert isinstance(made, Grant)
        return made.id

    async def look(self, who: UUID, field: str, grant: UUID, by: Session | None = None) -> str | Refusal:
        return await parties.reveal(
            self.platform.store,
            self.platform.vault,
            by or self.anna,
            who,
            field,
            grant,
            self.clock,
            origin="here",
        )

    async def looks(self, who: UUID) -> list[tuple[str, str, str]]:
        """What the audit trail says of it, oldest first."""
        async with self.platform.store.tx("test") as tx:
            events = await audit.of(tx, to_typeid("cus", who))
        return [
            (each.actor, each.reason, each.result)
            for each in reversed(events)
            if each.action == parties.REVEALED
        ]


@pytest.fixture
def booth(platform: Platform) -> Booth:
    return Booth(platform)


async def test_what_was_given_is_seen_under_a_grant(booth: Booth) -> None:
    who, grant = await booth.customer(), await booth.grant()
    assert {field: await booth.look(who, field, grant) for field in PLAIN} == PLAIN
    assert await booth.looks(who) == [("anna", f"{field}: ticket T-7", "done") for field in PLAIN]


async def test_the_budget_counts_people_not_fields(booth: Booth) -> None:
    first, second, third = [await booth.customer() for _ in range(3)]
    grant = await booth.grant(rows=2)
    for who in (first, second, first):
        assert await booth.look(who, "phone", grant) == PLAIN["phone"]
    assert code(await booth.look(third, "phone", grant)) == "grant_exhausted"
    assert await booth.looks(third) == [("anna", "phone: grant_exhausted", "refused")]


async def test_a_grant_is_offered_while_it_can_be_spent(
    booth: Booth, store: Store, clock: ManualClock
) -> None:
    first, second = await booth.customer(), await booth.customer()

    async def offered(who: UUID, person: str = "anna") -> list[UUID]:
        async with store.tx("test") as tx:
            found = await access.grants.grants_for(tx, person, to_typeid("cus", who), clock)
        return [each.id for each in found]

    grant = await booth.grant()
    assert (await offered(first), await offered(first, "ben")) == ([grant], [])
    await booth.look(first, "phone", grant)
    assert (await offered(first), await offered(second)) == ([grant], [])
    clock.advance(901)
    assert await offered(first) == []


async def test_a_grant_ends_and_is_nobody_elses(booth: Booth, clock: ManualClock) -> None:
    who, grant = await booth.customer(), await booth.grant()
    ben = session("ben", "support", now=clock.now())
    assert code(await booth.look(who, "name", grant, ben)) == "grant_ended"
    assert code(await booth.look(who, "name", new_id())) == "grant_ended"
    clock.advance(901)
    assert code(await booth.look(who, "name", grant)) == "grant_ended"
    assert [result for _, _, result in await booth.looks(who)] == ["refused"] * 3


@pytest.mark.parametrize(
    "role", ["operator", "security", "auditor", "developer", "system_admin", "security_admin", "audit_admin"]
)
async def test_no_other_role_may_look_even_with_a_grant(booth: Booth, role: str) -> None:
    who = await booth.customer()
    grant = await booth.grant()
    anna = session("anna", role, now=booth.clock.now())
    assert code(await booth.look(who, "phone", grant, anna)) == "forbidden"
    assert await booth.looks(who) == [("anna", "phone: forbidden", "refused")]


async def test_nothing_to_see(booth: Booth, tmp_path: Path) -> None:
    grant = await booth.grant(rows=5)
    assert code(await booth.look(new_id(), "name", grant)) == "unknown_customer"
    bare = await booth.customer(phone=None, id_number=None)
    assert code(await booth.look(bare, "phone", grant)) == "not_given"
    assert code(await booth.look(bare, "sealing_key", grant)) == "not_given"
    async with booth.platform.store.tx("test") as tx:
        await parties.may_erase(tx, bare)
        await parties.erase(tx, Register(tmp_path), bare, "ticket", booth.clock, actor="anna")
    assert code(await booth.look(bare, "name", grant)) == "customer_erased"
    async with booth.platform.store.tx("test") as tx:
        left = await access.grants.find_grant(tx, grant)
    assert left is not None
    assert left.rows_left == 5, "what was not seen costs nothing"


async def test_it_is_on_record_before_the_cell_is_opened(
    booth: Booth, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, grant = await booth.customer(), await booth.grant()
    seen: list[Any] = []

    async def open_(self: Any, sealed: Sealed) -> str:
        async with Store.opened(database.app_url, size=1) as other, other.tx("another process") as tx:
            seen.append(await audit.of(tx, to_typeid("cus", who)))
            seen.append(await access.grants.find_grant(tx, grant))
        raise OSError("the machine fails in this very moment")

    monkeypatch.setattr("tillkeeper.vault.Vault.open", open_)
    with pytest.raises(OSError, match="very moment"):
        await booth.look(who, "phone", grant)
    events, spent = seen
    assert [each.reason for each in events] == ["phone: ticket T-7"]
    assert spent.rows_left == 0


async def test_no_value_is_in_the_audit_trail(booth: Booth, store: Store) -> None:
    who, grant = await booth.customer(), await booth.grant()
    for field in PLAIN:
        await booth.look(who, field, grant)
    async with store.tx("test") as tx:
        events = str(await tx.tuples(b"SELECT * FROM audit.events"))
    assert not any(text in events for text in (*PLAIN.values(), "13812345678", "王"))


def code(said: str | Refusal) -> str:
    assert isinstance(said, Refusal), said
    return said.code
