"""A proposal shows what it would have done to payments and to logins before anybody agrees to it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from tests.support.desk import Colleague, Console, console
from tests.support.login_trials import BEFORE, furnish_login_proposal, login_report
from tests.support.shop import Shop, open_shop
from tillkeeper import risk
from tillkeeper.base.ids import to_typeid
from tillkeeper.risk import backtest
from tillkeeper.risk.backtest import Question
from tillkeeper.store import Store


@pytest.fixture
async def shop(store: Store, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(store, tmp_path) as opened:
        yield opened


@pytest.fixture
async def here(store: Store, shop: Shop) -> AsyncIterator[Console]:
    async with console(store, shop.vault) as opened:
        yield opened


async def seen(colleague: Colleague, path: str, language: str = "en") -> str:
    """The words of a page, without its marks."""
    answer = await colleague.get(path, **{"accept-language": language})
    assert answer.status_code == 200, path
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text.partition("<main")[2]).split())


async def test_a_proposal_about_logins_shows_what_it_does_to_them(here: Console, shop: Shop) -> None:
    proposal, tried = await furnish_login_proposal(shop, login_report(shop.clock.now()))
    anna = await here.sign_in("anna", ["risk_analyst"])
    pages = [f"/rules/proposals/{risk.proposal_id(proposal)}", f"/rules/backtests/{to_typeid('bkt', tried)}"]
    for path in pages:
        said = await seen(anna, path)
        assert "A trade-off" in said
        assert "12,480 logins: 48 of attackers" in said
        assert "Attackers asked again or blocked 29 (60.4 %) 40 (83.3 %)" in said
        assert "Genuine logins asked again or blocked 582 (4.8 %) 601 (5.0 %)" in said
        assert "Genuine customers blocked 9 15" in said
        assert "crowded_device new block 74 14 7 53 0 9 6 41" in said
        assert "guessed ask again 148 was 61 21 was 9" in said
        assert "old_crowd removed block was 8" in said
        assert "Fraud stopped CN¥7,600.00 CN¥7,600.00" in said
        chinese = await seen(anna, path, "zh-CN")
        assert "被再次验证或拦截的攻击者 29 (60.4%) 40 (83.3%)" in chinese
        assert "crowded_device 新增 拦截 74" in chinese
    assert "very_large hold" not in await seen(anna, pages[0]), "only what changes"
    assert "very_large hold 512" in await seen(anna, pages[1])


async def test_where_no_login_was_seen_the_page_says_so(here: Console, shop: Shop) -> None:
    now = shop.clock.now()
    report = login_report(now)
    assert report.candidate.logins is not None
    empty = structs.replace(report.candidate.logins, logins=0)
    anna = await here.sign_in("anna", ["risk_analyst"])
    question = Question(report.begin, report.end, BEFORE, None, "", None)
    for logins, words in ((empty, "Nobody logged in in this range"), (None, "run another")):
        candidate = structs.replace(report.candidate, logins=logins)
        kept = structs.replace(report, candidate=candidate, base=None)
        async with shop.store.tx("test") as tx:
            id_ = await backtest.keep(tx, question, "anna", now, now, kept)
        said = await seen(anna, f"/rules/backtests/{to_typeid('bkt', id_)}")
        assert words in said
        assert "Attackers" not in said.partition("Rules and what each adds")[0]
