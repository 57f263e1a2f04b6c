"""Purpose grants: whom they let look, at how many, for how long; whatever happens at the same time."""

import asyncio
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.people import signed_in
from tillkeeper import access, audit
from tillkeeper.access import Approval, Grant, approvals, grants
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store


async def open_one(
    store: Store, clock: ManualClock, rows: int = 3, seconds: int = 600, **more: str
) -> Grant | Refusal:
    given = {"purpose": "ticket", "reference": "T-17", "reason": "the payer called"} | more
    async with store.tx("open") as tx:
        anna = signed_in("anna", clock, ["support"])
        return await grants.open_grant(
            tx, anna, given["purpose"], given["reference"], given["reason"], rows, seconds, clock
        )


async def opened(store: Store, clock: ManualClock, rows: int = 3, seconds: int = 600) -> Grant:
    found = await open_one(store, clock, rows, seconds)
    assert isinstance(found, Grant)
    return found


async def spend(
    store: Store, clock: ManualClock, grant: UUID, subject: str, person: str = "anna"
) -> Grant | Refusal:
    async with store.tx("spend") as tx:
        return await grants.spend(tx, grant, person, subject, clock)


def left(said: Grant | Refusal) -> int | str:
    return said.code if isinstance(said, Refusal) else said.rows_left


async def test_each_person_looked_at_costs_one_row(store: Store, clock: ManualClock) -> None:
    grant = await opened(store, clock)
    looks = [await spend(store, clock, grant.id, subject) for subject in ("a", "b", "a", "c", "d", "b")]
    assert [left(each) for each in looks] == [2, 1, 1, 0, "grant_exhausted", 0]
    async with store.tx("look") as tx:
        assert [each.id for each in await grants.grants_of(tx, "anna", clock)] == [grant.id]
        assert await grants.grants_of(tx, "ben", clock) == []
        (event,) = await audit.of(tx, to_typeid("grt", grant.id))
    assert (event.actor, event.action) == ("anna", "grant.opened")
    assert "T-17" in event.reason


async def test_many_small_grants_are_a_bulk_reveal_too(store: Store, clock: ManualClock) -> None:
    begun = limits.GRANT_DAY_ROWS // limits.GRANT_ROWS
    said = await asyncio.gather(
        *(open_one(store, clock, limits.GRANT_ROWS, reason=f"list {n}") for n in range(begun + 3))
    )
    assert sum(isinstance(each, Grant) for each in said) == begun
    assert {each.code for each in said if isinstance(each, Refusal)} == {"approval_needed"}
    clock.advance(601)  # they are over, and nobody was looked at
    assert isinstance(await open_one(store, clock, 1), Grant)
    used = await opened(store, clock, limits.GRANT_ROWS)
    for n in range(limits.GRANT_ROWS):
        await spend(store, clock, used.id, f"somebody {n}")
    clock.advance(601)
    assert isinstance(await open_one(store, clock, 1), Grant)
    full = [await open_one(store, clock, limits.GRANT_ROWS) for _ in range(begun)]
    assert sum(isinstance(each, Grant) for each in full) == begun - 2  # ten were looked at, one more may be
    clock.advance(24 * 3600)
    assert isinstance(await open_one(store, clock, limits.GRANT_ROWS), Grant)


async def test_a_grant_is_its_persons_and_ends(store: Store, clock: ManualClock) -> None:
    grant = await opened(store, clock, seconds=60)
    assert left(await spend(store, clock, grant.id, "a", "ben")) == "grant_ended"
    assert left(await spend(store, clock, uuid4(), "a")) == "grant_ended"
    clock.advance(59)
    assert left(await spend(store, clock, grant.id, "a")) == 2
    clock.advance(1)
    assert left(await spend(store, clock, grant.id, "a")) == "grant_ended"
    early = await opened(store, clock)
    async with store.tx("end") as tx:
        assert await grants.end_grant(tx, early.id, clock, actor="anna") is True
        assert await grants.end_grant(tx, early.id, clock, actor="anna") is False
    assert left(await spend(store, clock, early.id, "a")) == "grant_ended"


async def test_parallel_looks_never_pass_the_budget(store: Store, clock: ManualClock) -> None:
    grant = await opened(store, clock, rows=5)
    others = await asyncio.gather(*(spend(store, clock, grant.id, f"person {n}") for n in range(12)))
    assert sorted(left(each) for each in others if isinstance(each, Grant)) == [0, 1, 2, 3, 4]
    assert sum(isinstance(each, Refusal) for each in others) == 7
    same = await opened(store, clock, rows=5)
    again = await asyncio.gather(*(spend(store, clock, same.id, "one person") for _ in range(8)))
    assert {left(each) for each in again} == {4}


async def test_what_is_rolled_back_was_not_spent(store: Store, clock: ManualClock) -> None:
    grant = await opened(store, clock)
    with pytest.raises(RuntimeError):
        async with store.tx("spend") as tx:
            assert left(await grants.spend(tx, grant.id, "anna", "a", clock)) == 2
            raise RuntimeError("the look failed")
    assert left(await spend(store, clock, grant.id, "b")) == 2


@pytest.mark.parametrize(
    ("rows", "seconds", "more", "field"),
    [
        (0, 600, {}, "rows"),
        (limits.GRANT_BULK_ROWS + 1, 600, {}, "rows"),
        (1, 59, {}, "seconds"),
        (1, limits.GRANT_SECONDS + 1, {}, "seconds"),
        (1, 600, {"purpose": "curiosity"}, "purpose"),
        (1, 600, {"reference": " "}, "reference"),
        (1, 600, {"reason": "x" * (limits.MAX_TEXT + 1)}, "reason"),
    ],
)
async def test_a_senseless_grant_is_refused(
    store: Store, clock: ManualClock, rows: int, seconds: int, more: dict[str, str], field: str
) -> None:
    said = await open_one(store, clock, rows, seconds, **more)
    assert isinstance(said, Refusal)
    assert (said.code, said.field) == ("invalid_value", field)


async def test_many_people_take_a_second_person(store: Store, clock: ManualClock) -> None:
    deeds = approvals.deeds(grants.BULK)
    said = await open_one(store, clock, rows=limits.GRANT_ROWS + 1)
    assert isinstance(said, Refusal)
    assert said.code == "approval_needed"
    assert said.approval is not None
    async with store.tx("look") as tx:
        asked = await approvals.find(tx, from_typeid("apr", said.approval))
        assert await grants.grants_of(tx, "anna", clock) == []
    assert asked is not None
    for who, role, outcome in (("anna", "security", "own_approval"), ("ben", "support", "forbidden")):
        async with store.tx("decide") as tx:
            by = signed_in(who, clock, [role])
            refused = await approvals.decide(tx, deeds, asked.id, asked.digest, by, clock, give=True)
        assert isinstance(refused, Refusal)
        assert refused.code == outcome
    async with store.tx("decide") as tx:
        by = signed_in("sam", clock, ["security"])
        given = await approvals.decide(tx, deeds, asked.id, asked.digest, by, clock, give=True)
    assert isinstance(given, Approval)
    for _ in range(2):
        done = await approvals.carry_out(store, deeds, asked.id, clock)
        assert isinstance(done, Approval)
    async with store.tx("look") as tx:
        (grant,) = await grants.grants_of(tx, "anna", clock)
    assert (grant.rows, grant.approval) == (limits.GRANT_ROWS + 1, asked.id)


async def test_the_application_cannot_raise_a_budget(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    grant = await opened(store, clock)
    for change in ("rows = 99", "expires_at = now() + interval '1 year'", "person = 'ben'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with store.tx("bend") as tx:
                await tx.run(f"UPDATE access.grants SET {change}".encode())
    with pytest.raises(psycopg.errors.CheckViolation):
        async with store.tx("bend") as tx:
            await tx.run(b"UPDATE access.grants SET rows_left = rows + 1")
    assert left(await spend(store, clock, grant.id, "a")) == 2


def test_grants_are_their_persons_own(clock: ManualClock) -> None:
    mine = Grant(uuid4(), "anna", "ticket", "T-1", "x", 1, 1, clock.now(), clock.now(), None, None)
    policies, thing = access.policies(), grants.thing(mine)
    assert policies.judge(signed_in("anna", clock, ["support"]), "grant.end", thing).allowed
    assert not policies.judge(signed_in("ben", clock, ["support"]), "grant.end", thing).allowed
    assert policies.judge(signed_in("sam", clock, ["security"]), "grant.end", thing).allowed
