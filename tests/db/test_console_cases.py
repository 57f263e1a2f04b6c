"""Cases in the console: the queue, a case worked by its forms, the held payment in it, lists, and who may not."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.support.cases import alert, furnish_cases
from tests.support.desk import Colleague, Console, console
from tests.support.shop import HELD, Shop, open_shop
from tillkeeper import risk
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import from_typeid, new_id, to_typeid
from tillkeeper.risk import warning
from tillkeeper.risk.cases import Clerk
from tillkeeper.store import Store


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as opened:
        yield opened


@pytest.fixture
async def here(store: Store, shop: Shop) -> AsyncIterator[Console]:
    async with console(store, shop.vault, SystemClock(), four_eyes_amount=10**9) as opened:
        yield opened


async def held_case(shop: Shop, admin: psycopg.AsyncConnection) -> tuple[str, UUID, UUID]:
    """A case about a held payment: its address, the customer, the payment."""
    mei, cafe = await shop.customer("王美"), await shop.merchant("Harbour Café")
    payment = from_typeid("pay", (await shop.pay(mei, cafe, HELD + 50))["id"])
    await alert(admin, shop.clock.now(), mei, payment, loss=50_000)
    await Clerk(shop.store, shop.clock).beat()
    (public,) = await (await admin.execute("SELECT id FROM risk.cases")).fetchone() or (None,)
    assert isinstance(public, UUID)
    return f"/cases/{to_typeid('case', public)}", mei, payment


async def text(colleague: Colleague, path: str, **headers: str) -> str:
    page = await colleague.get(path, **headers)
    assert page.status_code == 200, path
    return page.text


async def test_a_case_is_worked_by_its_forms(
    store: Store, shop: Shop, here: Console, admin: psycopg.AsyncConnection
) -> None:
    path, _, payment = await held_case(shop, admin)
    anna, ben = await here.sign_in("anna", ["risk_analyst"]), await here.sign_in("ben", ["operator"])
    queue = await text(anna, "/cases")
    assert path in queue
    assert "Waiting for an analyst: 1" in queue
    assert "CN¥500.00" in queue
    free = await text(anna, path)
    assert f'action="{path}/claim"' in free
    assert "/decide" not in free, "first it is claimed"
    assert (await anna.post(f"{path}/claim")).headers["location"] == f"{path}?notice=case_claimed"
    assert (await ben.post(f"{path}/claim")).status_code == 409
    mine = await text(anna, path)
    assert 'value="release"' in mine, "the held payment is decided here"
    assert re.search(rf'value="{to_typeid("pay", payment)}"[^>]* checked', mine)
    assert "<svg" in await text(anna, "/cases")
    assert (await anna.post(f"{path}/note", text="call 13800138000")).status_code == 422
    assert (await anna.post(f"{path}/note", text="the shop knows her")).status_code == 303
    assert (await anna.post(f"{path}/hand-over", to="nobody", remark="")).status_code == 404
    assert (await anna.post(f"{path}/hand-over", to="ben", remark="my shift ends")).status_code == 303
    late = await anna.post(
        f"{path}/decide", verdict="fraud", reason="seen", payment=to_typeid("pay", payment)
    )
    assert late.status_code == 409, "it is ben's now"
    bad = await ben.post(f"{path}/decide", verdict="fraud", reason="seen", payment="pay_x")
    assert bad.status_code == 422
    done = await ben.post(
        f"{path}/decide", verdict="fraud", reason="a stolen phone", payment=to_typeid("pay", payment)
    )
    assert done.headers["location"] == f"{path}?notice=case_decided"
    over = await text(ben, path, **{"accept-language": "zh-CN"})
    for words in ("ben 已裁定：欺诈", "fraud: a stolen phone", "重新打开"):
        assert words in over, words
    labels = await (await admin.execute("SELECT payment, fraud, source FROM risk.labels")).fetchall()
    assert labels == [(payment, True, "case")]
    assert (await ben.post(f"{path}/reopen", reason="she called")).status_code == 303
    assert (await ben.post(f"{path}/release")).headers["location"].endswith("case_released")


async def test_a_held_payment_is_decided_within_its_case(
    shop: Shop, here: Console, admin: psycopg.AsyncConnection
) -> None:
    path, _, payment = await held_case(shop, admin)
    anna = await here.sign_in("anna", ["risk_analyst"])
    public = to_typeid("pay", payment)
    done = await anna.post(f"/held/{public}", verdict="refuse", reason="not her", back=path)
    assert done.headers["location"] == f"{path}?notice=refused", "and back to the case"
    away = await anna.post(
        f"/held/{public}", verdict="refuse", reason="not her", back="//elsewhere.test/cases/"
    )
    assert away.status_code == 409
    assert "Held, waiting" not in await text(anna, path)


async def test_the_subject_or_a_device_of_a_case_is_put_on_a_list(
    store: Store, shop: Shop, here: Console, admin: psycopg.AsyncConnection
) -> None:
    path, mei, _ = await held_case(shop, admin)
    anna = await here.sign_in("anna", ["risk_analyst"])
    assert 'value="device:phone-1"' in await text(anna, path)
    listed = await anna.post(
        f"{path}/list", thing=f"customer:{mei}", list="block", days="7", reason="until she calls"
    )
    assert listed.headers["location"] == f"{path}?notice=case_listed"
    for wrong in (
        {"thing": f"customer:{new_id()}", "list": "block", "days": "7", "reason": "x"},
        {"thing": "device:of-nobody-here", "list": "trust", "days": "7", "reason": "x"},
        {"thing": f"customer:{mei}", "list": "block", "days": "8", "reason": "x"},
        {"thing": f"customer:{mei}", "list": "praise", "days": "7", "reason": "x"},
        {"thing": f"customer:{mei}", "list": "block", "days": "7", "reason": ""},
    ):
        assert (await anna.post(f"{path}/list", **wrong)).status_code == 422, wrong
    async with store.tx("test") as tx:
        (entry,) = await risk.listings(tx, shop.clock.now())
    assert (entry.list, entry.entity, entry.key, entry.author) == ("block", "customer", str(mei), "anna")
    assert "until she calls" in await text(anna, path)
    # A list overrules every rule: who works cases and writes no rules is offered none.
    ben = await here.sign_in("ben", ["operator"])
    assert f'action="{path}/list"' not in await text(ben, path)
    trusted = {"thing": f"customer:{mei}", "list": "trust", "days": "1", "reason": "x"}
    assert (await ben.post(f"{path}/list", **trusted)).status_code == 403


async def test_neighbours_are_drawn_and_listed_and_the_rest_is_seen_by_who_may(
    shop: Shop, here: Console, admin: psycopg.AsyncConnection
) -> None:
    mei, cafe = await shop.customer("王美"), await shop.merchant("<b>Café</b>")
    others = [await shop.customer(name, 0) for name in ("Li Na", "Tom Chen")]
    payment = from_typeid("pay", (await shop.pay(mei, cafe, HELD + 50))["id"])
    first, *_ = await furnish_cases(shop, mei, others, cafe, [payment])
    zora = await here.sign_in("zora", ["auditor"])
    page = await text(zora, f"/cases/{first}")
    assert '<svg class="network" role="img"' in page
    assert "<title id=" in page
    assert "<desc id=" in page
    assert "&lt;b&gt;Café" in page
    assert "<b>Café" not in page
    assert "phone-1" in page
    assert "has a case" in page
    assert "<form method" not in page.partition("<main")[2], "an auditor changes nothing"
    assert (await zora.post(f"/cases/{first}/claim")).status_code == 403
    assert (await zora.get(f"/cases/{to_typeid('case', new_id())}")).status_code == 404
    assert (await zora.get("/cases/x")).status_code == 404
    for show in ("free", "mine", "late", "closed", "strange"):
        assert (await zora.get(f"/cases?show={show}&after=1.x")).status_code == 200
    gina = await here.sign_in("gina", ["support"])
    assert (await gina.get("/cases")).status_code == 403


async def test_a_payment_that_risk_holds_is_a_case_by_itself(store: Store, shop: Shop, here: Console) -> None:
    watchman, clerk = warning.Watchman(store, shop.clock), Clerk(store, shop.clock)
    await watchman.begin()
    mei, cafe = await shop.customer("王美"), await shop.merchant("Harbour Café")
    held = await shop.pay(mei, cafe, HELD + 50)
    await shop.pay(mei, cafe)
    await watchman.look()
    assert await clerk.beat() == 1
    anna = await here.sign_in("anna", ["risk_analyst"])
    (path,) = set(re.findall(r'href="(/cases/case_\w+)"', await text(anna, "/cases")))
    case = await text(anna, path)
    assert "very_large" in case
    assert f"/payments/{held['id']}" in case
    assert f'href="{path}"' in await text(anna, f"/payments/{held['id']}")
    assert f'href="{path}"' in await text(anna, f"/customers/{to_typeid('cus', mei)}")
