"""Where a run was not what its rehearsal or its plan said, and what is to be done about it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from tillkeeper.maintenance.plans import OVERRIDE, Plan
from tillkeeper.maintenance.reports.types import (
    Agreed,
    Deviation,
    Effect,
    Happened,
    Item,
    Judged,
    Money,
    StepPart,
)
from tillkeeper.maintenance.runs import RunState

_LONGER: Final = 2.0  # times what the rehearsal took
_LONGER_SECONDS: Final = 5.0  # and by so much: below it is the noise of the machine


def deviations(
    plan: Plan,
    steps: Sequence[StepPart],
    effect: Effect,
    ended_at: datetime,
    *,
    rehearsed: bool,
) -> Iterator[Deviation]:
    """Each difference that is worth a line."""
    if not rehearsed:
        yield Deviation("not_rehearsed", None, None, None)
    for step in steps:
        known = step.rehearsed_seconds if step.rehearsed_seconds is not None else step.expected_seconds
        if known is not None and step.seconds is not None and _is_longer(step.seconds, known):
            yield Deviation("step_longer", step.place, known, step.seconds, "s")
        if (tries := sum(each.kind == "run" for each in step.attempts)) > 1:
            yield Deviation("step_again", step.place, 1, tries)
    if plan.window is not None and ended_at > plan.window.end:
        over = (ended_at - plan.window.end).total_seconds()
        yield Deviation("window_overrun", None, 0, round(over, 1), "s")
    expect = plan.notice.expect if plan.notice else "nothing"
    if expect != "interruption" and effect.downtime_seconds:
        yield Deviation("interruption", None, 0, effect.downtime_seconds, "s")


def _is_longer(found: float, known: float) -> bool:
    return found > known * _LONGER and found > known + _LONGER_SECONDS


def items(
    outcome: RunState,
    steps: Sequence[StepPart],
    effect: Effect,
    money: Money,
    judged: Sequence[Judged],
    happened: Sequence[Happened],
    agreed: Sequence[Agreed],
    found: Sequence[Deviation],
) -> Iterator[Item]:
    """What is to be done, the gravest first; each once."""
    if not money.balanced:
        yield Item("books_differ", "; ".join(money.differences[:3]))
    if outcome == "failed":
        yield Item("look_at_once", _titles(step for step in steps if step.state == "failed"))
    if outcome in {"undone", "aborted", "failed"}:
        yield Item("find_cause", _cause(steps, judged))
    if kept := _titles(step for step in steps if step.state == "kept"):
        yield Item("kept", kept)
    if effect.failed_because:
        yield Item("tell_merchants", str(effect.failed_because))
    yield from _of_deviations(steps, found)
    if unsure := ", ".join(dict.fromkeys(each.measure for each in judged if each.verdict == "inconclusive")):
        yield Item("too_few_samples", unsure)
    if any(each.what == "taken_over" for each in happened):
        yield Item("agent_died")
    if any(each.deed == OVERRIDE.name for each in agreed):
        yield Item("freeze_left_aside")


def _of_deviations(steps: Sequence[StepPart], found: Sequence[Deviation]) -> Iterator[Item]:
    codes = {each.code for each in found}
    longer = [steps[each.step] for each in found if each.code == "step_longer" and each.step is not None]
    if longer:
        yield Item("correct_estimate", _titles(longer))
    for code, item in (
        ("window_overrun", "widen_window"),
        ("interruption", "expect_interruption"),
        ("not_rehearsed", "rehearse"),
    ):
        if code in codes:
            yield Item(item)


def _titles(steps: Iterable[StepPart]) -> str:
    return ", ".join(step.title or step.kind for step in steps)


def _cause(steps: Sequence[StepPart], judged: Sequence[Judged]) -> str:
    """What is known of why it was stopped: what a guardrail said, or a step's last words."""
    failing = [each.said or each.measure for each in judged if each.verdict == "fail"]
    last_words = [
        each.said for step in steps for each in step.attempts if each.outcome == "failed" and each.said
    ]
    return next(iter([*failing, *last_words]), "")
