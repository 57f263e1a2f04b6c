"""A run's fold and its next action against a simple model: an agent that does what it is told, a person who interferes,
steps that fail, and an agent that dies anywhere.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.base import limits
from tillkeeper.base.ids import NIL
from tillkeeper.maintenance.plans import Plan, Step, Window
from tillkeeper.maintenance.runs.fold import Standing, fold
from tillkeeper.maintenance.runs.next import (
    AT_WORK,
    Begin,
    Do,
    End,
    Pause,
    Preflight,
    Rest,
    Undo,
    Verify,
    decide,
)
from tillkeeper.maintenance.runs.people import objection
from tillkeeper.maintenance.runs.types import ENDS, Event, EventKind, Wish

NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)
WISHES: tuple[Wish, ...] = ("pause", "resume", "abort", "undo")
LINES: dict[Wish, EventKind] = {
    "pause": "paused",
    "resume": "resumed",
    "abort": "abort_asked",
    "undo": "undo_asked",
}


class Model:
    """The world that a run changes: `there` are the effects that stand, `finished` what no step may do again."""

    def __init__(self, reversible: list[bool], tries: list[int], draw: Callable[[int], int]) -> None:
        steps = tuple(Step("test", tries=each) for each in tries)
        self.plan = Plan("goal", "reason", "anna", steps)
        self.reversible = reversible
        self.draw = draw
        self.events: list[Event] = []
        self.there: set[int] = set()
        self.finished: set[int] = set()
        self.touched: set[int] = set()
        self.now = NOON
        self.wrote("asked")

    @property
    def standing(self) -> Standing:
        return fold(len(self.plan.steps), self.events)

    def wrote(
        self, kind: EventKind, step: int | None = None, attempt: int | None = None, **detail: Any
    ) -> None:
        self.now += timedelta(seconds=5)
        self.events.append(
            Event(len(self.events) + 1, NIL, self.now, 1, kind, step, attempt, "agent", detail)
        )

    def person(self, wish: Wish) -> None:
        if objection(wish, self.standing) is None:
            self.wrote(LINES[wish], said="", cause="person")

    def turn(self) -> bool:
        """One action of the agent; False when the run has ended. Two in eight times it dies on the way."""
        match decide(self.plan, self.standing, self.now):
            case None:
                return False
            case Do(step, attempt):
                self.do(step, attempt)
            case Verify(step):
                self.verify(step)
            case Undo(step, attempt):
                self.undo(step, attempt)
            case Preflight():
                self.wrote("preflight", ok=bool(self.draw(4)))
                if not self.standing.ready:
                    self.wrote("paused", cause="preflight")
            case Begin():
                self.wrote("begun", reversible=self.reversible, baseline={})
            case Pause(cause, said):
                self.wrote("paused", cause=cause, said=said)
            case End(state, said):
                self.wrote("ended", state=state, said=said)
            case _:
                self.now += timedelta(seconds=5)
        return True

    def verify(self, step: int) -> None:
        if self.draw(5):
            self.wrote("step_verified", step, self.standing.steps[step].attempts)
        else:
            self.finished.discard(step)
            self.wrote("step_failed", step, said="wrong")

    def do(self, step: int, attempt: int) -> None:
        assert step not in self.finished, "a finished step ran twice"
        assert all(before in self.finished for before in range(step)), "an unfinished step was skipped"
        self.wrote("step_begun", step, attempt)
        self.touched.add(step)
        if (
            self.draw(10) == 0
        ):  # somebody interferes while it is at work, and what it did is still written down
            self.person(WISHES[self.draw(4)])
        fate = self.draw(8)
        if fate == 0:
            return  # the agent died before the effect
        if fate == 1:
            self.there.add(step)
            return  # or after it
        if fate == 2:
            self.wrote("step_failed", step, attempt, said="no")
            return
        self.there.add(step)
        self.finished.add(step)
        self.wrote("step_done", step, attempt)

    def undo(self, step: int, attempt: int) -> None:
        assert self.reversible[step]
        assert not any(
            later in self.there and self.reversible[later] for later in range(step + 1, len(self.reversible))
        ), "undone in the wrong order"
        self.wrote("undo_begun", step, attempt)
        fate = self.draw(8)
        if fate == 0:
            return
        self.there.discard(step)
        self.finished.discard(step)
        if fate == 1:
            return
        self.wrote("undo_done", step, attempt)


@settings(max_examples=400)
@given(st.integers(0, 2**32))
def test_whatever_happens_no_step_is_skipped_or_done_twice_and_the_end_is_true(chance: int) -> None:
    draw = random.Random(chance)
    reversible = [draw.random() < 0.7 for _ in range(draw.randint(1, 4))]
    model = Model(reversible, [draw.randint(1, 3) for _ in reversible], draw.randrange)
    for turn in range(1000):
        # Late in the day nobody interferes any more, so that it comes to an end.
        model.person(draw.choice(WISHES) if draw.random() < 0.1 and turn < 100 else "resume")
        if not model.turn():
            break
    standing = model.standing
    assert standing.state in ENDS
    places = set(range(len(model.reversible)))
    match standing.state:
        case "succeeded":
            assert model.there == places == model.finished
        case "undone" | "aborted":
            assert not {place for place in model.there if reversible[place]}
            assert {p for p in places if standing.steps[p].state == "kept"} == {
                p for p in model.touched if not reversible[p]
            }
            assert not any(step.state in AT_WORK for step in standing.steps)
        case state:
            pytest.fail(f"nothing failed so often that it ends as {state}")


@given(st.lists(st.sampled_from(WISHES), max_size=6))
def test_a_fold_is_the_same_line_by_line_and_whole(wishes: list[Wish]) -> None:
    model = Model([True, False], [1, 2], lambda most: most - 1)
    for wish in wishes:
        model.turn()
        model.person(wish)
    for cut in range(len(model.events)):
        assert fold(2, model.events[:cut]).seen == cut


def test_an_undo_that_fails_too_often_ends_as_failed_and_may_be_asked_again() -> None:
    model = Model([True], [1], lambda most: most - 1)
    while model.turn():
        pass
    model.person("undo")
    for attempt in range(1, limits.RUN_UNDO_TRIES + 1):
        assert decide(model.plan, model.standing, model.now) == Undo(0, attempt)
        model.wrote("undo_begun", 0, attempt)
        model.wrote("undo_failed", 0, attempt, said="locked")
    assert decide(model.plan, model.standing, model.now) == End(
        "failed", "step 1 could not be undone: locked"
    )
    model.wrote("ended", state="failed")
    model.person("undo")
    assert decide(model.plan, model.standing, model.now) == Undo(0, 4)


def test_a_step_that_is_cut_off_again_and_again_is_a_persons_to_look_at() -> None:
    model = Model([True], [1], lambda most: most - 1)
    model.turn()
    model.turn()
    for attempt in range(1, 22):
        assert decide(model.plan, model.standing, model.now) == Do(0, attempt)
        model.wrote("step_begun", 0, attempt)
    assert isinstance(decide(model.plan, model.standing, model.now), Pause)
    model.wrote("paused", cause="interrupted")
    model.person("resume")
    assert decide(model.plan, model.standing, model.now) == Do(0, 22)


def test_a_window_that_passed_before_the_run_began_ends_it() -> None:
    window = Window(NOON, NOON + timedelta(hours=1))
    plan = Plan("goal", "reason", "anna", (Step("test"),), window=window)
    standing = fold(1, [Event(1, NIL, NOON, 0, "asked", None, None, "anna", {})])
    assert decide(plan, standing, NOON, "no") == Rest("no")
    late = decide(plan, standing, NOON + timedelta(hours=2))
    assert isinstance(late, End)
    assert late.state == "aborted"
