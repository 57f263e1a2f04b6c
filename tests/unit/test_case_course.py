"""What may become of a case, how urgent it is, and until when."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tillkeeper.base import limits
from tillkeeper.base.results import Refusal
from tillkeeper.risk.cases import course
from tillkeeper.risk.cases.bypass import Bypassed, wilson
from tillkeeper.risk.cases.clocks import due, raised_due, severity_of, worse
from tillkeeper.risk.cases.types import Case

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=limits.CASE_CLAIM_SECONDS + 1)
OPEN = Case(
    UUID(int=7), "customer", UUID(int=1), "open", "high", 600_000, "CNY", 1, NOW, NOW, due("high", NOW)
)


def done(said: Case | Refusal) -> Case:
    assert isinstance(said, Case), said
    return said


def code(said: Case | Refusal) -> str:
    assert isinstance(said, Refusal), said
    return said.code


def test_one_claimant_until_the_time_is_over() -> None:
    mine = done(course.claim(OPEN, "anna", NOW))
    assert mine.claimant(NOW) == "anna"
    assert code(course.claim(mine, "ben", NOW)) == "case_claimed"
    assert done(course.claim(mine, "ben", LATER)).claimant(LATER) == "ben"
    assert mine.claimant(LATER) is None
    kept = course.keep(mine, "anna", NOW + timedelta(minutes=20))
    assert kept.claimant(LATER) == "anna", "whoever works on it keeps it"
    assert course.keep(mine, "ben", NOW) == mine, "a colleague's note does not prolong it"


def test_only_the_claimant_gives_it_back_hands_it_over_and_decides() -> None:
    mine = done(course.claim(OPEN, "anna", NOW))
    steps: list[Callable[[Case, str, datetime], Case | Refusal]] = [
        course.release,
        lambda case, who, now: course.hand_over(case, who, "carl", now),
        lambda case, who, now: course.decide(case, who, "fraud", now),
    ]
    for step in steps:
        assert code(step(OPEN, "anna", NOW)) == "case_not_claimed"
        assert code(step(mine, "ben", NOW)) == "case_claimed"
        assert code(step(mine, "anna", LATER)) == "case_not_claimed", "a claim that is over decides nothing"
        done(step(mine, "anna", NOW))
    assert code(course.hand_over(mine, "anna", "anna", NOW)) == "invalid_value"


def test_whoever_it_was_handed_to_has_until_the_next_shift() -> None:
    theirs = done(course.hand_over(done(course.claim(OPEN, "anna", NOW)), "anna", "ben", NOW))
    assert theirs.claimant(NOW + timedelta(hours=7)) == "ben"
    kept = course.keep(theirs, "ben", NOW)
    assert kept.claimed_until == theirs.claimed_until, "doing something never takes time away"


def test_a_decided_case_is_over_until_it_is_opened_again() -> None:
    closed = done(course.decide(done(course.claim(OPEN, "anna", NOW)), "anna", "fraud", NOW))
    assert (closed.state, closed.verdict, closed.closed_by, closed.claimant(NOW)) == (
        "closed",
        "fraud",
        "anna",
        None,
    )
    assert not closed.is_late(LATER + timedelta(days=9))
    assert code(course.claim(closed, "anna", NOW)) == "case_state"
    assert code(course.reopen(OPEN, "anna", NOW)) == "case_state"
    again = done(course.reopen(closed, "ben", LATER))
    assert (again.state, again.verdict, again.closed_at, again.claimant(LATER)) == ("open", None, None, "ben")
    assert again.due_at == due("high", LATER), "its clock begins anew"


@pytest.mark.parametrize(
    ("loss", "severity"),
    [(0, "low"), (49_999, "low"), (50_000, "medium"), (500_000, "high"), (5_000_000, "critical"), (10**12, "critical")],
)  # fmt: skip
def test_severity_by_what_may_be_lost(loss: int, severity: str) -> None:
    assert severity_of(loss) == severity


def test_a_case_becomes_more_urgent_and_never_less() -> None:
    assert worse("high", "low") == "high"
    assert worse("low", "critical") == "critical"
    first = due("low", NOW)
    assert raised_due(first, "critical", NOW) == due("critical", NOW)
    assert raised_due(NOW, "critical", NOW) == NOW, "what is due already stays due"


def test_the_interval_of_a_sample_holds_for_few_and_for_none() -> None:
    assert Bypassed("hold", "CNY", 5, 0, 0, 0, 0).precision is None
    low, high = wilson(0, 10)
    assert low == 0
    assert 0.25 < high < 0.32
    low, high = wilson(10, 10)
    assert 0.68 < low < 0.75
    assert 0.999 < high <= 1
    low, high = wilson(50, 100)
    assert (round(low, 3), round(high, 3)) == (0.404, 0.596)
