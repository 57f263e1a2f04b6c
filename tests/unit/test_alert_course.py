"""Verdicts, burn rates and the course of an alert, against what they promise."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.base.ids import new_id
from tillkeeper.monitoring import MEASURES
from tillkeeper.monitoring.alerting import judge, own_text, parse
from tillkeeper.monitoring.alerting.book import BadBookError
from tillkeeper.monitoring.alerting.course import acknowledge, follow, silenced_until, stand
from tillkeeper.monitoring.alerting.types import (
    BURNS,
    NO_LABELS,
    TOLD,
    Absence,
    Alert,
    Anomaly,
    Count,
    Judged,
    Objective,
    Silence,
    Standing,
    Threshold,
    Verdict,
    Words,
    labels_of,
)

START = datetime(2026, 4, 15, 12, tzinfo=UTC)
WORDS = Words("Trouble", "故障")
RULE = Threshold(
    name="trouble", owner="operator", severity="page", title=WORDS, measure="x", over=10, for_seconds=30,
    clear_seconds=60, absent_seconds=120,
)  # fmt: skip
QUIET = Threshold(
    name="quiet", owner="operator", severity="ticket", title=WORDS, measure="x", over=10, absent="show"
)
GOAL = Objective(name="goal", owner="operator", title=WORDS, measure="x", target=99.9)

verdicts = st.lists(
    st.tuples(st.sampled_from(get_args(Verdict)), st.integers(1, 12)), min_size=1, max_size=40
)


class Watch:
    """A rule followed look by look, every ten seconds."""

    def __init__(self, rule: Threshold = RULE) -> None:
        self.rule, self.now = rule, START
        self.alert: Alert | None = None
        self.standing: Standing | None = None
        self.silences: list[Silence] = []
        self.past: list[tuple[datetime, str]] = []

    def look(self, verdict: Verdict, times: int = 1) -> None:
        for _ in range(times):
            self.now += timedelta(seconds=10)
            judged = Judged(self.rule.name, NO_LABELS, self.rule.severity, verdict, 1.0, 10.0)
            self.standing = stand(self.standing, judged, self.now)
            until = silenced_until(self.silences, self.rule.name, NO_LABELS, self.now)
            step = follow(self.alert, self.standing, judged, self.rule, until, new_id())
            self.alert = step.alert if step.alert is not None and step.alert.open else None
            if step.kind:
                self.past.append((self.now, step.kind))

    def silence(self, seconds: float) -> None:
        until = self.now + timedelta(seconds=seconds)
        self.silences.append(Silence(new_id(), self.rule.name, None, "anna", "known", self.now, until))

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind in self.past]


def test_it_fires_when_it_was_bad_for_long_enough_and_ends_when_it_was_fine_for_long_enough() -> None:
    watch = Watch()
    watch.look("bad", 3)
    assert watch.kinds == []
    watch.look("bad")
    assert watch.kinds == ["fired"]
    watch.look("fine", 6)
    assert watch.kinds == ["fired"]
    watch.look("fine")
    assert watch.kinds == ["fired", "resolved"]


def test_unknown_is_never_fine() -> None:
    watch = Watch()
    watch.look("bad", 4)
    watch.look("unknown", 100)
    assert watch.alert is not None
    assert watch.kinds == ["fired", "changed"]
    assert watch.alert.cause == "unknown"
    shown = Watch(QUIET)
    shown.look("unknown", 1000)
    assert shown.kinds == []
    assert shown.standing is not None
    assert shown.standing.verdict == "unknown"


def test_no_data_is_an_alarm_of_its_own() -> None:
    watch = Watch()
    watch.look("unknown", 12)
    assert watch.kinds == []
    watch.look("unknown")
    assert watch.kinds == ["fired"]
    assert watch.alert is not None
    assert watch.alert.cause == "unknown"


def test_a_silence_tells_nobody_and_it_fires_again_afterwards() -> None:
    watch = Watch()
    watch.silence(300)
    watch.look("bad", 29)
    assert watch.kinds == ["fired_silenced"]
    watch.look("bad", 3)
    assert watch.kinds == ["fired_silenced", "refired"]
    watch.silence(60)
    watch.look("bad")
    assert watch.kinds[-1] == "silenced"
    watch.look("fine", 20)
    assert watch.kinds[-1] == "resolved"


def test_who_acknowledges_is_not_reminded_and_who_does_not_is() -> None:
    every = int(limits.ALERT_REMIND_SECONDS / 10)
    watch = Watch()
    watch.look("bad", 4 + every)
    assert watch.kinds == ["fired", "reminded"]
    assert watch.alert is not None
    step = acknowledge(watch.alert, "anna")
    assert (step.kind, step.alert and step.alert.acknowledged_by) == ("acknowledged", "anna")
    watch.alert = step.alert
    watch.look("bad", 2 * every)
    assert watch.kinds == ["fired", "reminded"]


@given(verdicts, st.lists(st.tuples(st.integers(0, 300), st.integers(10, 900)), max_size=3))
def test_the_course_keeps_its_promises(
    looks: list[tuple[Verdict, int]], silences: list[tuple[int, int]]
) -> None:
    watch = Watch()
    flat = [verdict for verdict, times in looks for _ in range(times)]
    quiet = dict(silences)
    for place, verdict in enumerate(flat):
        if place in quiet:
            watch.silence(quiet[place])
        watch.look(verdict)
        silent = silenced_until(watch.silences, RULE.name, NO_LABELS, watch.now) is not None
        open_now = watch.alert is not None
        # Bad for RULE.for_seconds always has an open alert; nothing but a minute of fine ends one.
        tail = flat[max(0, place - 3) : place + 1]
        assert open_now or tail != ["bad"] * 4
        if watch.past and watch.past[-1] == (watch.now, "resolved"):
            assert flat[place - 6 : place + 1] == ["fine"] * 7
        if watch.past and watch.past[-1][0] == watch.now and silent:
            assert watch.past[-1][1] not in TOLD - {"resolved"}
        assert not open_now or (watch.alert.state == "silenced") == silent  # type: ignore[union-attr]
    assert watch.kinds.count("resolved") <= watch.kinds.count("fired") + watch.kinds.count("fired_silenced")


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(50, 99.99))
def test_a_burn_rate_is_the_share_of_failures_over_the_share_allowed(
    good: int, failed: int, target: float
) -> None:
    rate = judge.burn_rate(Count(good, good + failed), target)
    if good + failed == 0:
        assert rate is None
        return
    assert rate is not None
    assert rate * (1 - target / 100) == pytest.approx(failed / (good + failed))


def test_a_budget_burns_only_in_both_windows_and_not_for_a_single_failure() -> None:
    page = BURNS[0]
    said = {
        "all fails": (Count(0, 1000), Count(0, 100), "bad"),
        "over by now": (Count(900, 1000), Count(100, 100), "fine"),
        "just begun": (Count(99_990, 100_000), Count(0, 10), "fine"),
        "nobody pays": (Count(0, 0), Count(0, 0), "unknown"),
        "nobody pays now": (Count(900, 1000), Count(0, 0), "unknown"),
        "one of few": (Count(30, 31), Count(2, 3), "fine"),
        "mostly blind": (Count(0, 1000), Count(0, 5, 6), "unknown"),
    }
    for case, (long, short, verdict) in said.items():
        assert judge.burn(GOAL, page, long, short).verdict == verdict, case
    assert judge.budget_left(GOAL, Count(99_950, 100_000)) == pytest.approx(0.5)


def test_an_objective_counts_answers_or_looks() -> None:
    fast = Objective(name="fast", owner="operator", title=WORDS, measure="ms", target=99, at_most=500)
    assert judge.count(GOAL, 75.0, 8) == Count(6, 8)
    assert judge.count(GOAL, None, 0) == Count(0, 0, 1)
    assert [judge.count(fast, value, 3) for value in (500.0, 501.0, None)] == [
        Count(1, 1), Count(0, 1), Count(0, 0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "samples", "verdict"),
    [(10.0, 1, "fine"), (10.1, 1, "bad"), (None, 0, "unknown"), (99.0, 0, "unknown")],
)
def test_a_threshold(value: float | None, samples: int, verdict: Verdict) -> None:
    assert judge.threshold(RULE, value, samples).verdict == verdict


def test_absence_and_what_is_unusual() -> None:
    gone = Absence(name="gone", owner="operator", severity="page", title=WORDS, measure="x")
    assert [judge.absence(gone, value).verdict for value in (None, 0.0)] == ["bad", "fine"]
    odd = Anomaly(
        name="odd", owner="operator", severity="ticket", title=WORDS, measure="x", worse="lower", floor=1.0
    )
    history = [100.0, 104.0, 96.0, 100.0, 9000.0]  # one week was a feast: the median does not mind
    said = {100.0: "fine", 71.0: "fine", 70.0: "bad", 9999.0: "fine"}
    assert {value: judge.anomaly(odd, value, history).verdict for value in said} == said
    assert judge.anomaly(odd, 1.0, history[:2]).verdict == "unknown"
    assert judge.anomaly(odd, 4.5, [5.0] * 4).verdict == "fine"  # within the floor


def test_labels_are_the_same_in_any_order() -> None:
    assert labels_of(b="2", a="1") == '{"a":"1","b":"2"}'


def test_the_packages_own_book_names_its_measures() -> None:
    with pytest.raises(
        BadBookError, match=r"nothing measures payments\.success_rate: did you mean payments\.success_rat"
    ):
        parse(own_text(), "objectives.toml", {"payments.success_rat"})


def test_every_alert_has_a_page_that_says_what_it_means_and_what_to_do() -> None:
    text = (Path(__file__).parents[2] / "docs/operating/alerts.md").read_text("utf-8")
    book = parse(own_text(), "objectives.toml", MEASURES)
    parts = {part.partition("\n")[0].strip(): part for part in text.split("\n### ")[1:]}
    assert parts.keys() == {each.name for each in (*book.objectives, *book.rules)}
    for name, part in parts.items():
        assert re.search(r"\*\*Means:\*\* \w.{30,}\n\*\*Do:\*\* .{20,}", part, re.DOTALL), name
    for link in re.findall(r"\]\(#(\w+)\)", text):
        assert link in parts


BAD_BOOKS: dict[str, tuple[str, str]] = {
    "no TOML": ("[[rule", "objectives.toml: "),
    "a field too many": (
        (
            '[[rule]]\nkind = "money"\nname = "aaa"\nowner = "operator"\nseverity = "page"\ncolour = "red"\n'
            'title = { en = "a", zh = "b" }\n'
        ),
        "colour",
    ),
    "no such kind": ('[[rule]]\nkind = "magic"\n', "magic"),
    "both bounds": (
        (
            '[[rule]]\nkind = "threshold"\nname = "aaa"\nowner = "operator"\nseverity = "page"\nmeasure = "x"\nover = 1\n'
            'under = 1\ntitle = { en = "a", zh = "b" }\n'
        ),
        "aaa: either over or under",
    ),
    "a hundred percent": (
        (
            '[[objective]]\nname = "aaa"\nowner = "nobody"\nmeasure = "x"\ntarget = 100\n'
            'title = { en = "a", zh = "b" }\ncomponent = "payments"\n'
        ),
        r"owner: one of(.|\n)*public: say what(.|\n)*target: percent",
    ),
}


@pytest.mark.parametrize("case", BAD_BOOKS)
def test_a_book_that_cannot_watch_is_refused_with_the_reason(case: str) -> None:
    text, said = BAD_BOOKS[case]
    with pytest.raises(BadBookError, match=said):
        parse(text, "objectives.toml", {"x"})


def test_a_book_needs_no_rules() -> None:
    book: Any = parse("", "objectives.toml", ())
    assert (book.objectives, book.rules) == ((), ())
