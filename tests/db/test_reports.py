"""The report of a run: what it says, that its signature finds every change, that it is written once, and what follows."""

import asyncio
import re
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest

from tests.support.upkeep import a_run, change_run, told
from tillkeeper.audit.keys import open_ring
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import Refusal
from tillkeeper.base.settings import Settings
from tillkeeper.ledger import Entry, NewAccount, Op, open_accounts, post
from tillkeeper.maintenance import plans, reports
from tillkeeper.maintenance.reports import Document, Writer
from tillkeeper.store import Store


@pytest.fixture
def settings(tmp_path: Path, clock: ManualClock) -> Settings:
    made = Settings(home=tmp_path / "till", keys=tmp_path / "keys")
    open_ring(made.key_folder, clock)
    return made


@pytest.fixture
def writer(store: Store, settings: Settings, clock: ManualClock) -> Writer:
    return Writer(store, settings, clock)


async def books(store: Store, clock: ManualClock) -> tuple[UUID, UUID]:
    """A bank and a wallet with 70.00 yuan in it."""
    bank, wallet = new_id(), new_id()
    accounts = [NewAccount(bank, "CNY", "debit", "bank", None), NewAccount(wallet, "CNY", "credit", "wallet")]
    async with store.tx("books") as tx:
        await open_accounts(tx, accounts, clock.now())
    await move(store, clock, bank, wallet, 7000)
    return bank, wallet


async def move(store: Store, clock: ManualClock, debit: UUID, credit: UUID, amount: int) -> None:
    entry = Entry(new_id(), Op.POST, debit, credit, amount, "top_up", new_id(), clock.now())
    async with store.tx("move") as tx:
        await post(tx, [entry], clock.now())


async def the_report(store: Store, writer: Writer, clock: ManualClock) -> tuple[UUID, Document, bytes]:
    """The one report that is to be written now."""
    assert await writer.beat() == []
    clock.advance(10)
    (report,) = await writer.beat()
    async with store.tx("look") as tx:
        file = await reports.file_of(tx, report)
    assert file is not None
    return report, reports.document_of(file), file


async def test_a_report_says_what_the_run_did(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, writer: Writer, settings: Settings
) -> None:
    bank, wallet = await books(store, clock)
    clock.advance(60)
    run, _, plan = await a_run(admin, clock)
    await move(store, clock, bank, wallet, 1000)
    report, document, file = await the_report(store, writer, clock)

    assert (document.plan, document.digest, document.outcome) == (plan, plan.digest.hex(), "succeeded")
    ((agreed, asker, giver),) = [(each.deed, each.asked_by, each.given_by) for each in document.agreed]
    assert (agreed, asker, giver) == ("plan.approve", "anna", "bert")
    (step,) = document.steps
    assert [(each.kind, each.outcome) for each in step.attempts] == [("run", "done")]
    assert step.evidence["bytes"] == 8192
    assert (step.seconds, step.expected_seconds) == (18.0, 3.0)
    assert [each.verdict for each in document.judged] == ["pass", "inconclusive", "pass"]
    assert [each.what for each in document.happened] == [
        *("asked", "preflight", "begun", "paused", "resumed", "ended"),
    ]

    effect = document.effect
    assert (effect.before.answered, effect.before.failed) == (1200, 0)
    assert (effect.during.answered, effect.during.failed) == (360, 40)
    assert effect.failed_because == 40
    assert effect.downtime_seconds == 2.0
    assert (effect.before.p50_ms, effect.before.p99_ms) == (4.0, 9.0)
    assert sum(each.failed for each in document.slots) == 40

    (sides,) = document.money.sides
    assert (sides.debit_before, sides.credit_before) == (7000, 7000)
    assert (sides.debit_after, sides.credit_after) == (8000, 8000)
    assert document.money.balanced
    assert {each.code for each in document.deviations} == {"not_rehearsed", "step_longer", "interruption"}
    assert [each.code for each in document.items] == [
        *("tell_merchants", "correct_estimate", "expect_interruption", "rehearse", "too_few_samples"),
    ]

    paths = sorted(reports.folder_of(settings).iterdir())
    assert [path.suffixes[-2:] for path in paths] == [[".en", ".html"], [".json"], [".zh-CN", ".html"]]
    ring = reports.ring_in(settings)
    assert {reports.verify(path.read_bytes(), ring) for path in paths} == {"holds"}
    assert file in {path.read_bytes() for path in paths}
    async with store.tx("look") as tx:
        found = await reports.find(tx, run)
        assert found is not None
        assert (found.id, found.owner, found.review, found.open_tasks) == (report, "anna", None, 5)
    ((topic, news),) = await told(store)
    assert (topic, news["run"]) == ("report.written", document.run)


async def test_planted_money_faults_are_in_the_report_and_come_first(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, writer: Writer
) -> None:
    _, wallet = await books(store, clock)
    clock.advance(60)
    await a_run(admin, clock)
    await admin.execute("UPDATE ledger.accounts SET balance = balance - 50 WHERE id = %s", (wallet,))
    _, document, _ = await the_report(store, writer, clock)
    assert not document.money.balanced
    assert document.items[0].code == "books_differ"
    assert any("6950, expected 7000" in each for each in document.money.differences)
    for language in reports.LANGUAGES:
        page = reports.draw(document, language, "ak_0")
        assert "6950, expected 7000" in page


async def test_every_change_of_a_file_is_found(
    store: Store,
    admin: psycopg.AsyncConnection,
    clock: ManualClock,
    writer: Writer,
    settings: Settings,
    tmp_path: Path,
) -> None:
    await a_run(admin, clock, ended="undone")
    _, _, file = await the_report(store, writer, clock)
    ring = reports.ring_in(settings)
    (page,) = (path.read_bytes() for path in reports.folder_of(settings).glob("*.en.html"))
    for good in (file, page):
        for place in (*range(0, len(good), 997), *range(len(good) - 260, len(good))):
            bad = bytearray(good)
            bad[place] ^= 1
            assert reports.verify(bytes(bad), ring) != "holds", place
    # A signature of one form serves for no other.
    mark = page[page.rindex(b"\n<!-- signature") :]
    assert reports.verify(file.rstrip(b"\n") + mark, ring) == "changed"
    assert reports.verify(b"{}", ring) == "unreadable"
    stranger = open_ring(tmp_path / "other", clock)
    assert {reports.verify(each, stranger) for each in (file, page)} == {"stranger"}


async def test_two_agents_write_one_report_and_a_run_undone_later_gets_a_second(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, settings: Settings
) -> None:
    run, _, _ = await a_run(admin, clock)
    clock.advance(10)
    written = await asyncio.gather(*(Writer(store, settings, clock).beat() for _ in range(3)))
    assert sum(map(len, written)) == 1
    await change_run(admin, run, "undone", clock.now())
    clock.advance(10)
    (second,) = await Writer(store, settings, clock).beat()
    async with store.tx("look") as tx:
        found = await reports.find(tx, run)
        assert len(await reports.listed(tx)) == 2
    assert found is not None
    assert (found.id, found.outcome) == (second, "undone")


async def test_a_review_is_given_once_and_until_then_the_report_counts(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, writer: Writer
) -> None:
    await a_run(admin, clock)
    report, _, _ = await the_report(store, writer, clock)
    async with store.tx("review") as tx:
        assert await reports.count_unreviewed(tx) == 1
        refused = await reports.review(tx, report, "anna", "ask 13800138000", clock)
        assert isinstance(refused, Refusal)
        assert refused.code == "personal_data_refused"
        assert await reports.review(tx, report, "anna", "as planned", clock) is None
    async with store.tx("review") as tx:
        again = await reports.review(tx, report, "bert", "me too", clock)
        assert isinstance(again, Refusal)
        assert (again.code, again.detail) == ("report_reviewed", "anna did")
        unknown = await reports.review(tx, NIL, "bert", "", clock)
        assert isinstance(unknown, Refusal)
        assert unknown.code == "unknown_report"
        assert await reports.count_unreviewed(tx) == 0
        found = await reports.find(tx, report)
    assert found is not None
    assert found.review is not None
    assert found.review.remark == "as planned"


async def test_a_task_becomes_the_next_plan_with_what_was_not_done(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, writer: Writer
) -> None:
    _, _, plan = await a_run(admin, clock, ended="undone")
    report, document, _ = await the_report(store, writer, clock)
    assert document.steps[0].attempts[0].said == "no room left"
    async with store.tx("tasks") as tx:
        tasks = await reports.tasks_of(tx, report)
        assert tasks == await reports.open_tasks(tx)
        first = tasks[0]
        assert (first.code, first.detail) == ("find_cause", "no room left")
        made = await reports.plan_task(tx, first.id, "Find out why", "carla", clock)
        again = await reports.plan_task(tx, first.id, "Find out why", "carla", clock)
        done = await reports.finish_task(tx, first.id, "carla", clock)
        twice = await reports.finish_task(tx, first.id, "anna", clock)
        none = await reports.finish_task(tx, NIL, "anna", clock)
    assert not isinstance(made, Refusal)
    assert made == again
    assert made.state == "draft"
    assert made.plan.steps == plan.steps
    assert made.plan.window is None
    assert (made.plan.goal, made.plan.owner) == ("Find out why", "carla")
    assert document.run in made.plan.reason
    assert not isinstance(done, Refusal)
    assert not isinstance(twice, Refusal)
    assert (done.done_by, twice.done_by) == ("carla", "carla")
    assert isinstance(none, Refusal)
    assert none.code == "unknown_task"
    async with store.tx("tasks") as tx:
        assert [each.id for each in await reports.open_tasks(tx)] == [each.id for each in tasks[1:]]
        assert len(await plans.listed(tx)) == 1


async def test_a_page_needs_nothing_from_anywhere_and_shows_what_people_typed_as_text(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, writer: Writer
) -> None:
    await a_run(admin, clock)
    _, document, _ = await the_report(store, writer, clock)
    evil = msgspec.structs.replace(document.plan, goal="<script>alert(1)</script>")
    document = msgspec.structs.replace(document, plan=evil)
    for language in reports.LANGUAGES:
        page = reports.draw(document, language, "ak_0")
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert re.findall(r"(?:src|href|url)\s*[=(]|@import|https?://", page) == []
        assert 'style="' not in page
        assert page.count("<svg") == 6
