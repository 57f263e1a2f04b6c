"""Plans through their states: nobody runs what was not rehearsed and agreed to by somebody else, exactly as it is written."""

import asyncio
from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import errors

from tests.support.people import signed_in
from tests.support.plans import (
    ANALYZE,
    DEEDS,
    WHO,
    a_plan,
    agree,
    approved,
    now,
    rehearse,
    rehearsed,
    same,
    submit,
    waiting,
)
from tillkeeper import audit
from tillkeeper.access import Approval, Asker, approvals
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Calendar, Filed, Freeze, Step, Window
from tillkeeper.maintenance.steps import KINDS
from tillkeeper.store import Store

ZONE = ZoneInfo("Asia/Shanghai")


def code(said: object) -> str:
    return said.code if isinstance(said, Refusal) else type(said).__name__


async def take(store: Store, clock: ManualClock, filed: Filed, run: UUID | None = None) -> Filed | Refusal:
    async with store.tx("take") as tx:
        return await plans.take(tx, filed.id, run or new_id(), clock)


async def test_the_whole_way(store: Store, clock: ManualClock) -> None:
    filed = await submit(store, clock)
    assert (filed.state, await waiting(store, clock)) == ("submitted", [])
    assert code(await take(store, clock, filed)) == "plan_not_approved"
    await rehearse(store, clock, filed)
    (asked,) = await waiting(store, clock)
    assert (asked.deed, asked.subject, asked.asked_by) == ("plan.approve", filed.public_id, "anna")
    assert code(await take(store, clock, filed)) == "plan_not_approved"
    assert isinstance(await agree(store, clock, asked), Approval)
    agreed = await now(store, filed)
    assert (agreed.state, agreed.approved_by, agreed.approval) == ("approved", "ben", asked.id)
    run = new_id()
    assert isinstance(await take(store, clock, filed, run), Filed)
    assert isinstance(await take(store, clock, filed, run), Filed)  # after a crash
    assert code(await take(store, clock, filed)) == "plan_not_approved"  # one plan, one run
    async with store.tx("end") as tx:
        assert code(await plans.withdraw(tx, filed.id, "anna", clock)) == "plan_state"
        await plans.finish(tx, run, clock)
        done = await plans.of_run(tx, run)
        events = [each.action for each in reversed(await audit.of(tx, filed.public_id))]
    assert done is not None
    assert (done.state, done.ended_by) == ("done", "agent")
    assert events == ["plan.submitted", "plan.rehearsed", "plan.approved"]


async def test_the_author_never_agrees_whoever_asks(store: Store, clock: ManualClock) -> None:
    filed = await submit(store, clock)
    await rehearse(store, clock, filed)
    (asked,) = await waiting(store, clock)
    assert code(await agree(store, clock, asked, "anna")) == "own_approval"
    async with store.tx("taken back, and asked by another") as tx:
        await approvals.withdraw(tx, asked.id, signed_in("anna", clock), clock)
        again = await plans.ask_approval(tx, filed.id, Asker("carl"), clock)
    assert isinstance(again, Approval)
    assert code(await agree(store, clock, again, "anna")) == "forbidden"
    assert code(await agree(store, clock, again, "carl")) == "own_approval"
    assert code(await agree(store, clock, again, "ben", "auditor")) == "forbidden"
    assert isinstance(await agree(store, clock, again, "ben", "system_admin"), Approval)


async def test_only_the_last_rehearsal_of_exactly_this_text_counts(store: Store, clock: ManualClock) -> None:
    filed = await submit(store, clock)
    async with store.tx("too early") as tx:
        assert code(await plans.ask_approval(tx, filed.id, WHO, clock)) == "plan_not_rehearsed"
    other = await submit(store, clock, a_plan("Know them better"))
    await rehearse(store, clock, other)
    assert (await now(store, filed)).state == "submitted"
    await rehearse(store, clock, filed)
    asked = next(each for each in await waiting(store, clock) if each.subject == filed.public_id)
    await rehearse(store, clock, filed, passed=False)
    assert (await now(store, filed)).state == "submitted"
    assert code(await agree(store, clock, asked)) == "approval_changed"
    await rehearse(store, clock, filed)
    fresh = next(each for each in await waiting(store, clock) if each.subject == filed.public_id)
    assert fresh.id != asked.id
    assert isinstance(await agree(store, clock, fresh), Approval)


async def test_what_was_rehearsed_before_is_asked_about_at_once(store: Store, clock: ManualClock) -> None:
    first = await approved(store, clock)
    again = await submit(store, clock, author="carl")
    assert (again.digest, again.state) == (first.digest, "rehearsed")
    (asked,) = await waiting(store, clock)
    assert (asked.subject, asked.asked_by) == (again.public_id, "carl")
    async with store.tx("newest") as tx:
        assert (found := await plans.of_digest(tx, first.digest)) is not None
    assert found.id == again.id


async def test_agreement_ends(store: Store, clock: ManualClock) -> None:
    soon = clock.now() + timedelta(hours=2)
    windowed = await approved(store, clock, a_plan(window=Window(clock.now(), soon)))
    free = await approved(store, clock)
    assert windowed.approved_until == soon
    assert free.approved_until == clock.now() + timedelta(seconds=limits.PLAN_APPROVED_SECONDS)
    clock.advance(2 * 3600)
    assert code(await take(store, clock, windowed)) == "plan_not_approved"
    async with store.tx("sweep") as tx:
        assert await plans.expire_late(tx, clock) == [windowed.id]
        assert await plans.expire_late(tx, clock) == []
    assert (await now(store, windowed)).state == "expired"
    assert isinstance(await take(store, clock, free), Filed)
    clock.advance(limits.PLAN_APPROVED_SECONDS)
    async with store.tx("one that runs does not expire") as tx:
        assert await plans.expire_late(tx, clock) == []


async def test_a_question_answered_after_the_window_comes_to_nothing(
    store: Store, clock: ManualClock
) -> None:
    window = Window(clock.now(), clock.now() + timedelta(hours=1))
    filed = await submit(store, clock, a_plan(window=window))
    await rehearse(store, clock, filed)
    clock.advance(3600)
    (asked,) = await waiting(store, clock)
    assert code(await agree(store, clock, asked)) == "plan_state"


async def test_drafts(store: Store, clock: ManualClock) -> None:
    async with store.tx("drafts") as tx:
        empty = await plans.draft(tx, a_plan("", steps=()), "anna", clock)
        assert isinstance(empty, Filed)
        assert code(await plans.submit_draft(tx, empty.id, "anna", KINDS, clock)) == "plan_mistaken"
        better = await plans.draft(tx, a_plan(), "ben", clock, replaces=empty.id)
        assert isinstance(better, Filed)
        assert code(await plans.draft(tx, a_plan(), "ben", clock, replaces=empty.id)) == "plan_state"
        sent = await plans.submit_draft(tx, better.id, "ben", KINDS, clock)
        assert isinstance(sent, Filed)
        assert code(await plans.submit_draft(tx, better.id, "ben", KINDS, clock)) == "plan_state"
        assert code(await plans.withdraw(tx, new_id(), "ben", clock)) == "unknown_plan"
        assert [each.id for each in await plans.listed(tx)] == [better.id]
        assert [each.id for each in await plans.listed(tx, ["withdrawn"])] == [empty.id]
    assert same(await now(store, sent), sent)


async def test_what_cannot_be_carried_out_is_not_filed(store: Store, clock: ManualClock) -> None:
    async with store.tx("mistaken") as tx:
        said = await plans.submit(tx, a_plan(steps=(Step("zzz"),)), "anna", KINDS, clock)
    assert isinstance(said, Refusal)
    assert (said.code, said.field) == ("plan_mistaken", "steps[0].kind")


async def test_a_program_gone_wild_fills_no_list(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PLANS_OPEN", 2)
    filed = [await submit(store, clock) for _ in range(2)]
    async with store.tx("one more") as tx:
        assert code(await plans.submit(tx, a_plan(), "anna", KINDS, clock)) == "too_many_plans"
        assert code(await plans.draft(tx, a_plan(), "anna", clock)) == "too_many_plans"
        await plans.withdraw(tx, filed[0].id, "anna", clock)
        assert isinstance(await plans.submit(tx, a_plan(), "anna", KINDS, clock), Filed)


async def test_of_two_runs_one_gets_the_plan(store: Store, clock: ManualClock) -> None:
    filed = await approved(store, clock)
    said = await asyncio.gather(*(take(store, clock, filed) for _ in range(4)))
    assert sorted(map(code, said)) == ["Filed", *["plan_not_approved"] * 3]


async def test_the_table_itself_keeps_hash_and_four_eyes(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    filed = await approved(store, clock)
    for change in (
        "content = replace(content, 'payments.payments', 'payments.refunds')",
        "approved_by = author",
        "approved_by = NULL",
    ):
        with pytest.raises(errors.CheckViolation):
            await admin.execute(f"UPDATE maintenance.plans SET {change}".encode())
    with pytest.raises(errors.InsufficientPrivilege):
        async with store.tx("no right") as tx:
            await tx.run(b"UPDATE maintenance.plans SET content = content")
    for table in ("rehearsals", "overrides"):
        with pytest.raises(errors.InsufficientPrivilege):
            async with store.tx("append only") as tx:
                await tx.run(f"DELETE FROM maintenance.{table}".encode())
    assert (await now(store, filed)).plan.steps == (ANALYZE,)


async def freeze(store: Store, clock: ManualClock, hours: float = 24) -> Freeze:
    async with store.tx("freeze") as tx:
        begin = clock.now()
        made = await plans.freeze(tx, begin, begin + timedelta(hours=hours), "double eleven", "anna", clock)
    assert isinstance(made, Freeze)
    return made


async def allowed(store: Store, clock: ManualClock, filed: Filed) -> bool:
    async with store.tx("may it") as tx:
        return (await plans.may_run(tx, filed, Calendar(), ZONE, clock)).allowed


async def test_a_freeze_stops_runs_and_two_people_go_against_it(store: Store, clock: ManualClock) -> None:
    filed, other = await approved(store, clock), await approved(store, clock, a_plan("Another"))
    assert await allowed(store, clock, filed)
    await freeze(store, clock)
    assert not await allowed(store, clock, filed)
    async with store.tx("ask") as tx:
        assert code(await plans.ask_override(tx, filed.id, " ", WHO, clock)) == "invalid_value"
        gossip = await plans.ask_override(tx, filed.id, "ask 13800138000", WHO, clock)
        assert code(gossip) == "personal_data_refused"
        asked = await plans.ask_override(tx, filed.id, "the leak cannot wait", WHO, clock)
    assert isinstance(asked, Approval)
    assert not await allowed(store, clock, filed)
    assert code(await agree(store, clock, asked, "anna")) == "own_approval"
    assert isinstance(await agree(store, clock, asked), Approval)
    assert isinstance(
        await approvals.carry_out(store, DEEDS, asked.id, clock), Approval
    )  # once more changes nothing
    assert await allowed(store, clock, filed)
    assert not await allowed(store, clock, other)
    async with store.tx("overrides") as tx:
        (leave,) = await plans.overrides_of(tx, filed.id)
    assert (leave.asked_by, leave.given_by, leave.reason) == ("anna", "ben", "the leak cannot wait")
    clock.advance(limits.PLAN_OVERRIDE_SECONDS)
    assert not await allowed(store, clock, filed)


async def test_lifting_a_freeze_takes_two(store: Store, clock: ManualClock) -> None:
    filed, made = await approved(store, clock), await freeze(store, clock)
    async with store.tx("ask") as tx:
        assert code(await plans.ask_lift(tx, new_id(), "why", WHO, clock)) == "unknown_freeze"
        asked = await plans.ask_lift(tx, made.id, "the sale is over", WHO, clock)
    assert isinstance(asked, Approval)
    assert isinstance(await agree(store, clock, asked), Approval)
    assert await allowed(store, clock, filed)
    async with store.tx("lifted") as tx:
        assert code(await plans.ask_lift(tx, made.id, "again", WHO, clock)) == "unknown_freeze"
        assert [each.action for each in reversed(await audit.of(tx, plans.freeze_id(made)))] == [
            "freeze.made",
            "freeze.lifted",
        ]


async def test_a_freeze_has_a_reason_and_an_end(store: Store, clock: ManualClock) -> None:
    start = clock.now()
    day, year = timedelta(days=1), timedelta(days=365)
    wrong = {
        "reason": [(start, start + day, "  "), (start, start + day, "x" * 201)],
        "ends": [(start + day, start, "x"), (start - 2 * day, start - day, "x"), (start, start + year, "x")],
    }
    async with store.tx("wrong") as tx:
        for field, cases in wrong.items():
            for begins, ends, reason in cases:
                said = await plans.freeze(tx, begins, ends, reason, "anna", clock)
                assert isinstance(said, Refusal)
                assert said.field == field
        said = await plans.freeze(tx, start, start + day, "ask 13800138000", "anna", clock)
        assert code(said) == "personal_data_refused"


async def test_how_long_it_takes_is_what_the_rehearsal_says(store: Store, clock: ManualClock) -> None:
    filed = await submit(store, clock)
    assert plans.expected_seconds(filed.plan, None) == 600
    assert plans.expected_seconds(a_plan(expected_seconds=7.0), None) == 7
    steps = tuple(Step("table.analyze", expected_seconds=each) for each in (2.0, 3.0))
    assert plans.expected_seconds(a_plan(steps=steps), None) == 5
    noted = await rehearse(store, clock, filed)
    assert plans.expected_seconds(filed.plan, noted) == 2
    assert plans.expected_seconds(a_plan(expected_seconds=7.0), noted) == 7
    failed = await rehearse(store, clock, filed, passed=False)
    assert plans.expected_seconds(a_plan(expected_seconds=1.0), failed) == 1


async def test_what_was_rehearsed_while_it_was_submitted_can_be_agreed_to(
    store: Store, clock: ManualClock
) -> None:
    filed = await submit(store, clock)
    async with store.tx("a rehearsal that did not see it yet") as tx:
        await plans.note_rehearsal(tx, filed.digest, rehearsed(clock), clock)
        await tx.run(b"UPDATE maintenance.plans SET state = 'submitted'")
    (asked,) = await waiting(store, clock)
    assert isinstance(await agree(store, clock, asked), Approval)
    assert (await now(store, filed)).state == "approved"


async def test_who_agrees_while_it_is_withdrawn_agreed_to_nothing(store: Store, clock: ManualClock) -> None:
    filed = await submit(store, clock)
    await rehearse(store, clock, filed)
    (asked,) = await waiting(store, clock)
    async with store.tx("withdrawn") as tx:
        await plans.withdraw(tx, filed.id, "anna", clock)
        agreeing = asyncio.create_task(agree(store, clock, asked))
        await asyncio.sleep(0.2)
    assert code(await agreeing) == "plan_state"
    async with store.tx("look") as tx:
        assert "plan.approved" not in [each.action for each in await audit.of(tx, filed.public_id)]
