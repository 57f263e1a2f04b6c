"""Cases over a real database: alerts become cases, people work them, verdicts flow back as labels, everything is on record."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from random import Random
from uuid import UUID

import psycopg
import pytest

from tests.support.cases import alert, decision
from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.risk import cases
from tillkeeper.risk.cases import Binder, Case, Clerk
from tillkeeper.risk.cases.queue import _place
from tillkeeper.store import Store


@pytest.fixture
def clock() -> ManualClock:
    """Ids are made by the machine's clock: a test of what is new begins now."""
    return ManualClock(SystemClock().now() + timedelta(seconds=limits.TIE_LAG_SECONDS + 300))


async def taken(store: Store, clock: ManualClock) -> list[Case]:
    """The open cases once all alerts are in them, the largest expected loss first."""
    await Clerk(store, clock).beat()
    return await queued(store, clock)


async def queued(
    store: Store, clock: ManualClock, show: cases.Show = "open", person: str = "anna"
) -> list[Case]:
    async with store.tx("test") as tx:
        return list((await cases.listed(tx, show, person, clock.now())).rows)


def code(said: Case | Refusal) -> str:
    assert isinstance(said, Refusal), said
    return said.code


def done(said: Case | Refusal) -> Case:
    assert isinstance(said, Case), said
    return said


async def past(store: Store, case: UUID) -> list[str]:
    async with store.tx("test") as tx:
        found = await cases.dossier(tx, case)
    assert found is not None
    return [f"{each.kind} {each.person}".strip() for each in found.events]


async def test_alerts_about_one_subject_are_one_case_while_it_is_open(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    mei, tom, payment = new_id(), new_id(), new_id()
    await alert(admin, clock.now(), mei, payment, loss=40_000)
    await alert(admin, clock.now(), mei, payment, loss=30_000, kind="login")
    await alert(admin, clock.now(), tom, loss=600_000)
    await alert(admin, clock.now(), tom, loss=1, subject_kind="merchant")
    await alert(admin, clock.now(), new_id(), loss=9_000_000, queued=False)
    found = await taken(store, clock)
    assert [
        (each.subject, each.subject_kind, each.alerts, each.expected_loss, each.severity) for each in found
    ] == [
        (tom, "customer", 1, 600_000, "high"),
        (mei, "customer", 2, 40_000, "low"),
        (tom, "merchant", 1, 1, "low"),
    ], "a payment counts once, what is below the budget waits"
    clock.advance(60)
    await alert(admin, clock.now(), mei, loss=480_000)
    (first, *_) = await taken(store, clock)
    (_, again, _) = await queued(store, clock)
    assert (again.id, again.alerts, again.expected_loss, again.severity) == (found[1].id, 3, 520_000, "high")
    assert again.due_at == clock.now() + timedelta(seconds=limits.CASE_DUE_SECONDS["high"]), (
        "sooner than it was"
    )
    assert first.subject == tom
    assert await past(store, again.id) == ["opened", "raised"]
    assert await Clerk(store, clock).beat() == 0, "each alert is in one case"


async def test_what_a_case_comes_to_is_kept_alert_by_alert(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, seed: int
) -> None:
    """The sum is never made anew of all alerts: it must come to the same, whatever is said again and by which detector."""
    chance, mei, things = Random(seed), new_id(), [new_id() for _ in range(6)]
    worst: dict[UUID, int] = {}
    said = 0
    for _ in range(6):
        for number in range(chance.randrange(1, 6)):
            thing, loss, kind = chance.choice(things), chance.randrange(1000), f"kind_{said}_{number}"
            await alert(admin, clock.now(), mei, thing, loss=loss, kind=kind, login=things.index(thing) < 3)
            worst[thing] = max(worst.get(thing, 0), loss)
            said += 1
        (case,) = await taken(store, clock)
        assert (case.alerts, case.expected_loss) == (said, sum(worst.values()))
        async with store.tx("test") as tx:
            found = await cases.dossier(tx, case.id)
        assert found is not None
        assert len(found.alerts) == said


async def test_a_case_is_worked_and_its_verdict_is_a_label_known_from_now_on(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    mei = new_id()
    bad = await decision(admin, clock.now(), mei, outcome="hold")
    worse = await decision(admin, clock.now(), mei)
    foreign = await decision(admin, clock.now(), new_id())
    await alert(admin, clock.now(), mei, bad)
    (case,) = await taken(store, clock)
    async with store.tx("test") as tx:
        assert (
            code(await cases.decide(tx, case.id, "anna", "fraud", [bad], "seen", clock)) == "case_not_claimed"
        )
        done(await cases.claim(tx, case.id, "anna", clock, "10.0.0.9"))
        assert code(await cases.claim(tx, case.id, "ben", clock)) == "case_claimed"
        done(await cases.note(tx, case.id, "ben", "the bank knows the device", clock))
        assert (
            code(await cases.note(tx, case.id, "ben", "call 13800138000", clock)) == "personal_data_refused"
        )
        assert (
            code(await cases.decide(tx, case.id, "anna", "fraud", [foreign], "seen", clock))
            == "unknown_payment"
        )
        assert code(await cases.decide(tx, case.id, "anna", "maybe", [bad], "seen", clock)) == "invalid_value"
        assert code(await cases.decide(tx, case.id, "anna", "fraud", [bad], "", clock)) == "invalid_value"
        done(await cases.hand_over(tx, case.id, "anna", "ben", clock, "my shift ends"))
        closed = done(
            await cases.decide(tx, case.id, "ben", "fraud", [bad, worse, bad], "stolen phone", clock)
        )
        dossier = await cases.dossier(tx, case.id)
        trail = (await audit.of(tx, case.public_id))[::-1]
    assert (closed.state, closed.verdict, closed.closed_by) == ("closed", "fraud", "ben")
    assert dossier is not None
    assert dossier.labels == {bad: True}, "of the payments alerted about"
    labels = await (
        await admin.execute("SELECT payment, fraud, source, known_at FROM risk.labels ORDER BY id")
    ).fetchall()
    assert labels == [(bad, True, "case", clock.now()), (worse, True, "case", clock.now())]
    assert [each.kind for each in dossier.events] == ["opened", "claimed", "noted", "handed_over", "decided"]
    assert [each.action for each in trail] == [
        "case.opened", "case.claimed", "case.noted", "case.handed_over", "case.decided",
    ]  # fmt: skip
    assert trail[1].origin == "10.0.0.9"
    assert trail[-1].reason == "fraud, 2 payments: stolen phone"
    assert await queued(store, clock) == []
    assert [each.id for each in await queued(store, clock, "closed")] == [case.id]


async def test_unclear_labels_nothing_and_a_case_opened_again_is_decided_anew(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    mei = new_id()
    bad = await decision(admin, clock.now(), mei)
    await alert(admin, clock.now(), mei, bad)
    (case,) = await taken(store, clock)
    async with store.tx("test") as tx:
        done(await cases.claim(tx, case.id, "anna", clock))
        done(await cases.decide(tx, case.id, "anna", "unclear", [bad], "nobody answers", clock))
    assert (await (await admin.execute("SELECT count(*) FROM risk.labels")).fetchone()) == (0,)
    clock.advance(3600)
    async with store.tx("test") as tx:
        again = done(await cases.reopen(tx, case.id, "ben", "the customer called back", clock))
        assert again.claimant(clock.now()) == "ben"
        done(await cases.decide(tx, case.id, "ben", "genuine", [bad], "it was the customer", clock))
        dossier = await cases.dossier(tx, case.id)
    assert dossier is not None
    assert dossier.labels == {bad: False}
    assert [(each.verdict, each.person) for each in dossier.verdicts] == [
        ("unclear", "anna"),
        ("genuine", "ben"),
    ]
    await alert(admin, clock.now(), mei)
    (newer,) = await taken(store, clock)
    assert newer.id != case.id, "a decided case takes no more alerts"
    async with store.tx("test") as tx:
        refused = await cases.reopen(tx, case.id, "ben", "again", clock)
        others = await cases.dossier(tx, newer.id)
    assert code(refused) == "case_open"
    assert isinstance(refused, Refusal)
    assert newer.public_id in refused.detail
    assert others is not None
    assert [each.id for each in others.others] == [case.id]


async def test_two_who_claim_at_the_same_moment_are_not_both_given_it(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    await alert(admin, clock.now(), new_id())
    (case,) = await taken(store, clock)

    async def try_(person: str) -> Case | Refusal:
        async with store.tx("test") as tx:
            return await cases.claim(tx, case.id, person, clock)

    said = await asyncio.gather(*(try_(f"p{n}") for n in range(6)))
    assert sum(isinstance(each, Case) for each in said) == 1


async def test_cases_that_nobody_decided_in_time_are_told_once(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    await alert(admin, clock.now(), new_id(), loss=6_000_000)
    (case,) = await taken(store, clock)
    assert case.due_at - case.opened_at == timedelta(hours=1)
    clock.advance(3599)
    assert await queued(store, clock, "late") == []
    clock.advance(2)
    (late,) = await taken(store, clock)
    await Clerk(store, clock).beat()
    assert late.overdue_at == clock.now()
    assert await past(store, case.id) == ["opened", "overdue"]
    async with store.tx("test") as tx:
        assert await cases.count_late(tx, clock.now()) == 1
        found = await cases.counts(tx, "anna", clock.now())
    assert (found.open, found.late, found.claimed, found.losses) == (1, 1, 0, {"CNY": 6_000_000})


async def test_the_queue_goes_on_where_a_page_ended(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    for n in range(7):
        await alert(admin, clock.now(), new_id(), loss=1000 * (n // 2))
    wanted = [each.id for each in await taken(store, clock)]
    seen, after = [], ""
    async with store.tx("test") as tx:
        while True:
            page = await cases.listed(tx, "open", "anna", clock.now(), after, 2)
            seen += [each.id for each in page.rows]
            after = page.after
            if not after:
                break
        done(await cases.claim(tx, wanted[3], "anna", clock))
        assert [each.id for each in (await cases.listed(tx, "mine", "anna", clock.now())).rows] == [wanted[3]]
        assert len((await cases.listed(tx, "free", "anna", clock.now())).rows) == 6
    assert seen == wanted
    assert len(set(seen)) == 7
    for strange in (
        "x",
        "1",
        "-1.case_0",
        f"9.{to_typeid('pay', new_id())}",
        "9" * 40,
        "²." + to_typeid("case", new_id()),
    ):
        assert _place(strange) == _place(""), strange


async def test_neighbours_are_kept_behind_decisions_and_logins(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    mei, tom, ann, cafe, bank = new_id(), new_id(), new_id(), new_id(), new_id()
    at = clock.now() - timedelta(hours=1)
    await decision(admin, at, mei, cafe, device="phone-1", ip="203.0.113.1")
    await decision(admin, at, tom, device="phone-1", ip="203.0.113.2")
    await decision(admin, at, tom, bank, kind="withdrawal")
    await decision(admin, at, ann, bank, kind="withdrawal")
    await decision(admin, at - timedelta(days=limits.TIE_DAYS + 1), ann, cafe, device="phone-1")
    for n in range(limits.TIE_HUB + 1):
        await decision(admin, at, UUID(int=n + 1), cafe)
    assert await Binder(store, clock).beat() == 6 + limits.TIE_HUB
    assert await Binder(store, clock).beat() == 0
    async with store.tx("test") as tx:
        picture = await cases.neighbours(tx, mei, (), clock.now())
    assert {node.key: node.level for node in picture.nodes} == {
        ("party", str(mei)): 0,
        ("device", "phone-1"): 1,
        ("party", str(tom)): 2,
        ("account", str(bank)): 3,
        ("party", str(ann)): 4,
    }
    assert picture.hubs == (("party", str(cafe)),)
    clock.advance(86400 * (limits.TIE_DAYS + 1))
    await Binder(store, clock).beat()
    assert (await (await admin.execute("SELECT count(*) FROM risk.ties")).fetchone()) == (0,), (
        "old ties are forgotten"
    )


async def test_who_paid_a_merchant_is_near_it_in_its_case(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    mei, tom, cafe = new_id(), new_id(), new_id()
    at = clock.now() - timedelta(hours=1)
    await decision(admin, at, mei, cafe, device="farm")
    await decision(admin, at, tom, cafe, device="farm")
    for n in range(limits.TIE_HUB + 1):
        await decision(admin, at, UUID(int=n + 1), cafe)
    await Binder(store, clock).beat()
    async with store.tx("test") as tx:
        picture = await cases.neighbours(tx, cafe, [(mei, at), (tom, at)], clock.now())
    assert {node.key: node.level for node in picture.nodes} == {
        ("party", str(cafe)): 0,
        ("party", str(mei)): 1,
        ("party", str(tom)): 1,
        ("device", "farm"): 2,
    }


async def test_what_was_let_through_as_a_sample_is_measured(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    async with store.tx("test") as tx:
        assert await cases.measure(tx, clock.now()) == []
    fates: list[bool | None] = [True, True, False, None]
    for fate in fates:
        payment = await decision(admin, clock.now(), new_id(), amount=5_000)
        await admin.execute("INSERT INTO risk.bypasses VALUES (%s, 'hold', now())", [payment])
        if fate is not None:
            for word in (not fate, fate):
                await admin.execute(
                    "INSERT INTO risk.labels (payment, fraud, source, known_at, written_at) VALUES (%s, %s, 'case', now(), now())",
                    [payment, word],
                )
    async with store.tx("test") as tx:
        (found,) = await cases.measure(tx, clock.now())
    assert (found.outcome, found.passed, found.fraud, found.genuine) == ("hold", 4, 2, 1)
    assert (found.fraud_amount, found.genuine_amount, found.known) == (10_000, 5_000, 3)
    assert found.precision is not None
    share, low, high = found.precision
    assert low < share < high


async def test_what_is_not_there_is_said(store: Store, clock: ManualClock) -> None:
    nobody = new_id()
    async with store.tx("test") as tx:
        acts: list[Awaitable[Case | Refusal]] = [
            cases.claim(tx, nobody, "anna", clock),
            cases.decide(tx, nobody, "anna", "fraud", [], "seen", clock),
            cases.reopen(tx, nobody, "anna", "seen", clock),
            cases.note(tx, nobody, "anna", "seen", clock),
        ]
        assert [code(await act) for act in acts] == ["unknown_case"] * 4
        assert await cases.dossier(tx, nobody) is None
        assert await cases.cases_of_payments(tx, [nobody]) == {}
