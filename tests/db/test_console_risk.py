"""Risk in the console: figures that lead to their payments, pictures with words beside them, nothing said that is not known."""

from collections.abc import AsyncIterator

import pytest

from tests.support.desk import Colleague, Console, console
from tests.support.risk_scene import furnish_models, furnish_risk, speak
from tests.support.shop import _RULES, FINE, HELD, REFUSED, Shop, open_shop
from tillkeeper import access
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.risk.models import in_force
from tillkeeper.store import Store


@pytest.fixture
async def shop(store: Store, tmp_path: object) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as opened:  # type: ignore[arg-type]
        yield opened


@pytest.fixture
async def here(shop: Shop) -> AsyncIterator[Console]:
    async with console(shop.store, shop.vault) as opened:
        yield opened


async def analyst(here: Console) -> Colleague:
    return await here.sign_in("anna", ["risk_analyst"])


async def test_money_is_counted_by_what_came_of_it_and_each_sum_leads_to_its_payments(
    here: Console, shop: Shop
) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Café")
    got_through, stopped, held, honest = [
        from_typeid("pay", (await shop.pay(ann, cafe, amount))["id"])
        for amount in (FINE, REFUSED, HELD, HELD + 1)
    ]
    anna = await analyst(here)
    assert "Nobody has said yet" in (await anna.get("/risk")).text
    await speak(shop, [(got_through, True), (stopped, True), (held, True), (honest, False)])
    page = (await anna.get("/risk?span=day")).text
    assert "CN¥1,066.60 of known fraud was stopped (98.8 %); CN¥12.34 got through." in page
    for fate, amounts in {
        "saved": ("66.60", "1,000.00"),
        "lost": ("12.34",),
        "disturbed": ("1,000.01",),
    }.items():
        listed = (await anna.get(f"/risk/payments?of={fate}")).text
        assert all(f"CN¥{amount}</td>" in listed for amount in amounts), fate
        assert listed.count('<td class="id">') == len(amounts)
    # A later word about the same payment counts instead of the first.
    await speak(shop, [(got_through, False)])
    assert "CN¥0.00 got through" in (await anna.get("/risk")).text


async def test_a_rule_is_worth_what_it_alone_caught(here: Console, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Café")
    made = [
        from_typeid("pay", (await shop.pay(ann, cafe, amount))["id"]) for amount in (HELD, HELD + 5, REFUSED)
    ]
    await speak(shop, [(made[0], True), (made[1], False)])
    page = (await (await analyst(here)).get("/risk")).text
    row = page.split('<a href="/rules/very_large">very_large</a>')[1].split("</tr>")[0]
    assert "1 frauds, 1 honest" in row
    assert "<span>50.0 %</span>" in row
    assert "CN¥1,000.00" in row
    unlucky = page.split('<a href="/rules/unlucky">unlucky</a>')[1].split("</tr>")[0]
    assert "not known yet" in unlucky


async def test_the_map_says_where_in_words_too(here: Console, shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Café")
    await furnish_risk(shop, ann, cafe, 12)
    anna = await analyst(here)
    page = (await anna.get("/risk")).text
    assert '<svg class="atlas" role="img" aria-label="A map with a circle for each of' in page
    assert "31° N 121° E" in page
    rows = (await anna.get("/risk/payments?latitude=31&longitude=121")).text
    assert "Payments made at 31° N 121° E" in rows


async def test_what_no_figure_leads_to_is_empty(here: Console) -> None:
    anna = await analyst(here)
    for query in (
        "of=x",
        "latitude=91&longitude=0",
        "latitude=x&longitude=1",
        "latitude=1",
        "span=century",
        "",
    ):
        page = await anna.get(f"/risk/payments?{query}")
        assert page.status_code == 200, query
        assert "There are none in this period." in page.text, query


async def test_the_editor_names_every_fault_by_its_line_and_keeps_the_text(here: Console) -> None:
    anna = await analyst(here)
    form = (await anna.get("/rules/edit")).text
    assert "name = &#34;very_large&#34;" in form
    text = _RULES.replace("amount >= 100_000", "amont >= 100_000").replace('"challenge"', '"ask"')
    answer = await anna.post("/rules/edit", rules=text.replace("\n", "\r\n"))
    assert answer.status_code == 422
    assert "2 faults" in answer.text
    assert 'data-line="10">Line 10</a> <span>when: amont is not a feature; amount is' in answer.text
    assert 'data-line="16">Line 16</a>' in answer.text
    assert "amont &gt;= 100_000" in answer.text


async def test_the_editor_says_what_would_change(here: Console) -> None:
    anna = await analyst(here)
    same = (await anna.post("/rules/edit", rules=_RULES)).text
    assert "No faults in 3 rules." in same
    assert "Nothing: every rule is as it is now." in same
    answer = await anna.post(
        "/rules/edit", rules=_RULES.replace("100_000", "90_000").replace("unlucky", "odd_sum", 1)
    )
    assert answer.status_code == 200
    assert "<del>amount &gt;= 100_000</del> <ins>amount &gt;= 90_000</ins>" in answer.text
    for kind, name in (("new", "odd_sum"), ("removed", "unlucky")):
        assert f"{kind}</span> <code>{name}</code>" in answer.text


async def test_who_does_not_write_rules_sees_no_editor(here: Console) -> None:
    olga = await here.sign_in("olga", ["operator"])
    assert (await olga.get("/rules/edit")).status_code == 403
    assert "/rules/edit" not in (await olga.get("/rules")).text


async def test_too_many_rules_are_refused_politely(here: Console) -> None:
    anna = await analyst(here)
    rule = _RULES[_RULES.rindex("[[rule]]") :]

    def many(count: int) -> str:
        return _RULES + "".join(rule.replace("unlucky", f"rule_{n}") for n in range(count))

    answer = await anna.post("/rules/edit", rules=many(300))
    assert answer.status_code == 422
    assert "1 faults" in answer.text
    assert "303 rules are more than" in answer.text
    assert (await anna.post("/rules/edit", rules=many(10_000))).status_code == 413


async def test_a_challenger_is_compared_promoted_by_two_and_taken_back_by_one(
    here: Console, shop: Shop
) -> None:
    champion, challenger = await furnish_models(shop, 60)
    anna, ben = await analyst(here), await here.sign_in("ben", ["risk_analyst"])
    page = (await anna.get("/models")).text
    assert f'<a href="/models/{challenger}">model {challenger}</a>' in page
    assert "challenges</span>" in page
    assert "On the same" in page
    card = (await anna.get(f"/models/{challenger}")).text
    assert '<svg class="square" role="img"' in card
    assert "2026-07-01 to 2026-09-01: 410,000 payments, 3,520 of them fraud" in card
    asked = await anna.post(f"/models/{challenger}/promote", reason="better on live payments")
    assert asked.headers["location"] == f"/models/{challenger}?notice=asked"
    question = (await ben.get("/approvals")).text
    assert "summer" in question
    async with shop.store.tx("test") as tx:
        (open_one,) = await access.approvals.open_ones(tx, shop.clock, "model.promote", 2)
    answer = {"verdict": "give", "digest": open_one.digest.hex()}
    given = await ben.post(f"/approvals/{to_typeid('apr', open_one.id)}", **answer)
    assert given.headers["location"] == "/approvals?notice=carried_out"
    async with shop.store.tx("test") as tx:
        assert (await in_force(tx)).champion == challenger
    undone = await anna.post("/models/undo", reason="too many holds")
    assert undone.headers["location"] == "/models?notice=model_undone"
    async with shop.store.tx("test") as tx:
        assert (await in_force(tx)).champion == champion
    assert (await anna.post("/models/undo", reason="")).status_code == 422


async def test_a_score_leads_to_its_payments(here: Console, shop: Shop) -> None:
    await furnish_models(shop, 60)
    page = (await (await analyst(here)).get("/risk?span=month")).text
    assert "How many of 60 payments had which score" in page
    assert "/risk/payments?band=0&amp;span=month" in page
