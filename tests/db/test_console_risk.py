"""Risk in the console: figures that lead to their payments, pictures with words beside them, nothing said that is not known."""

from collections.abc import AsyncIterator

import pytest

from tests.support.desk import Colleague, Console, console
from tests.support.risk_scene import (
    furnish_backtests,
    furnish_models,
    furnish_risk,
    furnish_signals,
    speak,
)
from tests.support.shop import _RULES, FINE, HELD, REFUSED, Shop, open_shop
from tillkeeper import access
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.risk import declared, inforce, read_rules
from tillkeeper.risk.models import in_force
from tillkeeper.store import Store

OWN = """
[[feature]]
name = "mine_max_{window}"
entity = "customer"
aggregate = "max"
of = "amount"
past = true
window = ["90m"]
unit = "money"
zh = "{window}内最大"
en = "largest of {window}"
"""


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
    assert "is labelled yet" in (await anna.get("/risk")).text
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
    assert "1 frauds, 1 genuine" in row
    assert "<span>50.0 %</span>" in row
    assert "CN¥1,000.00" in row
    unlucky = page.split('<a href="/rules/unlucky">unlucky</a>')[1].split("</tr>")[0]
    assert "not labelled yet" in unlucky


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


async def test_rules_may_read_what_the_installation_declared(here: Console, shop: Shop) -> None:
    anna = await analyst(here)
    text = _RULES.replace("amount >= 100_000", "mine_max_90m >= 100_000")
    assert (await anna.post("/rules/edit", rules=text)).status_code == 422
    now = SystemClock().now()
    async with shop.store.tx("test") as tx:
        await declared.add(tx, OWN, "own.toml", "anna", now)
        rules = read_rules(text, "test", await declared.catalogue(tx))
        await inforce.activate(tx, await inforce.add_rule_set(tx, rules, now), now, "file")
    assert (await anna.post("/rules/edit", rules=text)).status_code == 200
    for page in ("/rules", "/rules/very_large", "/rules/edit", "/risk", "/lists"):
        assert (await anna.get(page)).status_code == 200, page


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
    assert "challenger</span>" in page
    assert "On the same" in page
    card = (await anna.get(f"/models/{challenger}")).text
    assert '<svg class="square" role="img"' in card
    assert "2026-07-01 to 2026-09-01: 410,000 payments, 3,520 of them fraud" in card
    asked = await anna.post(f"/models/{challenger}/promote", reason="better on live payments")
    assert asked.headers["location"] == f"/models/{challenger}?notice=asked"
    question = (await ben.get("/approvals")).text
    assert "summer" in question
    async with shop.store.tx("test") as tx:
        (open_one,) = await access.approvals.open_ones(tx, shop.clock, None, 2)
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


async def test_a_rule_that_the_machine_proposes_goes_the_way_of_every_rule(here: Console, shop: Shop) -> None:
    lasting = await furnish_signals(shop, await shop.customer("Ann"))
    anna = await analyst(here)
    page = (await anna.get("/signals")).text
    assert "Credential stuffing" in page
    assert "37 customers failed to log in here, 2 accounts were opened" in page
    assert "stuffing_m247" in page
    signal = to_typeid("sig", lasting)
    made = await anna.post(f"/signals/{signal}/propose", reason="passwords are tried from there")
    where = made.headers["location"].partition("?")[0]
    assert where.startswith("/rules/proposals/rpr_")
    proposal = (await anna.get(where)).text
    assert '<span class="chip good">new</span> <code>stuffing_m247</code>' in proposal
    assert "There is no past payment yet to backtest on." in proposal
    asked = await anna.post(f"{where}/activate", reason="now")
    assert asked.headers["location"] == f"{where}?notice=asked"
    closed = await anna.post(f"/signals/{signal}/close", reason="the network is blocked upstream")
    assert closed.headers["location"] == "/signals?notice=signal_closed"
    assert "2 signals" not in (await anna.get("/signals")).text


async def test_people_overrule_rules_for_a_while_and_on_record(here: Console, shop: Shop) -> None:
    ann = to_typeid("cus", await shop.customer("Ann"))
    anna = await analyst(here)
    block = {
        "deed": "list",
        "list": "block",
        "entity": "customer",
        "key": ann,
        "hours": "24",
        "reason": "known mule",
    }
    assert (await anna.post("/lists", **block)).headers["location"] == "/lists?notice=list_changed"
    assert f'href="/customers/{ann}"' in (await anna.get("/lists")).text
    mute = {"deed": "mute", "rule": "large", "entity": "", "key": "", "hours": "4", "reason": "sales day"}
    assert (await anna.post("/lists", **mute)).status_code == 303
    assert "muted until" in (await anna.get("/rules")).text
    inside = str(from_typeid("cus", ann))
    assert (
        await anna.post("/lists/end", list="block", entity="customer", key=inside, reason="it was hers")
    ).status_code == 303
    assert (
        await anna.post("/lists/end", rule="large", entity="", key="", reason="mended")
    ).status_code == 303
    assert "Nobody is on a list" in (await anna.get("/lists")).text
    for wrong in (
        {"key": "cus_x"},
        {"hours": "5"},
        {"hours": "0", "list": "trust"},
        {"reason": ""},
        {"list": "x"},
    ):
        assert (await anna.post("/lists", **(block | wrong))).status_code == 422, wrong


async def test_a_proposal_is_kept_and_says_what_it_needs(here: Console) -> None:
    anna = await analyst(here)
    text = _RULES.replace("100_000", "90_000")
    assert (await anna.post("/rules/proposals", rules=text, reason="")).status_code == 200
    made = await anna.post("/rules/proposals", rules=text, reason="large ones from 900 on")
    where = made.headers["location"].partition("?")[0]
    page = (await anna.get(where)).text
    assert "large ones from 900 on" in page
    assert "<ins>amount &gt;= 90_000</ins>" in page
    assert "large ones from 900 on" in (await anna.get("/rules")).text
    same = await anna.post("/rules/proposals", rules=_RULES, reason="nothing")
    assert "exactly these rules are in force" in same.text


async def test_a_backtest_is_asked_for_followed_and_read(here: Console, shop: Shop) -> None:
    anna = await analyst(here)
    payment = from_typeid(
        "pay", (await shop.pay(await shop.customer("Ann"), await shop.merchant("Café")))["id"]
    )
    text = _RULES.replace("100_000", "90_000").strip() + "\n"
    asked = await anna.post("/rules/backtests", rules=text, span="month")
    where = asked.headers["location"]
    waiting = (await anna.get(where)).text
    assert 'hx-trigger="every 2s"' in waiting
    assert "waits for the agent" in waiting
    done, _, failed = await furnish_backtests(shop, payment, text, _RULES)
    page = (await anna.get(f"/rules/backtests/{to_typeid('bkt', done)}")).text
    assert "People decide" in page
    assert "CN¥10,000.00" in page
    assert f'href="/payments/{to_typeid("pay", payment)}"' in page
    assert "Fewer than 30 known frauds" in page
    assert "Propose these rules" in page
    assert "take a shorter range" in (await anna.get(f"/rules/backtests/{to_typeid('bkt', failed)}")).text
    assert (await anna.get("/rules/backtests")).text.count("/rules/backtests/bkt_") == 4
    assert (await anna.post("/rules/backtests", rules=text, span="x")).status_code == 422
    assert (await anna.post("/rules/backtests", rules="[", span="week")).status_code == 422
    # What was tried can be proposed, and then a colleague can be asked.
    made = await anna.post("/rules/proposals", rules=text, reason="from 900 on")
    proposal = made.headers["location"].partition("?")[0]
    assert f"/rules/backtests/{to_typeid('bkt', done)}" in (await anna.get(proposal)).text
    asked = await anna.post(f"{proposal}/activate", reason="see the backtest")
    assert asked.headers["location"] == f"{proposal}?notice=asked"
    ben = await here.sign_in("ben", ["risk_analyst"])
    assert "Put proposed risk rules in force" in (await ben.get("/approvals")).text
