"""The console's pages of customers, over HTTP: looks, refusals, erasure by two, forms that hold what must never be stored."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Console, console
from tests.support.shop import Shop, open_shop
from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.parties import Register
from tillkeeper.store import Store

PHONE, ID_NUMBER = "+8615400001234", "31019919900101123X"
LOOK: dict[str, Any] = {
    "field": "phone",
    "purpose": "ticket",
    "reference": "T-1",
    "reason": "calls back",
    "rows": "1",
}


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as opened:
        yield opened


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "keys")


@pytest.fixture
async def desk(store: Store, shop: Shop, register: Register) -> AsyncIterator[Console]:
    async with console(store, shop.vault, register=register) as opened:
        yield opened


@pytest.fixture
async def wang(shop: Shop) -> str:
    """The path of a customer's page."""
    who = await shop.customer("王芳", balance=0, phone=PHONE, id_number=ID_NUMBER)
    return f"/customers/{to_typeid('cus', who)}"


async def test_a_look_by_form_shows_one_field_once(desk: Console, wang: str) -> None:
    anna = await desk.sign_in("anna", ["support"])
    seen = await anna.post(f"{wang}/reveal", **LOOK)
    assert seen.status_code == 200
    assert PHONE in seen.text
    assert ID_NUMBER not in seen.text
    again = await anna.get(wang)
    assert PHONE not in again.text
    assert "ticket T-1" in again.text
    assert again.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"purpose": "curiosity"}, 422, "Something in the form cannot be."),
        ({"reference": ""}, 422, "Something in the form cannot be."),
        ({"reason": " "}, 422, "Something in the form cannot be."),
        ({"reason": f"call {PHONE}"}, 422, "Leave phone and id numbers out"),
        ({"reference": ID_NUMBER}, 422, "Leave phone and id numbers out"),
        ({"reason": "cvv: 123"}, 422, "security code"),
        ({"reason": "4111 1111 1111 1111"}, 422, "card number"),
        ({"rows": "0"}, 422, "Something in the form cannot be."),
        ({"rows": "ten"}, 422, "Something in the form cannot be."),
        ({"rows": str(limits.GRANT_ROWS + 1)}, 403, "More than ten people take a second person"),
        ({"grant": "grt_01h455vb4pex5vsknk084sn02q"}, 403, "The purpose is over"),
        ({"grant": "nonsense"}, 403, "The purpose is over"),
        ({"field": "sealing_key"}, 404, "never gave that"),
    ],
)
async def test_a_look_that_is_refused_shows_nothing(
    desk: Console, wang: str, change: dict[str, str], status: int, said: str
) -> None:
    anna = await desk.sign_in("anna", ["support"])
    refused = await anna.post(f"{wang}/reveal", **(LOOK | change))
    assert (refused.status_code, said in refused.text) == (status, True), refused.text[-3000:]
    assert PHONE not in refused.text.replace("call " + PHONE, "")


async def test_without_the_right_there_is_no_button_and_no_way(desk: Console, wang: str) -> None:
    olga = await desk.sign_in("olga", ["operator"])
    page = (await olga.get(wang)).text
    assert "154****1234" in page
    assert "reveal" not in page
    assert "erase" not in page
    assert (await olga.post(f"{wang}/reveal", **LOOK)).status_code == 403


async def test_a_search_is_counted_by_person(store: Store, shop: Shop, wang: str, clock: ManualClock) -> None:
    async with console(store, shop.vault, clock) as desk:  # whose clock stands still
        await _search_too_often(desk, wang)


async def _search_too_often(desk: Console, wang: str) -> None:
    anna, bela = await desk.sign_in("anna"), await desk.sign_in("bela")
    for _ in range(limits.LOOKUPS):
        assert (await anna.post("/customers/search", q="nobody at all")).status_code == 200
    full = await anna.post("/customers/search", q=PHONE)
    assert (full.status_code, "very often" in full.text) == (429, True)
    assert (
        await anna.post("/customers/search", q=wang.rpartition("/")[2])
    ).status_code == 200  # an id is not personal
    assert wang in (await bela.post("/customers/search", q=PHONE)).text


async def test_erasure_takes_two_and_what_stands_in_the_way_is_said(
    desk: Console, shop: Shop, wang: str, register: Register, store: Store
) -> None:
    anna, sam = await desk.sign_in("anna", ["support"]), await desk.sign_in("sam", ["security"])
    rich = f"/customers/{to_typeid('cus', await shop.customer('Rich', 500))}"
    refused = await anna.post(f"{rich}/erase", reason="ticket 4")
    assert (refused.status_code, "money in the wallets" in refused.text) == (409, True)
    assert (await anna.post(f"{wang}/erase", reason="")).status_code == 422
    asked = await anna.post(f"{wang}/erase", reason="ticket 4711")
    assert asked.headers["location"] == f"{wang}?notice=erasure_asked"
    assert "anna asked for it" in (await anna.get(wang)).text
    page = (await sam.get("/approvals")).text
    digest = page.partition('name="digest" value="')[2].partition('"')[0]
    approval = page.partition('action="/approvals/')[2].partition('"')[0]
    assert (await anna.post(f"/approvals/{approval}", digest=digest, verdict="give")).status_code == 403
    given = await sam.post(f"/approvals/{approval}", digest=digest, verdict="give")
    assert given.headers["location"] == "/approvals?notice=carried_out"
    (line,) = register.read()
    assert line.actor == "sam"
    assert line.reason == f"ticket 4711 ({approval}, asked by anna)"
    after = (await anna.get(wang)).text
    assert "(erased)" in after
    assert "ticket 4711" in after
    assert "王" not in after
    listed = (await anna.get("/customers")).text
    assert "(erased)" in listed
    async with store.tx("test") as tx:
        assert await parties.erasure_of(tx, line.customer) == line


async def test_a_hold_that_comes_in_between_stops_it(
    desk: Console, wang: str, store: Store, register: Register
) -> None:
    anna, sam = await desk.sign_in("anna", ["support"]), await desk.sign_in("sam", ["security"])
    await anna.post(f"{wang}/erase", reason="ticket 4711")
    async with store.tx("test") as tx:
        (customer,) = [row[0] for row in await tx.tuples(b"SELECT id FROM parties.customers")]
        await parties.place_hold(tx, customer, "order 12", desk.clock, actor="clerk")
    page = (await sam.get("/approvals")).text
    digest = page.partition('name="digest" value="')[2].partition('"')[0]
    approval = page.partition('action="/approvals/')[2].partition('"')[0]
    refused = await sam.post(f"/approvals/{approval}", digest=digest, verdict="give")
    assert refused.status_code == 409
    assert not register.path.exists()
    held = (await anna.get(wang)).text
    assert "Under legal hold since" in held
    assert "order 12" in held
    assert "Ask for erasure" not in held


async def test_no_form_takes_what_must_never_be_stored(desk: Console, shop: Shop) -> None:
    anna = await desk.sign_in("anna")
    forms: list[tuple[str, dict[str, Any]]] = [
        (
            "/held/pay_01h455vb4pex5vsknk084sn02q",
            {"verdict": "release", "reason": "card ４１１１１１１１１１１１１１１１"},
        ),
        ("/approvals/apr_01h455vb4pex5vsknk084sn02q", {"verdict": "give", "comment": "PIN 1234"}),
        ("/customers/search", {"q": "no rule of its own for this", "other": "4111-1111-1111-1111"}),
    ]
    for path, form in forms:
        refused = await anna.post(path, **form)
        assert refused.status_code in (404, 422), path
        assert not any(text in refused.text for text in ("1111", "4321", "PIN 1234", "４１１１"))
