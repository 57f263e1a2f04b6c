"""What the agent does about backups: orders carried out once, the schedule, pgBackRest where the database is one's own."""

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Database
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance.backups import (
    BackupError,
    Backups,
    Keeper,
    Order,
    backup_now,
    in_repository,
    order,
    restore_into,
)
from tillkeeper.store import Store


class Hands:
    """Carries orders out by noting them."""

    def __init__(self, said: str = "") -> None:
        self.done: list[Order] = []
        self._said = said

    async def __call__(self, asked: Order) -> str:
        self.done.append(asked)
        return self._said


async def ask(store: Store, kind: str, clock: ManualClock) -> bool:
    async with store.tx("test") as tx:
        return await order(tx, kind, "anna", clock.now()) is not None  # type: ignore[arg-type]


async def test_an_order_is_carried_out_once(store: Store, clock: ManualClock) -> None:
    hands = Hands()
    keeper = Keeper(store, clock, "Asia/Shanghai", hands)
    assert await ask(store, "incremental", clock)
    assert not await ask(store, "full", clock), "one backup at a time"
    assert await ask(store, "drill", clock), "a drill is another matter"
    for _ in range(3):
        await keeper.look()
    assert [(each.kind, each.asked_by) for each in hands.done] == [("incremental", "anna"), ("drill", "anna")]
    assert {each.state for each in await Backups(store).orders()} == {"done"}


async def test_what_is_due_is_ordered_and_a_failure_rests(store: Store, clock: ManualClock) -> None:
    hands = Hands("no space left")
    keeper = Keeper(store, clock, "Asia/Shanghai", hands)
    await keeper.look()
    assert hands.done == []
    clock.advance(300)
    for _ in range(3):
        await keeper.look()
    assert [(each.kind, each.asked_by) for each in hands.done] == [("full", "schedule")]
    (failed,) = await Backups(store).orders()
    assert (failed.state, failed.said) == ("failed", "no space left")
    clock.advance(3601)
    await keeper.look()
    assert len(hands.done) == 2


# -- pgBackRest


INFO = [
    {
        "name": "till",
        "status": {"code": 0},
        "backup": [
            {
                "label": "20260415-020000F",
                "type": "full",
                "prior": None,
                "error": False,
                "timestamp": {"start": 1776218400, "stop": 1776218460},
                "info": {"size": 9000, "delta": 9000, "repository": {"size": 4000, "delta": 4000}},
                "lsn": {"start": "0/2000028", "stop": "0/2000120"},
                "archive": {"start": "000000020000000000000002", "stop": "000000020000000000000002"},
            },
            {
                "label": "20260415-020000F_20260415-030000I",
                "type": "incr",
                "prior": "20260415-020000F",
                "error": False,
                "timestamp": {"start": 1776222000, "stop": 1776222060},
                "info": {"size": 9100, "delta": 100, "repository": {"size": 4050, "delta": 50}},
                "lsn": {"start": "0/4000028", "stop": "0/4000120"},
                "archive": {"start": "000000020000000000000004", "stop": "000000020000000000000004"},
            },
        ],
    }
]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name: it writes down what it is asked, and answers `info`."""
    asked, folder = tmp_path / "asked", tmp_path / "bin"
    folder.mkdir()
    (folder / "info.json").write_text(json.dumps(INFO))
    program = folder / "pgbackrest"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n[ -e {folder}/broken ] && echo "ERROR: [041]: no space" >&2 && exit 41\n'
        f'[ "$1" = info ] && cat {folder}/info.json\nexit 0\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return asked


async def test_pgbackrest_is_called_for_a_database_of_ones_own(
    stand_in: Path, database: Database, clock: ManualClock, store: Store, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, database_url=database.app_url, admin_database_url=database.admin_url)
    taken = await backup_now(settings, clock, by="anna")
    assert (taken.kind, taken.state, taken.timeline, taken.bytes) == ("incremental", "done", 2, 50)
    assert stand_in.read_text().splitlines() == ["backup --type=incr", *["info --output=json"] * 2]
    listed = await Backups(store).list()
    assert [each.kind for each in listed] == ["incremental", "full"]
    assert listed[0].parent == listed[1].id
    assert listed[0].begun_at - listed[1].begun_at == timedelta(hours=1)
    assert not any(each.good for each in listed)
    assert [each.id for each in await in_repository(settings)] == [each.id for each in listed]
    with pytest.raises(BackupError, match="pgbackrest restore"):
        await restore_into(settings, tmp_path / "new", clock)

    (tmp_path / "bin" / "broken").touch()
    with pytest.raises(BackupError, match="no space"):
        await backup_now(settings, clock, full=True, by="anna")
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        cursor = await admin.execute("SELECT action, result FROM audit.events ORDER BY id")
        assert await cursor.fetchall() == [("backup.taken", "done"), ("backup.failed", "failed")]


async def test_without_pgbackrest_it_says_so(
    database: Database, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    settings = Settings(home=tmp_path, database_url=database.app_url, admin_database_url=database.admin_url)
    with pytest.raises(BackupError, match="pgbackrest is not on the path"):
        await backup_now(settings, clock, by="anna")
