"""Backups of a real server: taken, restored to a moment, drilled; and what is broken is found."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from msgspec.structs import replace

from tests.support.books import Books, account, bank, pay
from tests.support.trail import Trail
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import first_id_at
from tillkeeper.base.settings import Settings
from tillkeeper.ledger import NewAccount
from tillkeeper.maintenance.backups import (
    BackupError,
    Backups,
    LogArchive,
    backup_now,
    drill,
    prune,
    restore_into,
    restored_copy,
    wal_state,
)
from tillkeeper.maintenance.backups.repository import Folder
from tillkeeper.store import Store, migrate
from tillkeeper.store.embedded import EmbeddedServer, discard
from tillkeeper.store.opening import Urls
from tillkeeper.vault import root_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLOCK = SystemClock()


@dataclass
class Place:
    """A platform's database with an archive of its log, and two accounts."""

    settings: Settings
    store: Store
    urls: Urls
    books: Books
    purse: NewAccount
    till: NewAccount

    @property
    def backups(self) -> Backups:
        return Backups(self.store)

    async def pay(self, amount: int) -> datetime:
        """A payment is booked; a moment after it was acknowledged and before whatever comes next."""
        await self.books.post(pay(self.purse, self.till, amount))
        return CLOCK.now()

    async def archived(self, moment: datetime) -> None:
        """Until every commit before a moment is in the repository."""
        async with asyncio.timeout(20):
            while True:
                async with self.store.tx("test") as tx:
                    state = await wal_state(tx, self.settings.home)
                if state.reached and state.reached > moment:
                    return
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    settings = Settings(home=tmp_path_factory.mktemp("backups") / "till")
    patch = pytest.MonkeyPatch()
    patch.setattr(limits, "WAL_SHIP_SECONDS", 0.2)
    patch.setattr(limits, "DRILL_MARGIN_SECONDS", 0.0)
    async with EmbeddedServer(settings.home, durable=False).running() as server:
        urls = Urls(server.app_url, server.admin_url)
        await migrate(urls.admin)
        await root_of(settings).make()
        async with Store.opened(urls.app) as store:
            trail = Trail(store, settings.key_folder, CLOCK)
            await trail.seal("till.opened")
            made = Place(settings, store, urls, Books(store), bank(), account())
            await made.books.open(made.purse, made.till)
            archive = asyncio.ensure_future(LogArchive(store, urls, settings, CLOCK).run())
            try:
                yield made
            finally:
                archive.cancel()
                with suppress(asyncio.CancelledError):
                    await archive
    patch.undo()


async def balance(url: str, account_id: UUID) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT balance FROM ledger.accounts WHERE id = %s", [account_id])
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


async def restored_balance(place: Place, home: Path, to: datetime | None) -> int:
    """What the till held in the copy that a restore made, with nothing but the repository and the keys at hand."""
    settings = Settings(
        home=Path("/nowhere"), keys=place.settings.key_folder, backups=place.settings.backup_place
    )
    await restore_into(settings, home, CLOCK, to=to)
    async with EmbeddedServer(home).running() as server:
        held = await balance(server.admin_url, place.till.id)
    discard(home)
    return held


async def test_any_moment_comes_back_from_full_and_incremental_backups(place: Place, tmp_path: Path) -> None:
    before = await balance(place.urls.admin, place.till.id)
    full = await backup_now(place.settings, CLOCK, full=True, by="anna")
    await place.pay(100)
    second = await backup_now(place.settings, CLOCK, by="anna")
    then = await place.pay(20)
    last = await place.pay(3)
    await place.archived(last)

    assert (full.kind, second.kind, second.parent) == ("full", "incremental", full.id)
    assert second.bytes is not None
    assert full.bytes is not None
    assert second.bytes < full.bytes / 5
    found = [
        await restored_balance(place, tmp_path / str(n), moment) - before
        for n, moment in enumerate([then, None])
    ]
    assert found == [120, 123]


async def test_only_a_drill_makes_a_backup_good(place: Place) -> None:
    taken = await backup_now(place.settings, CLOCK, by="anna")
    await place.archived(await place.pay(7))
    assert not (await place.backups.list())[0].good

    proof = await drill(place.settings, CLOCK, by="anna")

    assert proof.passed, proof.checks
    holding = ["files", "transfers", "audit events", "ledger", "audit trail", "erasures", "pages"]
    assert {each.name: each.state for each in proof.checks} == {
        **dict.fromkeys(holding, "holds"),
        "decisions": "not assessed",  # there is none
    }
    assert 0 < proof.rpo_seconds < 100  # of a busy machine; docs/operating/backups.md has the figures
    assert 0 < proof.rto_seconds < 100
    good = await place.backups.latest_good()
    assert good is not None
    assert (good.id, good.drill) == (taken.id, proof)
    assert not list(place.settings.home.with_name("till-scratch").iterdir()), "the scratch home is gone"


async def test_a_drill_finds_what_a_backup_lacks(place: Place) -> None:
    await backup_now(place.settings, CLOCK, by="anna")
    moment = await place.pay(1)
    await place.archived(moment)
    reached = moment + timedelta(seconds=-1)
    async with await psycopg.AsyncConnection.connect(place.urls.admin, autocommit=True) as admin:
        # A payment that production has since before that moment, and the copy cannot know.
        lost = first_id_at(reached)
        await admin.execute("BEGIN")
        await admin.execute("CREATE TEMP TABLE one ON COMMIT DROP AS SELECT * FROM ledger.transfers LIMIT 1")
        await admin.execute("UPDATE one SET id = %s, debit_version = 10^9, credit_version = 10^9", [lost])
        await admin.execute("INSERT INTO ledger.transfers SELECT * FROM one")
        await admin.execute("COMMIT")
        try:
            found = await drill(place.settings, CLOCK, to=moment, by="anna")
        finally:
            await admin.execute("DELETE FROM ledger.transfers WHERE id = %s", [lost])
    assert not found.passed
    assert [each.name for each in found.checks if each.state == "broken"] == ["transfers"]
    newest = (await place.backups.list())[0]
    assert newest.drill == found
    assert not newest.good


async def test_a_copy_runs_beside_production_and_leaves_nothing(place: Place) -> None:
    await backup_now(place.settings, CLOCK, by="anna")
    held = await balance(place.urls.admin, place.till.id)
    async with restored_copy(place.settings, CLOCK) as copy:
        assert await balance(copy.admin_url, place.till.id) == held
        async with Store.opened(copy.app_url, size=1) as store:
            await Books(store).post(pay(place.purse, place.till, 5))
        assert copy.settings.key_folder == place.settings.key_folder
        assert Path(copy.settings.backup_place).is_relative_to(copy.settings.home)
        home = copy.settings.home
    assert not home.exists()
    assert await balance(place.urls.admin, place.till.id) == held


async def test_what_cannot_be_restored_is_said(place: Place, tmp_path: Path) -> None:
    await backup_now(place.settings, CLOCK, by="anna")
    for to, said in (
        (CLOCK.now() + timedelta(hours=1), "reaches"),
        (CLOCK.now() - timedelta(days=1), "no backup that ended before"),
    ):
        with pytest.raises(BackupError, match=said):
            await restore_into(place.settings, tmp_path / "new", CLOCK, to=to)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("")
    with pytest.raises(BackupError, match="not empty"):
        await restore_into(place.settings, full, CLOCK)
    with pytest.raises(BackupError, match="no backup"):
        await restore_into(
            Settings(home=full, keys=place.settings.key_folder, backups=str(tmp_path / "none")),
            tmp_path / "new",
            CLOCK,
        )


async def test_a_changed_backup_is_not_restored(place: Place, tmp_path: Path) -> None:
    await backup_now(place.settings, CLOCK, full=True, by="anna")
    taken = await backup_now(place.settings, CLOCK, by="anna")
    copied = tmp_path / "copied"
    shutil.copytree(place.settings.backup_place, copied)
    data = copied / "backups" / str(taken.id) / "data"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    settings = Settings(home=tmp_path / "x", keys=place.settings.key_folder, backups=str(copied))
    with pytest.raises(BackupError, match="was changed"):
        await restore_into(settings, tmp_path / "new", CLOCK)
    assert list((tmp_path / "new").iterdir()) == []


async def test_killed_work_is_seen_and_swept(place: Place) -> None:
    """What a killed backup leaves: a row that says it runs, and a draft. Neither is a backup."""
    taken = await backup_now(place.settings, CLOCK, by="anna")
    draft = Path(place.settings.backup_place) / "backups" / str(taken.id) / ".data.1234"
    draft.write_bytes(b"half")
    async with await psycopg.AsyncConnection.connect(place.urls.admin, autocommit=True) as admin:
        await admin.execute("UPDATE maintenance.backups SET state = 'running' WHERE id = %s", [taken.id])
        await admin.execute(
            "INSERT INTO maintenance.backups (id, kind, state, asked_by, begun_at)"
            " VALUES (gen_random_uuid(), 'full', 'running', 'anna', now())"
        )
        await backup_now(place.settings, CLOCK, by="anna")
        cursor = await admin.execute(
            "SELECT count(*) FILTER (WHERE state = 'running') FROM maintenance.backups"
        )
        assert await cursor.fetchone() == (0,)
    assert not draft.exists()
    listed = {each.id: each.state for each in await place.backups.list(100)}
    assert listed[taken.id] == "done", "its manifest lies there, so it was finished"
    assert "failed" in listed.values()


async def test_what_a_backup_left_that_was_killed_before_its_end_goes(place: Place) -> None:
    """Its bytes lay there whole, but never its manifest; one that may still be under way is left alone."""
    week = timedelta(days=7)
    ids = [first_id_at(CLOCK.now() - week), first_id_at(CLOCK.now())]
    old, young = (Path(place.settings.backup_place) / "backups" / str(id_) / "data" for id_ in ids)
    for data in (old, young):
        data.parent.mkdir()
        data.write_bytes(b"whole")
    await prune(place.settings, CLOCK)
    assert not old.parent.exists()
    assert young.exists()
    shutil.rmtree(young.parent)


async def test_nothing_is_pruned_where_another_database_keeps_its_backups(
    place: Place, tmp_path: Path
) -> None:
    taken = await backup_now(place.settings, CLOCK, by="anna")
    copied = tmp_path / "copied"
    shutil.copytree(place.settings.backup_place, copied)
    (copied / "cluster.json").write_text('{"system":"1"}')
    settings = replace(place.settings, backups=str(copied))
    for work in (prune(settings, CLOCK), backup_now(settings, CLOCK)):
        with pytest.raises(BackupError, match="another database"):
            await work
    assert (copied / "backups" / str(taken.id) / "manifest.json").exists()


async def test_a_repository_that_fails_is_told_and_nothing_is_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> int:
        raise BackupError("no space left")

    monkeypatch.setattr(Folder, "put", full)
    late = await place.pay(11)
    async with asyncio.timeout(20):
        while True:
            async with place.store.tx("test") as tx:
                state = await wal_state(tx, place.settings.home)
            if state.failing_since is not None:
                break
            await asyncio.sleep(0.05)
    assert state.said == "no space left"
    assert state.waiting_bytes
    assert state.hours_left is None or state.hours_left > 0
    assert list((place.settings.home / "wal").iterdir()), "it waits on the disk"
    monkeypatch.undo()
    await place.archived(late)
    async with place.store.tx("test") as tx:
        assert (await wal_state(tx, place.settings.home)).failing_since is None
