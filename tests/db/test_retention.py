"""What is past its retention is emptied, and nothing else; the data map tells what every column is."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from tests.support.postgres import Database
from tests.support.strongroom import TABLES, Strongroom, strongroom
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.faces.agent import loops_of
from tillkeeper.faces.cli.main import main
from tillkeeper.store import Store
from tillkeeper.vault import Treatment, catalogue, empty_overdue, overdue, treatments

TWO_YEARS = 732 * 24 * 3600


@pytest.fixture
async def room(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[Strongroom]:
    async with strongroom(store, admin, clock, tmp_path) as opened:
        yield opened


async def empty(room: Strongroom) -> dict[str, int]:
    return await empty_overdue(room.store, TABLES, room.clock, "agent")


async def test_what_is_past_its_retention_is_emptied(room: Strongroom, seed: int) -> None:
    old = await room.fill(20, seed)
    room.clock.advance(TWO_YEARS - 2 * 24 * 3600)
    assert await empty(room) == {"shop.guests.phone": 0}
    await room.admin.execute(
        "UPDATE shop.guests SET came_at = %s WHERE id = %s", (room.clock.now(), old[3].id)
    )
    room.clock.advance(2 * 24 * 3600)
    async with room.store.tx("count") as tx:
        assert await overdue(tx, TABLES, room.clock) == {"shop.guests.phone": 19}
    assert await empty(room) == {"shop.guests.phone": 19}
    assert await empty(room) == {"shop.guests.phone": 0}
    found = await room.found()
    assert [each.phone == "" for each in found] == [each != old[3] for each in old]
    assert [await room.vault.open(each.name) for each in found] == [each.name for each in old]
    tags = await room.rows(b"SELECT phone_tag IS NULL FROM shop.guests ORDER BY id")
    assert [gone for (gone,) in tags] == [each != old[3] for each in old]
    cursor = await room.admin.execute(
        "SELECT actor, action, subject, reason FROM audit.events WHERE actor = 'agent'"
    )
    assert await cursor.fetchall() == [
        ("agent", "column.emptied", "shop.guests.phone", "19 cells older than P2Y")
    ]


async def test_it_goes_in_steps(room: Strongroom, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RETENTION_BATCH", 8)
    await room.fill(20, seed)
    room.clock.advance(TWO_YEARS)
    assert [(await empty(room))["shop.guests.phone"] for _ in range(4)] == [8, 8, 4, 0]


async def test_the_agent_does_it(room: Strongroom, seed: int) -> None:
    await room.fill(20, seed)
    room.clock.advance(TWO_YEARS)
    parts: list[Any] = [room.store, room.vault, {}, None, None, SimpleNamespace(run=None), room.clock]
    working = asyncio.ensure_future(loops_of(*parts)["retention"]())
    while (await room.rows(b"SELECT count(*) FROM shop.guests WHERE octet_length(phone) > 0")) != [(0,)]:
        assert not working.done()
        await asyncio.sleep(0.02)
    working.cancel()


def test_the_map_has_every_column_once() -> None:
    found = list(treatments(TABLES))
    assert sorted(f"{each.table}.{each.column}" for each in found) == sorted(
        f"{name}.{column}" for name, table in TABLES.items() for column in table.columns()
    )
    assert next(each for each in found if each.column == "phone") == Treatment(
        "shop.guests", "phone", "C2", "sealed", "to call them", "phone", "exact", "P2Y", "subject"
    )
    assert next(each for each in found if each.column == "phone_tag").kept == "blind index"


def test_no_personal_data_or_secret_is_in_the_clear_without_a_reason() -> None:
    for each in treatments(catalogue()):
        if each.class_ in {"C2", "C3"} and each.kept == "clear":
            assert len(each.reason) > 20, each


def test_the_command(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TILL_DATABASE_URL", database.app_url)
    monkeypatch.setenv("TILL_ADMIN_DATABASE_URL", database.admin_url)

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        return capsys.readouterr().out

    mapped = json.loads(said("vault", "map", "--json"))["data"]
    assert {each["column"]: each["class"] for each in mapped if each["table"] == "parties.customers"}[
        "phone"
    ] == "C2"
    assert "parties.customers.phone" in said("vault", "map")
    assert json.loads(said("vault", "keys", "--json")) == {"data": []}
    assert json.loads(said("vault", "retention", "--json"))["emptied"] is True
