"""Reports in the console: read, reviewed, their tasks done or planned; the banner of maintenance that is near."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.support.desk import Console, console
from tests.support.upkeep import a_run, approved, plan_of
from tillkeeper import audit
from tillkeeper.audit.keys import open_ring
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.settings import Settings
from tillkeeper.maintenance import plans, reports
from tillkeeper.maintenance.notices import Herald
from tillkeeper.maintenance.reports import Writer
from tillkeeper.store import Store
from tillkeeper.vault import Vault


@pytest.fixture
async def here(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    async with console(store, vault, clock) as opened:
        yield opened


@pytest.fixture
async def report(store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, tmp_path: Path) -> UUID:
    settings = Settings(home=tmp_path / "till")
    open_ring(settings.key_folder, clock)
    await a_run(admin, clock)
    clock.advance(10)
    (written,) = await Writer(store, settings, clock).beat()
    return written


async def test_what_nobody_reviewed_is_seen_until_somebody_does(
    store: Store, here: Console, report: UUID
) -> None:
    public = to_typeid("rep", report)
    anna = await here.sign_in("anna", ["operator"])
    listed = await anna.get("/reports")
    assert '<b class="count">1' in listed.text
    assert "nobody yet" in listed.text
    page = await anna.get(f"/reports/{public}")
    for words in (
        "anna is asked to read it",
        "of 400 calls meanwhile",
        "Plan more time for: Build the index",
    ):
        assert words in page.text, words
    refused = await anna.post(f"/reports/{public}/review", remark=" ")
    assert refused.status_code == 422
    card = await anna.post(f"/reports/{public}/review", remark="4111 1111 1111 1111")
    assert card.status_code == 422
    done = await anna.post(f"/reports/{public}/review", remark="as planned")
    assert done.headers["location"] == f"/reports/{public}?notice=reviewed"
    again = await anna.post(f"/reports/{public}/review", remark="me too")
    assert again.status_code == 409
    after = await anna.get("/reports")
    assert '<b class="count">' not in after.text
    assert "as planned" in after.text
    async with store.tx("test") as tx:
        (told,) = await audit.of(tx, public)
    assert (told.actor, told.action) == ("anna", "report.reviewed")
    zora = await here.sign_in("zora", ["auditor"])
    assert "/review" not in (await zora.get(f"/reports/{public}")).text
    assert (await zora.get(f"/reports/{to_typeid('rep', UUID(int=1))}")).status_code == 404


async def test_a_task_is_done_or_becomes_a_draft_with_one_press(
    store: Store, here: Console, report: UUID
) -> None:
    anna = await here.sign_in("anna", ["operator"])
    async with store.tx("test") as tx:
        first, second, *_ = await reports.tasks_of(tx, report)
    done = await anna.post(f"/tasks/{to_typeid('tsk', first.id)}/done")
    assert done.headers["location"].endswith("?notice=task_done")
    planned = await anna.post(f"/tasks/{to_typeid('tsk', second.id)}/plan")
    async with store.tx("test") as tx:
        (draft,) = await plans.listed(tx)
        tasks = await reports.tasks_of(tx, report)
    assert planned.headers["location"] == f"/plans/{draft.public_id}"
    assert draft.plan.goal == "Plan more time for: Build the index"
    assert (tasks[0].state, tasks[1].plan) == ("done", draft.id)
    page = await anna.get(f"/reports/{to_typeid('rep', report)}")
    assert f"/plans/{draft.public_id}" in page.text
    missing = await anna.post(f"/tasks/{to_typeid('tsk', report)}/plan")
    assert missing.status_code == 404


async def test_the_whole_report_is_shown_under_a_policy_of_its_own(here: Console, report: UUID) -> None:
    public = to_typeid("rep", report)
    anna = await here.sign_in("anna", ["operator"])
    page = await anna.get(f"/reports/{public}/page", **{"accept-language": "zh-CN"})
    assert "维护报告" in page.text
    assert "till report verify" not in page.text, "it is drawn now, and nobody signed it"
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    file = await anna.get(f"/reports/{public}/file")
    assert file.headers["content-disposition"] == f'attachment; filename="{public}.json"'
    assert reports.document_of(file.content).outcome == "succeeded"


async def test_every_page_says_when_maintenance_is_near(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, here: Console
) -> None:
    anna = await here.sign_in("anna", ["operator"])
    assert '<details class="notice wait">' not in (await anna.get("/rules")).text
    await approved(admin, plan_of(clock.now() + timedelta(hours=3)), clock.now())
    await Herald(store, clock).beat()
    page = await anna.get("/rules")
    assert "Planned maintenance, nothing to notice" in page.text
    assert "Idempotency-Key" in page.text
    chinese = await anna.get("/rules", **{"accept-language": "zh-CN"})
    assert "计划维护" in chinese.text
