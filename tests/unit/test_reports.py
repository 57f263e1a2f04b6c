"""The pure parts of a report: what a run did to payments, the tale of its journal, what follows, its pictures."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.upkeep import plan_of
from tillkeeper.maintenance.plans import NoticeText
from tillkeeper.maintenance.reports.deviations import deviations, items
from tillkeeper.maintenance.reports.effect import SLOTS, effect, failed_because, slots, stretch
from tillkeeper.maintenance.reports.page import LANGUAGES, Words, _texts
from tillkeeper.maintenance.reports.pictures import ceiling, picture
from tillkeeper.maintenance.reports.tale import attempts, happened
from tillkeeper.maintenance.reports.types import Deviation, Effect, Money, Slot, StepPart, Stretch
from tillkeeper.maintenance.runs import Event, RunState
from tillkeeper.payments import Second

START = datetime(2026, 4, 16, 2, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def second(when: float, asked: int, failed: int = 0, p99: int = 9000) -> Second:
    return Second(at(when), asked, failed, asked, 4000, p99)


@pytest.mark.parametrize(
    ("before", "during", "found"),
    [
        ((1000, 0), (500, 0), 0),
        ((1000, 0), (490, 10), 10),
        ((990, 10), (495, 5), 0),
        ((990, 10), (480, 20), 15),
        ((900, 100), (500, 0), 0),
        ((0, 0), (100, 7), 7),
    ],
)
def test_only_what_failed_beyond_what_failed_before_is_the_runs_doing(
    before: tuple[int, int], during: tuple[int, int], found: int
) -> None:
    parts = [Stretch(60, *counts, None, None, None) for counts in (before, during)]
    assert failed_because(*parts) == found


def test_a_stretch_takes_its_seconds_once() -> None:
    measured = [second(n, 10, n % 2) for n in range(1, 21)]
    first, rest = stretch(measured, START, at(10)), stretch(measured, at(10), at(20))
    assert (first.answered, first.failed, first.per_second) == (95, 5, 10.0)
    assert first.answered + rest.answered + first.failed + rest.failed == 200
    empty = stretch(measured, at(30), at(40))
    assert (empty.per_second, empty.p50_ms, empty.p99_ms) == (None, None, None)


@given(st.integers(1, 20_000), st.lists(st.integers(0, 20_000), max_size=60))
def test_slots_hold_every_second_and_are_few(length: int, seconds: list[int]) -> None:
    measured = [second(min(n, length) + 0.5, 3, 1) for n in sorted(set(seconds))]
    drawn = slots(measured, START, at(length))
    assert len(drawn) <= SLOTS + 1
    inside = [each for each in measured if each.at <= drawn[-1].at + timedelta(seconds=drawn[-1].seconds)]
    assert sum(each.answered + each.failed for each in drawn) == 3 * len(inside)


def test_an_effect_without_measurements_says_so() -> None:
    found = effect([], at(-60), (START, at(20)), at(30), {})
    assert found.downtime_seconds is None
    assert found.during.per_second is None


def event(kind: Any, when: float, step: int | None = 0, attempt: int | None = 1, **detail: Any) -> Event:
    return Event(1, UUID(int=1), at(when), 1, kind, step, attempt, "agent", detail)


def test_tries_of_a_step() -> None:
    told = attempts(
        iter(
            [
                event("step_begun", 0),
                event("step_begun", 5, attempt=2),
                event("step_failed", 8, attempt=2, said="no room"),
                event("step_begun", 9, attempt=3),
                event("step_done", 12, attempt=3, index="x"),
                event("step_failed", 13, attempt=3, said="the index is not valid"),
                event("undo_begun", 14),
                event("undo_done", 15),
            ]
        )
    )
    assert [(each.kind, each.number, each.outcome, each.said) for each in told] == [
        ("run", 1, "broken off", ""),
        ("run", 2, "failed", "no room"),
        ("run", 3, "failed", "the index is not valid"),
        ("undo", 1, "done", ""),
    ]


def test_what_stands_in_the_way_is_told_and_what_does_not_is_not() -> None:
    findings = [{"code": "disk", "said": "no room", "ok": False}, {"code": "wal", "said": "fine", "ok": True}]
    (told,) = happened(
        [event("preflight", 0, None, None, ok=False, findings=findings), event("step_saved", 1)]
    )
    assert told.said == "no room"


QUIET = Stretch(60, 1000, 0, 16.0, 4.0, 9.0)
CALM = Effect(QUIET, QUIET, QUIET, {}, 0, 0.0)
GOOD = Money((), 100, (), 0)


def step(state: Any = "done", seconds: float = 3.0, **changes: Any) -> StepPart:
    made = StepPart(0, "index.create", "Build", state, (), seconds, 3.0, None, {})
    return msgspec.structs.replace(made, **changes)


def test_a_run_as_rehearsed_leaves_nothing_to_do() -> None:
    found = tuple(deviations(plan_of(START), [step()], CALM, at(60), rehearsed=True))
    assert found == ()
    assert list(items("succeeded", [step()], CALM, GOOD, (), (), (), found)) == []


@pytest.mark.parametrize(
    ("seconds", "known", "longer"), [(6.1, 3.0, False), (8.1, 3.0, True), (19.0, 10.0, False)]
)
def test_a_step_is_called_longer_when_it_is_not_noise(seconds: float, known: float, *, longer: bool) -> None:
    steps = [step(seconds=seconds, rehearsed_seconds=known)]
    found = list(deviations(plan_of(START), steps, CALM, at(60), rehearsed=True))
    assert [each.code for each in found] == (["step_longer"] if longer else [])


def test_an_announced_interruption_is_no_deviation() -> None:
    down = msgspec.structs.replace(CALM, downtime_seconds=4.0)
    told = plan_of(START, notice=NoticeText(expect="interruption"))
    assert list(deviations(told, [step()], down, at(60), rehearsed=True)) == []
    (found,) = deviations(plan_of(START), [step()], down, at(60), rehearsed=True)
    assert found == Deviation("interruption", None, 0, 4.0, "s")


@pytest.mark.parametrize(
    ("outcome", "state", "first"),
    [
        ("failed", "failed", "look_at_once"),
        ("undone", "undone", "find_cause"),
        ("aborted", "kept", "find_cause"),
    ],
)
def test_the_gravest_comes_first_and_differing_books_before_all(
    outcome: RunState, state: str, first: str
) -> None:
    found = [each.code for each in items(outcome, [step(state)], CALM, GOOD, (), (), (), ())]
    assert found[0] == first
    bad = Money((), 100, ("CNY: 1, expected 0",), 1)
    assert [each.code for each in items(outcome, [step(state)], CALM, bad, (), (), (), ())] == [
        "books_differ",
        *found,
    ]


def test_every_item_and_deviation_has_words_in_each_language() -> None:
    english, chinese = (_texts()[language] for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    for language in LANGUAGES:
        words = Words(language, "Asia/Shanghai")
        said = words.deviation(Deviation("step_longer", 2, 3.0, 91.0, "s"))
        assert "3" in said
        assert "1 min 31 s" in said or "1 分 31 秒" in said
        assert words("item.kept", detail="<b>") != words("item.kept", detail="<i>")
        assert "&lt;b&gt;" in words("item.kept", detail="<b>")


@given(st.lists(st.none() | st.floats(0, 1e6), min_size=2, max_size=50))
def test_a_picture_is_well_formed_and_stays_in_its_frame(values: list[float | None]) -> None:
    drawn = [Slot(at(n), 1, 0, 0, None, value, measured=True) for n, value in enumerate(values)]
    shape, top = picture(drawn, lambda slot: slot.p99_ms, (at(-5), at(3)), [at(1)], 'a "label" <b>')
    root = ET.fromstring(shape)
    assert root.attrib["aria-label"] == 'a "label" <b>'
    assert top >= max((value for value in values if value is not None), default=0)
    lines = [path.attrib["d"] for path in root if path.attrib["class"] == "line"]
    heights = [
        float(part.split()[1].split("h")[0])
        for line in lines
        for part in line.replace("M", "L").split("L")[1:]
    ]
    assert len(heights) == sum(value is not None for value in values)
    assert all(0 <= height <= 100 for height in heights)


@given(st.floats(0, 1e9))
def test_an_axis_ends_little_above_the_highest_value(highest: float) -> None:
    top = ceiling(highest)
    assert highest <= top <= max(1.0, highest * 1.51)
