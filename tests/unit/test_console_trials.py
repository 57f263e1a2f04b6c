"""What a backtest is said to mean: better, worse or neither, by what became of payments and of logins."""

from datetime import UTC, datetime

import pytest
from msgspec import structs

from tests.support.login_trials import AFTER, NOW, login_report
from tests.support.shop import _RULES
from tillkeeper.faces.console import trials
from tillkeeper.risk import read_rules
from tillkeeper.risk.backtest import Change, Report

ALLOW, ASK, BLOCK = range(3)
FOUND = login_report(datetime(2026, 4, 15, 12, tzinfo=UTC))
SAME = structs.replace(FOUND, candidate=structs.replace(FOUND.candidate, logins=NOW))


def with_login(report: Report, who: str, start: int, end: int) -> Report:
    """With one login of somebody decided differently by the candidate."""
    outcomes = list(NOW.outcomes)
    for place, step in ((start, -1), (end, 1)):
        outcomes[place] = structs.replace(outcomes[place], **{who: getattr(outcomes[place], who) + step})
    logins = structs.replace(NOW, outcomes=tuple(outcomes))
    return structs.replace(report, candidate=structs.replace(report.candidate, logins=logins))


def with_money(report: Report) -> Report:
    """With more fraud stopped by the candidate."""
    return structs.replace(
        report, candidate=structs.replace(report.candidate, saved=report.candidate.saved + 1)
    )


@pytest.mark.parametrize(
    ("who", "start", "end", "said"),
    [
        ("attackers", ALLOW, ASK, "better"),
        ("attackers", ASK, BLOCK, "better"),
        ("attackers", BLOCK, ASK, "worse"),
        ("honest", ALLOW, ASK, "worse"),
        ("honest", ASK, BLOCK, "worse"),
        ("honest", ASK, ALLOW, "better"),
        ("wrong", ALLOW, BLOCK, "moved"),
        ("open", ALLOW, ASK, "moved"),
        ("open", ASK, BLOCK, "moved"),
    ],
)
def test_one_login_decided_differently_is_enough(who: str, start: int, end: int, said: str) -> None:
    assert trials.verdict(with_login(SAME, who, start, end)) == said


def test_payments_and_logins_count_together() -> None:
    assert trials.verdict(SAME) == "same"
    assert trials.verdict(with_money(SAME)) == "better"
    assert trials.verdict(with_money(with_login(SAME, "attackers", ALLOW, ASK))) == "better"
    assert trials.verdict(with_money(with_login(SAME, "honest", ALLOW, ASK))) == "mixed"
    assert trials.verdict(FOUND) == "mixed"
    harder = Change("challenge", "hold", 1, 0, 0, 100, 0, ())
    assert trials.verdict(structs.replace(SAME, changes=(harder,))) == "moved"
    assert trials.verdict(structs.replace(FOUND, base=None)) == "alone"


def test_rules_about_logins_stand_beside_what_they_did_before() -> None:
    lines = [(now.rule, now.hits, before and before.hits) for now, before in trials.login_lines(FOUND)]
    assert lines == [("crowded_device", 74, None), ("guessed", 148, 61)]
    assert [each.rule for each in trials.logins_gone(FOUND)] == ["old_crowd"]


def test_a_report_says_why_it_has_no_logins() -> None:
    about, plain = read_rules(AFTER, "test"), read_rules(_RULES, "test")
    bare = structs.replace(FOUND.candidate, logins=None)
    none = structs.replace(FOUND.candidate, logins=structs.replace(NOW, logins=0))
    assert trials.without_logins(FOUND, about) == ""
    assert trials.without_logins(structs.replace(FOUND, candidate=none), about) == "empty"
    assert trials.without_logins(structs.replace(FOUND, candidate=bare), about) == "untried"
    assert trials.without_logins(structs.replace(FOUND, candidate=bare), plain) == "none"
    assert trials.login_figures(structs.replace(FOUND, candidate=none)) == []
