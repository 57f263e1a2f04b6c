"""A rehearsal on a database that stands for the restored copy: what passes, what is found, what is written down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio

from tests.support.counting import TABLES, Count, effects, kinds, step
from tests.support.postgres import Database
from tests.support.shop import Shop, open_shop
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.backups import BackupError, Copy, Restored
from tillkeeper.maintenance.plans import Filed, Plan, Rehearsed, Step
from tillkeeper.maintenance.runs import journal, rehearsal
from tillkeeper.maintenance.runs.diary import Diary
from tillkeeper.maintenance.runs.rehearsal import _on_copy
from tillkeeper.maintenance.steps import Attempt, Evidence, Site
from tillkeeper.store import Store, as_owner

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLOCK = SystemClock()


class Place:
    """A production of a few payments, which is its own copy."""

    def __init__(self, shop: Shop, admin: psycopg.AsyncConnection, copy: Copy) -> None:
        self.store, self.admin, self.copy = shop.store, admin, copy

    async def rehearse(self, kinds: Any, *steps: Step) -> tuple[Rehearsed, runs.RunView]:
        """Its evidence, and the run as it is written down."""
        plan = Plan("Count", "to see", "anna", steps)
        filed = Filed(new_id(), plan, plan.digest, "anna", None, CLOCK.now(), "submitted", *([None] * 8))
        diary = await Diary.opened(self.store, filed, "anna", CLOCK)
        assert isinstance(diary, Diary)
        found = await _on_copy(self.copy, plan, kinds, CLOCK, diary, lambda *_: None, CLOCK.now())
        await diary.write("ended", detail={"state": "succeeded" if found.passed else "failed"})
        async with self.store.tx("view") as tx:
            seen = await runs.view(tx, diary.run.id)
        assert seen is not None
        return found, seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    home: Path = tmp_path_factory.mktemp("rehearsal")
    url = module_database.admin_url
    settings = Settings(
        home=home, keys=home / "keys", database_url=module_database.app_url, admin_database_url=url
    )
    now = CLOCK.now()
    restored = Restored(str(home), new_id(), now, now - timedelta(seconds=3), 0.0, 3.0, ())
    copy = Copy(settings, module_database.app_url, url, restored)
    connecting = psycopg.AsyncConnection.connect(url, autocommit=True)
    async with (
        Store.opened(module_database.app_url) as store,
        open_shop(store, home) as shop,
        await connecting as admin,
    ):
        await admin.execute(TABLES)
        payer, merchant = await shop.customer("anna"), await shop.merchant("cafe")
        for _ in range(5):
            await shop.pay(payer, merchant)
        yield Place(shop, admin, copy)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REHEARSAL_PACE_SECONDS", 0.2)
    monkeypatch.setattr(limits, "REHEARSAL_LEAST_RATE", 50.0)
    # What a busy machine does to payments is no step's doing.
    monkeypatch.setattr(limits, "REHEARSAL_SLOWER", 1e6)
    monkeypatch.setattr(limits, "REHEARSAL_WAIT_MS", 60_000.0)


class Locking(Count):
    """Holds a table that payments write."""

    async def run(self, site: Site, given: Any, attempt: Attempt) -> Evidence:
        async with as_owner(site.admin_url, "step test") as owner, owner.together():
            await owner.run("LOCK TABLE payments.payments IN SHARE MODE")
            await owner.run("SELECT pg_sleep(0.7)")
        return await super().run(site, given, attempt)


class Stealing(Count):
    """Moves money between two wallets without a transfer."""

    async def run(self, site: Site, given: Any, attempt: Attempt) -> Evidence:
        async with as_owner(site.admin_url, "step test") as owner, owner.together():
            for sign, order in (("+", "ASC"), ("-", "DESC")):
                await owner.run(
                    f"UPDATE ledger.accounts SET balance = balance {sign} 1 WHERE id = (SELECT id FROM ledger.accounts"
                    f" WHERE side = 'credit' AND balance > 100 ORDER BY id {order} LIMIT 1)"
                )
        return await super().run(site, given, attempt)


class Careless(Count):
    """Its undo leaves a table behind."""

    async def undo(self, site: Site, given: Any, evidence: Evidence, attempt: Attempt) -> Evidence:
        async with as_owner(site.admin_url, "step test") as owner:
            await owner.run(f"CREATE TABLE shop.left_{new_id().hex[-8:]} (id int)")
        return await super().undo(site, given, evidence, attempt)


async def test_each_step_is_done_undone_and_done_again_under_payments(place: Place) -> None:
    run: UUID = new_id()
    found, seen = await place.rehearse(kinds(), step(run, "one", rests=20), step(run, "two", "test.final"))
    assert (found.passed, found.said.split(";")[0]) == (
        True,
        f"2 steps in {found.seconds:.1f} s, 1 undone and done again",
    )
    assert [(each.ok, each.undone) for each in found.steps] == [(True, True), (True, None)]
    assert found.payments > 10
    assert found.payments_failed == 0
    assert {each.code for each in found.books if each.ok} == {"books", "ledger"}
    assert await effects(place.admin, run) == ["one", "two"]
    assert [event.kind for event in seen.events] == [
        "asked",
        "begun",
        *["step_begun", "step_done", "step_verified"],
        *["undo_begun", "undo_done"],
        *["step_begun", "step_done", "step_verified"] * 2,
        "ended",
    ]
    assert (seen.run.rehearsal, seen.run.state) == (True, "succeeded")


async def test_a_step_that_fails_or_is_undone_badly_does_not_pass(place: Place) -> None:
    run = new_id()
    found, seen = await place.rehearse(kinds(), step(run, "one", fails=1), step(run, "two"))
    assert (found.passed, found.said, len(found.steps)) == (False, "step 1: run one failed", 1)
    assert seen.run.state == "failed"
    found, _ = await place.rehearse({"test.count": Careless()}, step(run, "three"))
    assert (found.passed, found.said) == (False, "step 1: undone, the database is not as before")


async def test_a_lock_that_makes_payments_wait_does_not_pass(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REHEARSAL_WAIT_MS", 300.0)
    found, _ = await place.rehearse({"test.count": Locking()}, step(new_id(), "one"))
    assert not found.passed
    assert "others waited" in found.said
    assert (found.steps[0].held_ms or 0) > 300


async def test_money_that_moves_without_a_transfer_does_not_pass(place: Place) -> None:
    found, _ = await place.rehearse({"test.count": Stealing()}, step(new_id(), "one"))
    assert not found.passed
    assert found.said.startswith("after step 1:")


async def test_a_rehearsal_is_heard_while_its_copy_is_made(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may take long, and nothing else says that its process lives."""

    @asynccontextmanager
    async def restoring(*_: object, **__: object) -> AsyncIterator[Copy]:
        heard = None
        async with asyncio.timeout(30):
            while heard is None:
                await asyncio.sleep(0.02)
                async with place.store.tx("test") as tx:
                    run = await journal.open_run(tx, rehearsal=True)
                    story = await journal.load(tx, run.id) if run else None
                heard = story.now.at if story else None
        yield place.copy

    async def enough(*_: object) -> None:
        raise BackupError("that is enough")

    monkeypatch.setattr(rehearsal, "_on_copy", enough)
    monkeypatch.setattr(rehearsal, "restored_copy", restoring)
    plan = Plan("Count", "to see", "anna", (step(new_id(), "one"),))
    filed = Filed(new_id(), plan, plan.digest, "anna", None, CLOCK.now(), "submitted", *([None] * 8))
    with pytest.raises(BackupError, match="enough"):
        await rehearsal.rehearse(place.copy.settings, filed, kinds(), CLOCK)


async def test_what_is_not_submitted_is_not_rehearsed(place: Place) -> None:
    plan = Plan("Count", "to see", "anna", ())
    filed = Filed(new_id(), plan, plan.digest, "anna", None, CLOCK.now(), "draft", *([None] * 8))
    refused = await Diary.opened(place.store, filed, "anna", CLOCK)
    assert getattr(refused, "code", None) == "plan_state"
