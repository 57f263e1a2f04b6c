"""What stands in the way of a run, each planted; and rehearsals that the agent was asked for, done by a child process."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest

from tests.support.people import link_for
from tests.support.plans import a_plan, approved, rehearse, submit
from tests.support.postgres import Database
from tillkeeper import access
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.results import Refusal
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance import plans
from tillkeeper.maintenance.plans import Filed, Rehearser, StepRehearsed
from tillkeeper.maintenance.steps import KINDS, Finding, Site
from tillkeeper.store import Store
from tillkeeper.vault import FileRoot, Vault


@pytest.fixture
async def site(store: Store, database: Database, vault: Vault, tmp_path: Path) -> Site:
    settings = Settings(home=tmp_path, database_url=None)
    root = FileRoot(tmp_path / "keys" / "root.key")
    return Site(store, database.admin_url, SystemClock(), settings, vault, root, production=True)


async def look(site: Site, filed: Filed, **kinds: object) -> dict[str, Finding]:
    found = await plans.preflight(site, filed.id, filed.plan, KINDS if kinds else None)
    return {each.code: each for each in found}


def stops(found: dict[str, Finding]) -> set[str]:
    return {code for code, each in found.items() if not each.ok}


async def test_a_quiet_evening(site: Site, store: Store) -> None:
    """All that can be had without a backup: people, keys, load, disk, no alert, nobody else."""
    clock = SystemClock()
    filed = await approved(store, clock)
    async with store.tx("ben comes in") as tx:
        await access.open_session(tx, await link_for(tx, "ben", clock, ["operator"]), clock)
    found = await look(site, filed, kinds=True)
    assert stops(found) == {"no_backup", "alerts_unseen"}
    assert found["people"].said == "on duty: ben"
    assert {
        "rehearsal",
        "long_transactions",
        "connections",
        "replicas",
        "disk",
        "keys",
        "alerts_unseen",
        "alone",
    } <= found.keys()


async def test_what_is_planted_is_found(
    site: Site,
    store: Store,
    database: Database,
    admin: psycopg.AsyncConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SystemClock()
    filed = await submit(store, clock, a_plan(expected_seconds=3600.0))
    assert {"not_rehearsed", "nobody_there", "no_backup"} <= stops(await look(site, filed))
    async with store.tx("key") as tx:
        soon = clock.now() + timedelta(minutes=30)
        await access.create_key(tx, None, "shop", ["payments:write"], soon, clock)
    await admin.execute(
        "INSERT INTO monitoring.alerts (id, rule, labels, severity, state, cause, value, bound, fired_at)"
        " VALUES (gen_random_uuid(), 'payments.burn', '{}', 'page', 'acknowledged', 'bad', 1, 2, now())"
    )
    await admin.execute(
        "INSERT INTO monitoring.alerts (id, rule, labels, severity, state, cause, value, bound, fired_at) VALUES"
        """ (gen_random_uuid(), 'thieves', '{"kind":"card_testing"}', 'page', 'firing', 'bad', 1, 2, now())"""
    )
    monkeypatch.setattr(limits, "PREFLIGHT_TRANSACTION_SECONDS", 0)
    monkeypatch.setattr(limits, "PREFLIGHT_CONNECTIONS_PERCENT", 0)
    monkeypatch.setattr(limits, "PREFLIGHT_DISK_BYTES", 2**60)
    async with await psycopg.AsyncConnection.connect(database.admin_url) as long:
        await long.execute("SELECT 1")
        found = await look(site, filed)
    assert {"keys_expire", "alerts_open", "long_transactions", "connections", "disk_too_small"} <= stops(
        found
    )
    assert "shop" in found["keys_expire"].said
    assert "payments.burn" in found["alerts_open"].said
    assert "thieves" not in found["alerts_open"].said


async def test_growth_is_measured_by_the_rehearsal_and_an_old_one_does_not_count(
    site: Site, store: Store, clock: ManualClock
) -> None:
    filed = await submit(store, clock)
    noted = await rehearse(store, clock, filed)
    huge = StepRehearsed(0, "index.create", True, 1.0, size_change_bytes=2**60)
    async with store.tx("huge") as tx:
        evidence = msgspec.structs.replace(noted.evidence, steps=(huge,))
        await plans.note_rehearsal(tx, filed.digest, evidence, clock)
    assert "disk_too_small" in stops(await look(site, filed))
    later = ManualClock(clock.now() + timedelta(seconds=limits.PLAN_REHEARSAL_SECONDS + 1))
    old = Site(site.store, site.admin_url, later, site.settings, site.vault, site.root, production=True)
    assert "rehearsal_old" in stops(await look(old, filed))


async def order(store: Store, clock: ManualClock, filed: Filed) -> plans.RehearsalOrder | Refusal:
    async with store.tx("order") as tx:
        return await plans.order_rehearsal(tx, filed.id, "anna", clock)


async def last(store: Store, filed: Filed) -> plans.RehearsalOrder:
    async with store.tx("last") as tx:
        found = await plans.last_order(tx, filed.id)
    assert found is not None
    return found


async def test_a_rehearsal_is_asked_for_once_and_done_by_a_child(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    filed = await submit(store, clock)
    asked = await order(store, clock, filed)
    assert isinstance(asked, plans.RehearsalOrder)
    again = await order(store, clock, filed)
    assert isinstance(again, plans.RehearsalOrder)
    assert again.id == asked.id
    note = tmp_path / "note"
    script = f"import sys; open({str(note)!r}, 'w').write(sys.argv[1]); sys.exit(1)"
    worker = Rehearser(store, clock, (sys.executable, "-c", script))
    assert await worker.beat()
    assert not await worker.beat()
    assert note.read_text() == filed.public_id
    assert (await last(store, filed)).state == "done"  # exit code 1: done, and did not pass
    await order(store, clock, filed)
    killed = Rehearser(store, clock, (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), 9)"))
    assert await killed.beat()
    assert (await last(store, filed)).state == "failed"
    await order(store, clock, filed)
    complaint = "import sys; sys.stderr.write('there is no backup'); sys.exit(2)"
    assert await Rehearser(store, clock, (sys.executable, "-c", complaint)).beat()
    ended = await last(store, filed)
    assert (ended.state, ended.said) == ("failed", "there is no backup")
    async with store.tx("withdrawn") as tx:
        await plans.withdraw(tx, filed.id, "anna", clock)
    refused = await order(store, clock, filed)
    assert isinstance(refused, Refusal)
    assert refused.code == "plan_state"


async def test_an_agent_that_ends_takes_its_child_with_it_and_the_next_begins_anew(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    filed = await submit(store, clock)
    await order(store, clock, filed)
    note = tmp_path / "pid"
    gone = tmp_path / "gone"  # what stands for taking the copy of production away
    script = (
        f"import os, pathlib, signal, sys, time; signal.signal(15, lambda *_: (pathlib.Path({str(gone)!r}).touch(), sys.exit()));"
        f"open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    task = asyncio.ensure_future(Rehearser(store, clock, (sys.executable, "-c", script)).run())
    async with asyncio.timeout(20):
        while not (note.exists() and note.read_text()):  # noqa: ASYNC110 - a file of another process
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
    assert gone.exists()
    assert (await last(store, filed)).state == "running"
    task = asyncio.ensure_future(Rehearser(store, clock, (sys.executable, "-c", "")).run())
    async with asyncio.timeout(20):
        while (await last(store, filed)).state != "done":  # noqa: ASYNC110 - a row of another process
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
