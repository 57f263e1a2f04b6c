"""Backups in the console: what proves them, how the log stands, and who may ask for what."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from tests.support.desk import Console, console
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.maintenance.backups import Backups
from tillkeeper.store import Store
from tillkeeper.vault import Vault

TAKEN = """
INSERT INTO maintenance.backups
    (id, kind, parent, state, asked_by, begun_at, ended_at, bytes, database_bytes, timeline, start_lsn, end_lsn, said)
VALUES (%(id)s, %(kind)s, %(parent)s, %(state)s, 'anna', %(at)s, %(at)s, 5000000, 9000000, 1, '0/2', '0/3', %(said)s)
"""
DRILLED = """
INSERT INTO maintenance.drills
    (id, backup, target, passed, rpo_seconds, rto_seconds, checks, asked_by, begun_at, ended_at)
VALUES (%(id)s, %(backup)s, %(at)s, %(passed)s, 2.5, 41, %(checks)s, 'schedule', %(at)s, %(at)s)
"""


@pytest.fixture
async def desk(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    async with console(store, vault, clock) as made:
        yield made


async def test_what_is_proven_is_shown_and_a_drill_asked_for(
    desk: Console, store: Store, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    anna = await desk.sign_in("anna", ["operator"])
    assert "There is no backup" in (await anna.get("/backups")).text

    at, full, more = clock.now(), new_id(), new_id()
    taken = {"at": at, "said": "", "state": "done"}
    await admin.execute(TAKEN, taken | {"id": full, "kind": "full", "parent": None})
    clock.advance(1)
    await admin.execute(TAKEN, taken | {"id": more, "kind": "incremental", "parent": full, "at": clock.now()})
    page = (await anna.get("/backups")).text
    assert "no drill has restored one yet" in page

    checks = '[{"name": "ledger", "state": "holds", "said": "7 transfers recomputed"}]'
    drilled = {"id": new_id(), "backup": full, "at": clock.now(), "passed": True, "checks": checks}
    await admin.execute(DRILLED, drilled)
    page = (await anna.get("/backups")).text
    for text in (
        "was restored in a drill",
        "41 s",
        "2.5 s",
        "7 transfers recomputed",
        "not begun",
        "not yet",
    ):
        assert text in page
    broken = checks.replace("holds", "broken")
    await admin.execute(DRILLED, drilled | {"id": new_id(), "passed": False, "checks": broken, "at": at})
    assert (await Backups(store).latest_good()) is not None, "an older drill that failed does not count"

    said = await anna.post("/backups/orders", kind="drill")
    assert said.headers["location"].endswith("backup_ordered")
    again = await anna.post("/backups/orders", kind="drill")
    assert again.headers["location"].endswith("backup_under_way")
    assert (await anna.post("/backups/orders", kind="everything")).status_code == 422
    assert [each.kind for each in await Backups(store).orders()] == ["drill"]

    bert = await desk.sign_in("bert", ["auditor"])
    assert (await bert.get("/backups")).status_code == 200
    assert (await bert.post("/backups/orders", kind="full")).status_code == 403


async def test_an_archive_that_does_not_keep_up_is_red(
    desk: Console, admin: psycopg.AsyncConnection, clock: ManualClock
) -> None:
    anna = await desk.sign_in("anna", ["operator"])
    await admin.execute(
        "INSERT INTO maintenance.wal_archive (lsn, reached, looked_at, looked_lsn) VALUES ('0/2', %(at)s, %(at)s, '0/2')",
        {"at": clock.now()},
    )
    assert "keeps up" in (await anna.get("/backups")).text
    clock.advance(61)
    assert "DOES NOT KEEP UP" in (await anna.get("/backups")).text, "nobody archives any more"
    await admin.execute(
        "UPDATE maintenance.wal_archive SET reached = %(at)s, failing_since = %(at)s, said = 'no space left'",
        {"at": clock.now()},
    )
    page = (await anna.get("/backups")).text
    assert "DOES NOT KEEP UP" in page
    assert "no space left" in page
