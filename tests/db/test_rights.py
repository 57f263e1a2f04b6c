"""Every role and every scope against every address, as tests/db/rights.md says; and what the doors do with a refusal."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar, get

from tests.support.api import Api, calling, problem_of
from tests.support.desk import Colleague, Console, console
from tests.support.people import signed_in, somebody
from tillkeeper import access, audit
from tillkeeper.access import ROLES, SCOPES, PolicyError
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.faces.api import app as api_app
from tillkeeper.faces.console import app as console_app
from tillkeeper.faces.console.live import Audience
from tillkeeper.faces.console.pages.overview import _while_signed_in
from tillkeeper.store import Store
from tillkeeper.vault import Vault

TABLES = Path(__file__).with_name("rights.md").read_text("utf-8")
NO_ROLE = "no role"

Row = tuple[str, str, str, str, frozenset[str]]
"""Method, path, action, whose, and for whom it is allowed."""


def table(heading: str) -> list[Row]:
    """The rows of the table under a heading."""
    part = TABLES.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if "|" in line
    ]
    heads, rows = lines[0], lines[2:]
    owned = heads[1] == "whose"
    found = []
    for row in rows:
        method, path, action = row[0].split()
        allowed = frozenset(head for head, cell in zip(heads[1:], row[1:], strict=True) if cell == "x")
        found.append((method, path, action, row[1] if owned else "", allowed))
    return found


WHOLE, OWN, API = table("The console"), table("Somebody's own things, in the console"), table("The API")


@pytest.fixture
async def desk(store: Store, vault: Vault, clock: ManualClock) -> AsyncIterator[Console]:
    async with console(store, vault, clock) as opened:
        yield opened


@pytest.fixture
async def api(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Api]:
    async with calling(store, clock, tmp_path) as made:
        yield made


def declared(routes: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """The action of every address that is not for everybody."""
    return {
        (method, re.sub(r":str}", "}", path)): options["action"]
        for name, options in routes.items()
        for method, _, path in [name.partition(" ")]
        if not options.get("public")
    }


def expected(*tables: list[Row]) -> dict[tuple[str, str], str]:
    return {(row[0], row[1]): row[2] for rows in tables for row in rows}


def test_the_tables_name_every_address_and_its_action(desk: Console, api: Api) -> None:
    assert expected(WHOLE, OWN) == declared(console_app._routes(desk.application))
    inner = api.client._transport.app  # type: ignore[attr-defined]
    while not isinstance(inner, Litestar):
        inner = inner._app
    assert expected(API) == declared(api_app._routes(inner))


@pytest.mark.parametrize("action", [None, "payment.gamble", "payment.pay"])
def test_a_page_without_an_action_of_people_stops_the_start(
    desk: Console, monkeypatch: pytest.MonkeyPatch, action: str | None
) -> None:
    forgotten = get("/forgotten", opt={"action": action} if action else None)(_forgotten)
    monkeypatch.setattr(console_app, "_HANDLERS", [*console_app._HANDLERS, forgotten])
    with pytest.raises(PolicyError, match="GET /forgotten"):
        _restart(desk)


@pytest.mark.parametrize("action", [None, "payment.gamble", "payment.review"])
async def test_an_address_without_an_action_of_programs_stops_the_start(
    store: Store, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str | None
) -> None:
    forgotten = get("/v1/forgotten", opt={"action": action} if action else None)(_forgotten)
    monkeypatch.setattr("tillkeeper.faces.api.reads.HANDLERS", [forgotten])
    with pytest.raises(PolicyError, match="GET /v1/forgotten"):
        async with calling(store, clock, tmp_path):
            pass


def test_every_deed_has_somebody_who_decides_about_it(desk: Console) -> None:
    policies, deeds = access.policies(), desk.application.state["desk"].deeds
    for deed in [*deeds, "customer.erase"]:
        question = access.Thing("Approval", "1", {"deed": deed})
        assert policies.permitting("Person", "approval.decide", question), deed
    unknown = access.Thing("Approval", "1", {"deed": "payment.gamble"})
    assert policies.permitting("Person", "approval.decide", unknown) == []
    assert {row[3].partition(" ")[2] for row in OWN if row[2] == "approval.decide"} >= set(deeds)


async def _forgotten() -> None:
    pass


def _restart(desk: Console) -> None:
    parts = desk.application.state["desk"]
    console_app.create_console(
        parts.store, parts.clock, "Asia/Shanghai", parts.till, parts.vault, parts.entrance
    )


def is_refused(text: str, action: str) -> bool:
    return "<h1>Not allowed</h1>" in text and f"<code>{action}</code>" in text


async def ask(colleague: Colleague, method: str, path: str, action: str, names: Mapping[str, str]) -> bool:
    """Whether the door let somebody in. The form holds nothing sensible, so nothing is done."""
    address = path.format(**names)
    if address == "/live" and access.policies().judge(colleague.session, action).allowed:
        return True  # a stream that never ends: only its refusal can be awaited
    answer = await (colleague.get(address) if method == "GET" else colleague.post(address, verdict="-"))
    assert answer.status_code != 500, (method, address)
    refused = is_refused(answer.text, action)
    assert refused == (answer.status_code == 403), (method, address, answer.status_code)
    return not refused


@pytest.mark.parametrize("role", [*ROLES, NO_ROLE])
async def test_every_role_at_every_page(desk: Console, role: str) -> None:
    names = {
        "public_id": to_typeid("pay", uuid4()),
        "name": "none",
        "person": "nobody",
    }
    for method, path, action, _, allowed in WHOLE:
        if path == "/sign-out":
            continue  # everybody may, and then the session is over
        colleague = await desk.sign_in("me", () if role == NO_ROLE else [role])
        assert await ask(colleague, method, path, action, names) == (role in allowed), (method, path)


@pytest.mark.parametrize("role", [*ROLES, NO_ROLE])
async def test_every_role_at_own_and_other_peoples_things(desk: Console, role: str) -> None:
    async with desk.store.tx("zoe") as tx:
        await somebody(tx, "zoe", desk.clock)
    for method, path, action, whose, allowed in OWN:
        colleague = await desk.sign_in("me", () if role == NO_ROLE else [role])
        owner, _, deed = whose.partition(" ")
        names = {"person": "me" if owner == "own" else "zoe"}
        if "approvals" in path:
            names["public_id"] = await _asked(desk, deed, names["person"])
        if "grants" in path:
            names["public_id"] = await _granted(desk, names["person"])
        let_in = await ask(colleague, method, path, action, names)
        assert let_in == (role in allowed), (method, path, whose)


async def _asked(desk: Console, deed: str, by: str) -> str:
    """A question of somebody's that was answered before: whoever is let in is told so, and nothing happens."""
    id_ = uuid4()
    asked = {"id": id_, "deed": deed, "by": by, "at": desk.clock.now()}
    async with desk.store.tx("ask") as tx:
        await tx.run(
            b"INSERT INTO access.approvals (id, deed, subject, terms, digest, asked_by, reason, origin, asked_at,"
            b" expires_at, state, decided_by, decided_at) VALUES (%(id)s, %(deed)s, 'x', '{\"thing\":\"x\"}',"
            b" sha256('x'), %(by)s, '', '', %(at)s, %(at)s, 'refused', 'nobody', %(at)s)",
            asked,
        )
    return to_typeid("apr", id_)


async def _granted(desk: Console, person: str) -> str:
    async with desk.store.tx("grant") as tx:
        opener = signed_in(person, desk.clock)
        grant = await access.grants.open_grant(tx, opener, "ticket", "T-1", "called", 1, 60, desk.clock)
    assert isinstance(grant, access.Grant)
    return to_typeid("grt", grant.id)


@pytest.mark.parametrize("scope", sorted(SCOPES))
async def test_every_scope_at_every_address(api: Api, scope: str) -> None:
    token = await api.new_key([scope])
    for method, path, action, _, allowed in API:
        address = re.sub(r"{\w+}", "x", path)
        headers = api.headers(authorization=f"Bearer {token}")
        answer = await api.client.request(method, address, headers=headers)
        if scope in allowed:
            assert answer.status_code not in {401, 403, 500}, (method, path)
        else:
            assert problem_of(answer)[:2] == (403, "forbidden"), (method, path)
            assert answer.json()["detail"].startswith(action), (method, path)


async def test_a_refusal_is_in_the_audit_trail(desk: Console, api: Api) -> None:
    colleague = await desk.sign_in("me", ["auditor"])
    await colleague.post(f"/held/{to_typeid('pay', uuid4())}", verdict="release", reason="x")
    token = await api.new_key(["risk:read"])
    for _ in range(3):
        await api.client.get("/v1/payments", headers=api.headers(authorization=f"Bearer {token}"))
    async with api.platform.store.tx("key") as tx:
        key = (await access.list_keys(tx))[0]
        (of_person,) = await audit.of(tx, "till")
        of_key = (await audit.of(tx, to_typeid("key", key.id)))[0]
    assert (of_person.actor, of_person.action, of_person.result) == ("me", "policy.refused", "refused")
    assert of_person.reason.startswith("payment.review: POST /held/")
    assert (of_key.actor, of_key.action, of_key.result) == ("key:test", "policy.refused", "refused")
    assert of_key.reason == "payment.view: GET /v1/payments"


async def test_a_program_gone_wild_does_not_fill_the_trail(api: Api, clock: ManualClock) -> None:
    token = await api.new_key(["risk:read"])

    async def refused() -> int:
        await api.client.get("/v1/payments", headers=api.headers(authorization=f"Bearer {token}"))
        async with api.platform.store.tx("count") as tx:
            return int(await tx.value(b"SELECT count(*) FROM audit.events WHERE action = 'policy.refused'"))

    assert [await refused() for _ in range(5)] == [1] * 5
    clock.advance(limits.REFUSED_AGAIN_SECONDS)
    assert await refused() == 2


async def test_a_role_taken_away_counts_at_the_next_click(desk: Console) -> None:
    colleague = await desk.sign_in("me", ["operator"])
    assert (await colleague.get("/payments")).status_code == 200
    async with desk.store.tx("roles") as tx:
        await access.set_roles(tx, "me", ["developer"], "zoe")
    assert (await colleague.get("/held")).status_code == 403


async def test_money_takes_a_fresh_second_factor(desk: Console, clock: ManualClock) -> None:
    colleague = await desk.sign_in("me", ["operator"])
    payment = to_typeid("pay", uuid4())
    clock.advance(limits.CONFIRMED_SECONDS)
    page = {"referer": f"http://till.test/payments/{payment}"}
    answer = await colleague.post(f"/held/{payment}", page, verdict="refuse", reason="stolen")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/confirm?next=%2Fpayments%2F{payment}"
    assert (await colleague.get("/held")).status_code == 200  # looking does not
    for elsewhere in ("https://evil.example//evil.example/x", "http://[no address"):
        answer = await colleague.post(
            f"/held/{payment}", {"referer": elsewhere}, verdict="refuse", reason="stolen"
        )
        assert answer.headers.get("location") == "/confirm?next=%2F", elsewhere
    stranger = await desk.sign_in("you", ["auditor"])
    clock.advance(limits.CONFIRMED_SECONDS)
    answer = await stranger.post(f"/held/{payment}", verdict="refuse", reason="stolen")
    assert answer.status_code == 403  # who may not is told so, and not asked for a factor


async def test_who_asked_for_others_sees_no_buttons(desk: Console) -> None:
    colleague = await desk.sign_in("me", ["auditor"])
    text = (await colleague.get("/rules")).text
    assert 'href="/held"' in text
    assert 'href="/staff"' in text
    developer = await desk.sign_in("you", ["developer"])
    text = (await developer.get("/rules")).text
    assert 'href="/held"' not in text
    assert 'href="/approvals"' not in text


async def test_a_stream_ends_with_the_right_to_see_it(desk: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillkeeper.faces.console.pages.overview._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("tillkeeper.faces.console.live._PING_SECONDS", 0.01)
    colleague = await desk.sign_in("me", ["operator"])
    stream = _while_signed_in(
        (here := desk.application.state["desk"]),
        colleague.session,
        "overview.view",
        here.live.watch(Audience("en")),
    )
    assert b"retry" in await anext(stream)
    assert b"still here" in await anext(stream)
    async with desk.store.tx("roles") as tx:
        await access.set_roles(tx, "me", [], "zoe")
    rest = [part async for part in stream]
    assert rest[-1].startswith(b"event: ended")
    assert len(rest) <= 2
