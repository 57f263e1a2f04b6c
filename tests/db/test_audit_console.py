"""The audit trail in the console: searched, page by page; exported, bounded, and on record; the seal's light."""

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from tests.support.people import Drawer, link_for
from tests.support.shop import ZONE
from tests.support.trail import Trail
from tillkeeper import audit
from tillkeeper.access.entrance import Entrance
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.faces.console import create_console
from tillkeeper.faces.console.pages.audit import href
from tillkeeper.faces.console.sites import Sites
from tillkeeper.payments import Till
from tillkeeper.store import Store
from tillkeeper.vault import Vault

Client = httpx.AsyncClient


@pytest.fixture
async def trail(store: Store, tmp_path: Path) -> AsyncIterator[Trail]:
    made = Trail(store, tmp_path / "trail", SystemClock())
    yield made
    await made.sealer.stop()


async def signed_in(client: Client, store: Store, person: str, *roles: str) -> Client:
    async with store.tx("test") as tx:
        token = await link_for(tx, person, SystemClock(), roles)
    assert (await client.post("/sign-in", data={"token": token, "next": "/"})).status_code == 303
    return client


@pytest.fixture
async def stranger(store: Store, vault: Vault) -> AsyncIterator[Client]:
    till = Till(store, None, SystemClock(), ZONE)
    entrance = Entrance(store, SystemClock(), Drawer())
    application = create_console(
        store, SystemClock(), ZONE, till, vault, entrance, sites=Sites("http://till.test")
    )
    transport = httpx.ASGITransport(cast("Any", application), raise_app_exceptions=False)
    async with Client(transport=transport, base_url="http://till.test") as client:
        yield client


@pytest.fixture
async def auditor(stranger: Client, store: Store) -> Client:
    return await signed_in(stranger, store, "ada", "auditor")


def rows_of(text: str) -> int:
    return text.count("<tr><td")


async def test_who_may_see_the_trail_and_who_may_take_it_away(stranger: Client, store: Store) -> None:
    await signed_in(stranger, store, "olga", "operator")
    assert (await stranger.get("/audit")).status_code == 403
    await signed_in(stranger, store, "sam", "security")
    page = await stranger.get("/audit")
    assert page.status_code == 200
    assert "/audit/export" not in page.text
    assert (await stranger.get("/audit/export?format=csv")).status_code == 403


async def test_page_by_page_and_filtered(auditor: Client, trail: Trail) -> None:
    for n in range(limits.PAGE_DEFAULT + 5):
        await trail.act(f"act.{n}", actor="bela" if n % 2 else "anna")
    first = (await auditor.get("/audit?subject=cus_1")).text
    assert rows_of(first) == limits.PAGE_DEFAULT
    older = first.partition('href="/audit?subject=cus_1&amp;before=')[2].partition('"')[0]
    assert rows_of((await auditor.get(f"/audit?subject=cus_1&before={older}")).text) == 5
    assert rows_of((await auditor.get("/audit?person=bela")).text) == 15
    assert rows_of((await auditor.get("/audit?person=bela&action=act.3&result=done")).text) == 1
    assert rows_of((await auditor.get("/audit?person=bela&result=failed")).text) == 0
    assert rows_of((await auditor.get("/audit?until=2020-01-01")).text) == 0
    assert rows_of((await auditor.get("/audit?since=2020-01-01&person=bela")).text) == 15


@pytest.mark.parametrize("query", ["result=x", "since=yesterday", "until=9999-12-31"])
async def test_what_cannot_be_read_is_not_searched(auditor: Client, trail: Trail, query: str) -> None:
    await trail.act("act.1")
    page = await auditor.get(f"/audit?{query}")
    assert (page.status_code, rows_of(page.text)) == (200, 0)
    assert "nothing was searched" in page.text
    assert (await auditor.get(f"/audit/export?{query}")).status_code == 400


async def test_one_event_and_its_seal(auditor: Client, trail: Trail) -> None:
    await trail.act("act.1")
    async with trail.store.tx("test") as tx:
        (event,) = await audit.of(tx, "cus_1")
    public = to_typeid("evt", event.id)
    assert (await auditor.get(f"/audit?subject={public}")).headers["location"] == f"/audit/{public}"
    assert "seals within a second" in (await auditor.get(f"/audit/{public}")).text
    await trail.seal()
    page = (await auditor.get(f"/audit/{public}")).text
    assert f"till audit prove {public}" in page
    assert (await auditor.get(f"/audit/{to_typeid('evt', new_id())}")).status_code == 404
    assert (await auditor.get("/audit/evt_x")).status_code == 404


async def test_the_light(auditor: Client, trail: Trail, admin: Any) -> None:
    await trail.seal()
    assert 'class="headline good"' in (await auditor.get("/audit")).text
    await admin.execute(
        "INSERT INTO audit.events (id, at, actor, action, subject) VALUES (uuidv7(), now() - interval '9 s', 'a', 'b', 'c')"
    )
    page = (await auditor.get("/audit")).text
    assert 'class="headline bad"' in page
    assert "does not seal" in page


# -- export


async def test_an_export_says_everything_once_and_is_on_record(auditor: Client, trail: Trail) -> None:
    await trail.seal("act.1", "act.2")
    answer = await auditor.get("/audit/export?format=jsonl&subject=cus_1")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["action"] for line in lines] == ["act.2", "act.1"]
    assert lines[0]["seq"] == lines[1]["seq"] + 1
    assert answer.headers["content-disposition"].startswith('attachment; filename="audit-')
    async with trail.store.tx("test") as tx:
        (event,) = (await audit.search(tx, audit.Filter(action="audit.exported"), None, 10)).events
    assert (event.actor, event.subject, event.reason) == ("ada", "audit", "jsonl: subject")


async def test_no_cell_of_an_export_is_computed_by_a_spreadsheet(auditor: Client, store: Store) -> None:
    tricks = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", 'a"b,c\nd']
    async with store.tx("test") as tx:
        for trick in tricks:
            await audit.append(tx, "mallory", "act.x", trick, trick)
    answer = await auditor.get("/audit/export?format=csv&person=mallory")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    head, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert head == ["id", "at", "actor", "action", "subject", "reason", "origin", "result", "seq"]
    assert sorted(row[4] for row in rows) == sorted([f"'{trick}" for trick in tricks[:-1]] + tricks[-1:])


async def test_an_export_is_bounded_and_says_where_to_go_on(
    auditor: Client, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AUDIT_EXPORT", 7)
    monkeypatch.setattr(limits, "AUDIT_PAGE", 3)
    await trail.act(*[f"act.{n}" for n in range(10)])
    answer = await auditor.get("/audit/export?format=jsonl&subject=cus_1")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["action"] for line in lines] == [*[f"act.{n}" for n in range(9, 2, -1)], "more"]
    assert lines[-1]["id"] == lines[-2]["id"]
    whole = (await auditor.get("/audit/export?format=csv&subject=cus_1&action=act.1")).text.splitlines()
    assert len(whole) == 2


@pytest.mark.parametrize(
    ("subject", "page"),
    [
        ("pay_01h455vb4pex5vsknk084sn02q", "/payments/pay_01h455vb4pex5vsknk084sn02q"),
        ("cus_01h455vb4pex5vsknk084sn02q", "/customers/cus_01h455vb4pex5vsknk084sn02q"),
        ("key_01h455vb4pex5vsknk084sn02q", "/audit?subject=key_01h455vb4pex5vsknk084sn02q"),
        ("pay_&x=1", "/audit?subject=pay_%26x%3D1"),
        ("//evil.example", "/audit?subject=%2F%2Fevil.example"),
    ],
)
def test_a_subject_leads_to_its_page_or_its_history(subject: str, page: str) -> None:
    assert href(subject) == page
