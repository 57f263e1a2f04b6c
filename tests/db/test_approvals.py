"""Four eyes: bound to exactly one deed, given once, by another person, in time; used once; whatever happens at the same time."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from tests.support.people import signed_in, somebody
from tillkeeper import access, audit
from tillkeeper.access import Approval, Asker, Session, approvals
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store, Tx


class Terms(msgspec.Struct, frozen=True):
    amount: int
    currency: str = "CNY"


class World:
    """What a deed stands on, and what it did."""

    def __init__(self) -> None:
        self.version: Any = 1
        self.done: list[UUID] = []
        self.fails: Refusal | None = None
        at_once = approvals.Deed("payment.release", Terms, self.present, self.carry_out)
        by_asker = approvals.Deed("payment.refund", Terms, self.present)
        self.deeds = approvals.deeds(at_once, by_asker)
        self.release, self.refund = at_once, by_asker

    async def present(self, _: Tx, __: Any) -> Any:
        return self.version

    async def carry_out(self, _: Tx, approval: Approval, __: Any) -> Refusal | None:
        if self.fails is None and approval.id not in self.done:
            self.done.append(approval.id)
        return self.fails


@pytest.fixture
def world() -> World:
    return World()


SHOP = Asker("shop", uuid4(), "203.0.113.9")


def person(name: str, clock: ManualClock, *roles: str, confirmed: bool = True) -> Session:
    return signed_in(name, clock, roles or ("operator",), confirmed=confirmed)


async def ask(store: Store, world: World, clock: ManualClock, by: str = "anna", amount: int = 5) -> Approval:
    async with store.tx("ask") as tx:
        asked = await approvals.ask(tx, world.release, Terms(amount), Asker(by), clock, "a friend")
    assert isinstance(asked, Approval)
    return asked


async def decide(
    store: Store, world: World, clock: ManualClock, asked: Approval, by: Session, *, give: bool = True
) -> Approval | Refusal:
    async with store.tx("decide") as tx:
        return await approvals.decide(
            tx, world.deeds, asked.id, asked.digest, by, clock, give=give, comment="checked"
        )


async def claim(
    store: Store, world: World, clock: ManualClock, key: str, amount: int = 5, who: Asker = SHOP
) -> Approval | Refusal:
    async with store.tx("claim") as tx:
        return await approvals.claim(tx, world.refund, Terms(amount), who, key, clock)


async def carry_out(store: Store, world: World, clock: ManualClock, asked: Approval) -> Approval | Refusal:
    return await approvals.carry_out(store, world.deeds, asked.id, clock)


async def state(store: Store, asked: Approval) -> str:
    async with store.tx("find") as tx:
        found = await approvals.find(tx, asked.id)
    assert found is not None
    return found.state


def code(said: Approval | Refusal) -> str:
    return said.code if isinstance(said, Refusal) else said.state


async def test_a_second_person_agrees_and_it_is_done_once(
    store: Store, clock: ManualClock, world: World
) -> None:
    asked = await ask(store, world, clock)
    assert asked.digest == approvals.digest_of("payment.release", Terms(5), 1)
    assert code(await carry_out(store, world, clock, asked)) == "approval_decided"  # nobody agreed yet
    assert code(await decide(store, world, clock, asked, person("ben", clock))) == "given"
    assert world.done == []
    assert code(await carry_out(store, world, clock, asked)) == "used"
    assert code(await carry_out(store, world, clock, asked)) == "used"
    assert world.done == [asked.id]
    async with store.tx("audit") as tx:
        events = await audit.of(tx, approvals.approval_id(asked))
    assert [(each.actor, each.action) for each in reversed(events)] == [
        ("anna", "approval.asked"),
        ("ben", "approval.given"),
        ("ben", "approval.used"),
    ]


async def test_the_same_question_waits_once(store: Store, clock: ManualClock, world: World) -> None:
    asked = await asyncio.gather(*(ask(store, world, clock, name) for name in ("anna", "ben", "anna")))
    assert len({each.id for each in asked}) == 1
    assert (await ask(store, world, clock, amount=6)).id != asked[0].id
    async with store.tx("look") as tx:
        assert len(await approvals.open_ones(tx, clock, None, 10)) == 2
        assert await approvals.count_open(tx, clock) == 2
        found = await approvals.open_about(tx, "payment.release", ["5", "6", "7"], clock)
        assert [each.id for each in await approvals.about(tx, "5", 10)] == [asked[0].id]
    assert found["5"].id == asked[0].id
    assert found.keys() == {"5", "6"}


async def test_nobody_approves_what_they_asked_for(
    store: Store, clock: ManualClock, world: World, admin: psycopg.AsyncConnection
) -> None:
    asked = await ask(store, world, clock, "anna")
    assert code(await decide(store, world, clock, asked, person("anna", clock))) == "own_approval"
    assert await state(store, asked) == "waiting"
    async with store.tx("audit") as tx:
        event = (await audit.of(tx, approvals.approval_id(asked)))[0]
    assert (event.action, event.result) == ("policy.refused", "refused")
    with pytest.raises(psycopg.errors.CheckViolation):  # the table itself knows it too
        await admin.execute(
            "UPDATE access.approvals SET decided_by = 'anna', decided_at = now(), state = 'given'"
        )


async def test_only_who_may_and_is_confirmed_decides(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock)
    stranger, tired = person("eve", clock, "support"), person("ben", clock, confirmed=False)
    assert code(await decide(store, world, clock, asked, stranger)) == "forbidden"
    assert code(await decide(store, world, clock, asked, tired)) == "not_fresh"
    assert await state(store, asked) == "waiting"


async def test_nobody_approves_their_own_roles(store: Store, clock: ManualClock) -> None:
    deeds = approvals.deeds(access.ROLE_CHANGE)
    async with store.tx("people") as tx:
        await access.add_person(tx, "dora", "", ["security"], clock, actor="test")
        change = access.RoleChange("dora", ("security", "auditor"), ("security",))
        asked = await approvals.ask(tx, access.ROLE_CHANGE, change, Asker("sam"), clock)
    assert isinstance(asked, Approval)
    for who, said in (("dora", "forbidden"), ("sam", "own_approval"), ("eve", "given")):
        async with store.tx("decide") as tx:
            by = person(who, clock, "security")
            found = await approvals.decide(tx, deeds, asked.id, asked.digest, by, clock, give=True)
        assert code(found) == said, who
    assert code(await approvals.carry_out(store, deeds, asked.id, clock)) == "used"
    async with store.tx("look") as tx:
        dora = await access.person(tx, "dora")
        (event, *_) = await audit.of(tx, "dora")
    assert dora is not None
    assert dora.roles == {"security", "auditor"}
    assert (event.actor, event.action) == ("sam", "roles.changed")


async def test_roles_that_changed_meanwhile_are_not_what_was_asked(store: Store, clock: ManualClock) -> None:
    deeds = approvals.deeds(access.ROLE_CHANGE)
    async with store.tx("people") as tx:
        await access.add_person(tx, "dora", "", ["security"], clock, actor="test")
        change = access.RoleChange("dora", ("security", "auditor"), ("security",))
        asked = await approvals.ask(tx, access.ROLE_CHANGE, change, Asker("sam"), clock)
        await access.set_roles(tx, "dora", ["support"], "eve")
    assert isinstance(asked, Approval)
    async with store.tx("decide") as tx:
        by = person("eve", clock, "security")
        found = await approvals.decide(tx, deeds, asked.id, asked.digest, by, clock, give=True)
    assert code(found) == "approval_changed"


async def test_a_refusal_is_final(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock)
    assert code(await decide(store, world, clock, asked, person("ben", clock), give=False)) == "refused"
    assert code(await decide(store, world, clock, asked, person("carl", clock))) == "approval_decided"
    assert code(await carry_out(store, world, clock, asked)) == "approval_decided"
    assert world.done == []


async def test_what_changed_was_not_agreed_to(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock)
    world.version = 2
    assert code(await decide(store, world, clock, asked, person("ben", clock))) == "approval_changed"
    assert await state(store, asked) == "stale"
    again = await ask(store, world, clock)
    other_page = msgspec.structs.replace(again, digest=asked.digest)
    assert code(await decide(store, world, clock, other_page, person("ben", clock))) == "approval_changed"
    assert await state(store, again) == "waiting"
    world.version = Refusal("wrong_state", "too late")
    assert code(await decide(store, world, clock, again, person("ben", clock))) == "approval_changed"
    async with store.tx("ask") as tx:
        said = await approvals.ask(tx, world.release, Terms(7), Asker("anna"), clock)
    assert code(said) == "wrong_state"


async def test_it_ends_by_itself(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock)
    clock.advance(limits.APPROVAL_SECONDS)
    assert code(await decide(store, world, clock, asked, person("ben", clock))) == "approval_expired"
    async with store.tx("look") as tx:
        assert await approvals.open_ones(tx, clock, None, 10) == []
        assert [each.id for each in await approvals.past_ones(tx, clock, None, 10)] == [asked.id]
    again = await ask(store, world, clock)
    assert again.id != asked.id
    assert await state(store, asked) == "expired"
    assert code(await decide(store, world, clock, again, person("ben", clock))) == "given"
    clock.advance(limits.APPROVAL_USE_SECONDS)
    assert code(await carry_out(store, world, clock, again)) == "approval_expired"
    assert world.done == []


async def test_what_is_late_is_closed_and_nothing_else(
    store: Store, clock: ManualClock, world: World
) -> None:
    late = await ask(store, world, clock)
    clock.advance(limits.APPROVAL_SECONDS - 1)
    young = await ask(store, world, clock, amount=6)
    done = await ask(store, world, clock, amount=7)
    await decide(store, world, clock, done, person("ben", clock))
    await carry_out(store, world, clock, done)
    clock.advance(1)
    async with store.tx("housekeeping") as tx:
        await approvals.forget_late(tx, clock)
    assert [await state(store, each) for each in (late, young, done)] == ["expired", "waiting", "used"]


async def test_of_parallel_answers_one_counts(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock)
    people = [person(name, clock) for name in ("ben", "carl", "dora", "eve")]
    said = await asyncio.gather(
        *(decide(store, world, clock, asked, who, give=n % 2 == 0) for n, who in enumerate(people))
    )
    codes = sorted(code(each) for each in said)
    assert codes[:3] == ["approval_decided"] * 3
    assert codes[3] in {"given", "refused"}
    assert await state(store, asked) == codes[3]


async def test_of_parallel_doings_one_counts(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock)
    await decide(store, world, clock, asked, person("ben", clock))
    said = await asyncio.gather(*(carry_out(store, world, clock, asked) for _ in range(4)))
    assert {code(each) for each in said} == {"used"}
    assert world.done == [asked.id]


async def test_a_deed_that_comes_to_nothing_says_so(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock)
    await decide(store, world, clock, asked, person("ben", clock))
    world.fails = Refusal("wrong_state", "it is gone")
    assert code(await carry_out(store, world, clock, asked)) == "wrong_state"
    assert await state(store, asked) == "failed"
    world.fails = None
    assert code(await carry_out(store, world, clock, asked)) == "approval_decided"


async def test_a_program_asks_waits_and_uses_it_up_for_one_key(
    store: Store, clock: ManualClock, world: World
) -> None:
    first = await claim(store, world, clock, "key-1")
    assert isinstance(first, Refusal)
    assert first.code == "approval_needed"
    assert first.approval is not None
    assert await claim(store, world, clock, "key-2") == first  # the same question
    async with store.tx("open") as tx:
        (asked,) = await approvals.open_ones(tx, clock, None, 10)
    assert asked.principal == SHOP.principal
    assert code(await decide(store, world, clock, asked, person("anna", clock))) == "given"
    assert code(await carry_out(store, world, clock, asked)) == "given"  # the program goes on itself
    assert code(await claim(store, world, clock, "key-1", amount=6)) == "approval_needed"
    other = Asker("shop", uuid4())
    assert code(await claim(store, world, clock, "key-1", who=other)) == "approval_needed"
    assert code(await claim(store, world, clock, "key-1")) == "used"
    assert (
        code(await claim(store, world, clock, "key-1")) == "used"
    )  # after a crash between this and the deed
    assert code(await claim(store, world, clock, "key-2")) == "approval_needed"  # a new question


async def test_of_parallel_claims_one_key_gets_it(store: Store, clock: ManualClock, world: World) -> None:
    await claim(store, world, clock, "key-0")
    async with store.tx("open") as tx:
        (asked,) = await approvals.open_ones(tx, clock, None, 10)
    await decide(store, world, clock, asked, person("anna", clock))
    said = await asyncio.gather(*(claim(store, world, clock, f"key-{n}") for n in range(5)))
    assert sorted(code(each) for each in said) == ["approval_needed"] * 4 + ["used"]


async def test_a_claim_hears_no_and_what_changed(store: Store, clock: ManualClock, world: World) -> None:
    await claim(store, world, clock, "key-1")
    async with store.tx("open") as tx:
        (asked,) = await approvals.open_ones(tx, clock, None, 10)
    await decide(store, world, clock, asked, person("anna", clock), give=False)
    assert code(await claim(store, world, clock, "key-1")) == "approval_refused"
    world.version = 2  # what it stands on is new: so is the question
    assert code(await claim(store, world, clock, "key-1")) == "approval_needed"
    async with store.tx("open") as tx:
        (asked,) = await approvals.open_ones(tx, clock, None, 10)
    await decide(store, world, clock, asked, person("anna", clock))
    world.version = 3
    assert code(await claim(store, world, clock, "key-1")) == "approval_needed"


async def test_who_asked_may_take_it_back(store: Store, clock: ManualClock, world: World) -> None:
    asked = await ask(store, world, clock, "anna")
    async with store.tx("withdraw") as tx:
        assert code(await approvals.withdraw(tx, asked.id, person("ben", clock), clock)) == "forbidden"
        assert code(await approvals.withdraw(tx, asked.id, person("anna", clock), clock)) == "withdrawn"
    assert code(await decide(store, world, clock, asked, person("ben", clock))) == "approval_decided"


async def test_a_program_gone_wild_fills_no_list(
    store: Store, clock: ManualClock, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "APPROVALS_WAITING", 3)
    said = [await claim(store, world, clock, "key", amount) for amount in range(1, 6)]
    assert [code(each) for each in said] == ["approval_needed"] * 3 + ["too_many_approvals"] * 2


async def test_the_application_cannot_bend_what_was_asked(
    store: Store, clock: ManualClock, world: World
) -> None:
    await ask(store, world, clock)
    for change in ("terms = '{}'", "digest = sha256('x')", "asked_by = 'ben'", "deed = 'x.y'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with store.tx("bend") as tx:
                await tx.run(f"UPDATE access.approvals SET {change}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with store.tx("bend") as tx:
            await tx.run(b"DELETE FROM access.approvals")


def test_the_digest_binds_deed_terms_and_state() -> None:
    base = approvals.digest_of("a.b", Terms(5), {"x": 1, "y": 2})
    assert base == approvals.digest_of("a.b", Terms(5), {"y": 2, "x": 1})
    others = [
        approvals.digest_of("a.c", Terms(5), {"x": 1, "y": 2}),
        approvals.digest_of("a.b", Terms(6), {"x": 1, "y": 2}),
        approvals.digest_of("a.b", Terms(5), {"x": 1, "y": 3}),
    ]
    assert len({base, *others}) == 4
    assert access.approvals is approvals


async def test_nothing_is_done_for_who_was_suspended(store: Store, clock: ManualClock) -> None:
    world, decider = World(), person("ben", clock)
    async with store.tx("people") as tx:
        await somebody(tx, "anna", clock)
    waiting, given = [await ask(store, world, clock, amount=each) for each in (5, 6)]
    kept = await ask(store, world, clock, by="carl", amount=7)
    assert isinstance(await decide(store, world, clock, given, decider), Approval)
    async with store.tx("suspend") as tx:
        await access.suspend(tx, "anna", clock, actor="root")
    said = await decide(store, world, clock, waiting, decider)
    done = await approvals.carry_out(store, world.deeds, given.id, clock)
    assert [isinstance(each, Refusal) and each.code for each in (said, done)] == ["approval_decided"] * 2
    assert isinstance(await decide(store, world, clock, kept, decider), Approval)
    assert world.done == []
    async with store.tx("look") as tx:
        told = [await audit.of(tx, approvals.approval_id(each)) for each in (waiting, given)]
    assert all("approval.stale" in [event.action for event in each] for each in told)
