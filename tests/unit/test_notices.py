"""What is told of a maintenance and when: drafts, course, header."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.upkeep import plan_of
from tillkeeper.maintenance.notices.board import header
from tillkeeper.maintenance.notices.course import announced, due
from tillkeeper.maintenance.notices.drafts import drafted
from tillkeeper.maintenance.notices.types import ENDS, Notice, Stage, Told
from tillkeeper.maintenance.plans import Filed, NoticeText, Plan, Step
from tillkeeper.maintenance.runs import ENDS as RUN_ENDS
from tillkeeper.maintenance.runs import Run, RunState

BEGIN = datetime(2026, 4, 16, 2, tzinfo=UTC)
ID = UUID(int=7)


def filed_of(plan: Plan, state: Any = "approved") -> Filed:
    over = BEGIN if state in {"done", "withdrawn", "expired"} else None
    rest = (None, BEGIN, state, BEGIN, ID, "bert", BEGIN, BEGIN, None, over, None)
    return Filed(ID, plan, plan.digest, "anna", *rest)


def run_of(state: RunState, *, begun: bool = True) -> Run:
    over = BEGIN + timedelta(minutes=5) if state in RUN_ENDS else None
    return Run(UUID(int=9), ID, b"", False, state, "anna", BEGIN, BEGIN if begun else None, over)


def told_of(*stages: Stage) -> Notice:
    return msgspec.structs.replace(DRAFTED, told=tuple(Told(stage, BEGIN) for stage in stages))


PLAN = filed_of(plan_of(BEGIN))
DRAFTED = drafted(PLAN)


@pytest.mark.parametrize(
    ("hours", "known"), [(-24.01, False), (-24, True), (-1, True), (0.99, True), (1, False)]
)
def test_a_plan_is_announced_from_its_lead_time_until_its_window_ends(hours: float, *, known: bool) -> None:
    assert announced(PLAN, BEGIN + timedelta(hours=hours)) is known


@pytest.mark.parametrize("state", ["submitted", "rehearsed", "withdrawn", "done"])
def test_what_nobody_agreed_to_is_not_announced(state: str) -> None:
    assert not announced(filed_of(plan_of(BEGIN), state), BEGIN)


def test_a_plan_that_tells_nobody_anything_tells_nothing() -> None:
    silent = filed_of(plan_of(BEGIN, notice=None))
    assert due(None, silent, run_of("running"), BEGIN) == ()


COURSES: list[tuple[tuple[Stage, ...], Filed, Run | None, float, tuple[Stage, ...]]] = [
    ((), PLAN, None, -1, ("scheduled",)),
    ((), PLAN, None, 2, ()),
    (("scheduled",), PLAN, None, -0.5, ()),
    (("scheduled",), PLAN, None, 1, ("cancelled",)),
    (("scheduled",), filed_of(plan_of(BEGIN), "withdrawn"), None, -0.5, ("cancelled",)),
    (("scheduled",), PLAN, run_of("waiting", begun=False), 0.5, ()),
    (("scheduled",), PLAN, run_of("aborted", begun=False), 0.5, ("cancelled",)),
    (("scheduled",), PLAN, run_of("running"), 0.1, ("begun",)),
    (("scheduled", "begun"), PLAN, run_of("paused"), 0.5, ()),
    (("scheduled", "begun"), PLAN, run_of("paused"), 1, ("delayed",)),
    (("scheduled", "begun", "delayed"), PLAN, run_of("undoing"), 1.5, ()),
    (("scheduled", "begun"), PLAN, run_of("succeeded"), 0.5, ("completed",)),
    (("scheduled", "begun"), PLAN, run_of("undone"), 0.5, ("undone",)),
    (("scheduled", "begun"), PLAN, run_of("aborted"), 0.5, ("undone",)),
    (("scheduled", "begun"), PLAN, run_of("failed"), 0.5, ("failed",)),
    ((), filed_of(plan_of(), "done"), run_of("succeeded"), 0.5, ("begun", "completed")),
    (("scheduled", "begun", "completed"), filed_of(plan_of(BEGIN), "done"), run_of("undone"), 2, ()),
]


@pytest.mark.parametrize(("told", "filed", "run", "hours", "expected"), COURSES)
def test_course(
    told: tuple[Stage, ...], filed: Filed, run: Run | None, hours: float, expected: tuple[Stage, ...]
) -> None:
    notice = told_of(*told) if told else None
    assert due(notice, filed, run, BEGIN + timedelta(hours=hours)) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["approved", "done", "withdrawn", "expired"]),
            st.none() | st.tuples(st.sampled_from(get_args(RunState)), st.booleans()),
            st.floats(0, 4),
        ),
        max_size=12,
    )
)
def test_whatever_comes_each_stage_is_told_once_and_one_end_is_the_last(
    looks: list[tuple[Any, tuple[RunState, bool] | None, float]],
) -> None:
    told: tuple[Stage, ...] = ()
    hours = -3.0
    for state, run, later in looks:
        hours += later
        filed = msgspec.structs.replace(PLAN, state=state)
        notice = told_of(*told) if told else None
        told += due(
            notice, filed, run_of(run[0], begun=run[1]) if run else None, BEGIN + timedelta(hours=hours)
        )
    assert len(set(told)) == len(told)
    assert not ENDS.intersection(told[:-1])
    assert "begun" not in told[told.index("delayed") :] if "delayed" in told else True
    assert "cancelled" not in told or "begun" not in told


def test_a_draft_says_what_when_impact_what_is_safe_and_what_to_do_about_retries() -> None:
    steps = (Step("index.create"), Step("table.vacuum"), Step("keys.rotate"), Step("shop.own"))
    words = drafted(filed_of(plan_of(BEGIN, steps=steps))).words
    english, chinese = words["en"], words["zh-CN"]
    what, when, impact, safe, retries = english.text.split("\n\n")
    assert what == (
        "What: work on the database; the keys that encrypt data are changed; work on our systems."
    )
    assert when == "When: 2026-04-16 02:00 to 03:00 UTC; should it take longer, until 04:00 UTC."
    assert "nothing" in impact
    assert "money in wallets" in safe
    assert "same Idempotency-Key" in retries
    assert len(chinese.text.split("\n\n")) == 5
    assert "2026-04-16 02:00" in chinese.text


def test_no_word_of_the_plan_reaches_customers() -> None:
    plan = plan_of(BEGIN, goal="Hide the breach", reason="secret-reason", touches=("secret.table",))
    notice = drafted(filed_of(plan))
    text = " ".join(each.title + each.text for each in notice.words.values())
    assert not any(word in text for word in ("breach", "secret", "anna", "Build the index"))


def test_what_the_author_wrote_takes_the_drafts_place() -> None:
    own = NoticeText(expect="interruption", title={"en": "We move"}, text={"zh-CN": "搬家"}, spare_minutes=0)
    notice = drafted(filed_of(plan_of(BEGIN, notice=own)))
    assert notice.words["en"].title == "We move"
    assert notice.words["zh-CN"].text == "搬家"
    assert "for up to 60 min" in notice.words["en"].text
    assert "`under_maintenance`" in notice.words["en"].text
    assert notice.spare_until == notice.ends == BEGIN + timedelta(hours=1)


def test_a_run_without_a_window_takes_what_its_plan_expects() -> None:
    notice = drafted(filed_of(plan_of(expected_seconds=120.0)), BEGIN)
    assert (notice.begins, notice.ends) == (BEGIN, BEGIN + timedelta(minutes=2))


def test_header_tells_of_what_goes_on_before_what_is_to_come() -> None:
    soon = told_of("scheduled")
    assert header([]) is None
    assert header([soon]) == (
        "state=scheduled; begins=2026-04-16T02:00:00Z; ends=2026-04-16T03:00:00Z; expect=nothing;"
        f" notice={soon.public_id}"
    )
    on = told_of("scheduled", "begun")
    found = header([soon, on])
    assert found is not None
    assert found.startswith("state=ongoing;")
    assert found.isascii()
