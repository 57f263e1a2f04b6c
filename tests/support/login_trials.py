"""A proposal about logins with its backtest: one rule new, one changed, one gone; made by hand, so that every figure is known."""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import structs

from tests.support.risk_scene import report_of
from tests.support.shop import _RULES, Shop
from tillkeeper import risk
from tillkeeper.base.ids import new_id
from tillkeeper.risk import backtest
from tillkeeper.risk.backtest import LoginOutcome, LoginRule, LoginSide, Question, Report

_RULE: Final = """[[rule]]
name = "{}"
version = {}
on = "login"
outcome = "{}"
when = "{}"
reason.zh = "有人试密码"
reason.en = "passwords are tried"
"""
GUESSED: Final = _RULE.format("guessed", 1, "ask_again", "customer_logins_failed_1h >= 5")
GUESSED_SOONER: Final = _RULE.format("guessed", 2, "ask_again", "customer_logins_failed_1h >= 3")
CROWDED: Final = _RULE.format("crowded_device", 1, "block", "device_login_customers_24h >= 4")
OLD: Final = _RULE.format("old_crowd", 1, "block", "device_login_customers_24h >= 9")
BEFORE: Final = _RULES + GUESSED + OLD
AFTER: Final = _RULES + GUESSED_SOONER + CROWDED

NOW: Final = LoginSide(
    logins=12_480,
    attackers=48,
    honest=11_902,
    wrong=411,
    open=119,
    outcomes=(
        LoginOutcome("allow", 19, 11_320, 280, 97, 4_100),
        LoginOutcome("ask_again", 24, 571, 120, 22, 402),
        LoginOutcome("block", 5, 11, 11, 0, 9),
    ),
    each_rule=(
        LoginRule("guessed", 1, "ask_again", False, 61, 9, 4, 46, 2, 3, 2, 31),
        LoginRule("old_crowd", 1, "block", False, 8, 5, 1, 2, 0, 1, 0, 1),
    ),
)
THEN: Final = structs.replace(
    NOW,
    outcomes=(
        LoginOutcome("allow", 8, 11_301, 205, 94, 4_090),
        LoginOutcome("ask_again", 26, 583, 142, 25, 409),
        LoginOutcome("block", 14, 18, 64, 0, 15),
    ),
    each_rule=(
        LoginRule("guessed", 2, "ask_again", False, 148, 21, 16, 107, 4, 6, 11, 70),
        LoginRule("crowded_device", 1, "block", False, 74, 14, 7, 53, 0, 9, 6, 41),
    ),
)


def login_report(now: datetime) -> Report:
    """What is found of them: payments stay as they are, more attackers are stopped, and some who are genuine."""
    whole = report_of(now, new_id())
    side = whole.base
    assert side is not None
    return structs.replace(
        whole,
        candidate=structs.replace(side, logins=THEN),
        base=structs.replace(side, logins=NOW),
        changes=(),
    )


async def furnish_login_proposal(shop: Shop, report: Report) -> tuple[UUID, UUID]:
    """The rules of before in force, those of after proposed and tried; the proposal and the backtest."""
    now = shop.clock.now()
    question = Question(report.begin, report.end, AFTER, None, BEFORE, None)
    async with shop.store.tx("test login rules") as tx:
        kept = await risk.propose(tx, BEFORE, "anna", "as it was", shop.clock)
        assert await risk.activate(tx, kept.rule_set, now, "people", "anna, ben", kept.id)
        proposal = await risk.propose(tx, AFTER, "anna", "passwords are tried out", shop.clock)
        tried = await backtest.keep(tx, question, "anna", now, now, report)
    return proposal.id, tried
