"""Runs in the console: what the page shows, its live parts, and who may steer how."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.support.counting import TABLES, Open, Quiet, asked, at_work, bare_site, counting, kinds, step
from tests.support.desk import Console, console
from tests.support.postgres import Database
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.faces.console.pages.runs import LIVE_PARTS, _parts
from tillkeeper.maintenance import runs
from tillkeeper.maintenance.runs import RunView, Worker
from tillkeeper.store import Store
from tillkeeper.vault import Vault


@pytest.fixture
async def desk(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    async with console(store, vault, clock) as made:
        yield made


async def seen(store: Store, run: Any) -> RunView:
    async with store.tx("view") as tx:
        found = await runs.view(tx, run)
    assert found is not None
    return found


async def test_a_run_is_shown_live_and_steered(
    desk: Console,
    store: Store,
    database: Database,
    admin: psycopg.AsyncConnection,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "RUN_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "RUN_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(limits, "RUN_IDLE_SECONDS", 0.02)
    await admin.execute(TABLES)
    run = new_id()
    await asked(store, run, counting(run, "one", step(run, "two", rests=10_000)), clock)
    path = f"/runs/{to_typeid('run', run)}"
    anna = await desk.sign_in("anna", ["operator"])
    worker = Worker(bare_site(store, database.app_url, database.admin_url), kinds(), Open(), Quiet())
    async with at_work(worker):
        while (view := await seen(store, run)).steps[1].state != "running" or not view.lights:
            pass
        page = (await anna.get(path)).text
        for text in (
            "Maintenance is under way",
            "test.count",
            "The money",
            "Stop and put back",
            "Step begun:",
        ):
            assert text in page
        parts = _parts(desk.application.state["desk"], desk.application.state["desk"].renderers["zh-CN"], run)
        drawn = [(await anext(parts)).decode() for _ in range(1 + len(LIVE_PARTS))]
        assert [name in line for name, line in zip(LIVE_PARTS, drawn[1:], strict=True)] == [True] * len(
            LIVE_PARTS
        )
        assert "维护进行中" in "".join(drawn)
        await parts.aclose()

        clock.advance(limits.CONFIRMED_SECONDS + 1)
        assert (await anna.post(f"{path}/pause", reason="busy")).status_code == 303
        assert (await seen(store, run)).run.state == "paused"
        stale = await anna.post(f"{path}/steer", wish="abort")
        assert stale.headers["location"].startswith("/confirm")
        assert (await seen(store, run)).run.state == "paused"
        colleague = await desk.sign_in("bert", ["developer"])
        assert (await colleague.get(path)).status_code == 200
        assert (await colleague.post(f"{path}/pause")).status_code == 403
        anna = await desk.sign_in("anna", ["operator"])
        odd = await anna.post(f"{path}/steer", wish="explode")
        assert odd.status_code == 422
        assert (await anna.post(f"{path}/steer", wish="abort", reason="wrong day")).status_code == 303
        while (view := await seen(store, run)).run.ended_at is None:
            pass
    assert view.run.state == "aborted"
    page = (await anna.get("/runs")).text
    assert "Count" in page
    assert "Stopped" in page
    again = await anna.post(f"{path}/steer", wish="abort")
    assert again.status_code == 409
    assert (await anna.get(f"/runs/{to_typeid('run', new_id())}")).status_code == 404
