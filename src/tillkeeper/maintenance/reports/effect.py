"""What a run did to payments, from the api's own seconds. Pure.

Failed because of it: of the calls while it ran, as many failed as beyond the share that failed in the stretch before it:
failed - calls x (failed before / calls before), at least none. What had failed anyway is not the run's doing, and a
decline is an answer. How long payments were interrupted is payments' own word.
"""

import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tillkeeper.base.clock import EPOCH
from tillkeeper.maintenance.reports.types import Effect, Slot, Stretch
from tillkeeper.payments import Second, interrupted

SLOTS: Final = 480
"""Points of a picture."""


def effect(
    seconds: Sequence[Second],
    since: datetime,
    run: tuple[datetime, datetime],
    until: datetime,
    by_state: dict[str, int],
) -> Effect:
    """The effect of a run from its beginning to its end; `seconds`: of the api, from before it (`since`) to `until`."""
    began, ended = run
    before = stretch(seconds, since, began)
    during = stretch(seconds, began, ended)
    after = stretch(seconds, ended, until)
    down = interrupted(seconds, began, ended)
    return Effect(
        before,
        during,
        after,
        by_state,
        failed_because(before, during, after),
        None if down is None else down.total_seconds(),
    )


def failed_because(before: Stretch, *stretches: Stretch) -> int:
    """Calls that failed beyond the share that failed before."""
    calls_before = before.answered + before.failed
    share = before.failed / calls_before if calls_before else 0.0
    failed = sum(each.failed for each in stretches)
    calls = sum(each.answered + each.failed for each in stretches)
    return max(0, round(failed - calls * share))


def stretch(seconds: Sequence[Second], since: datetime, until: datetime) -> Stretch:
    """The figures of a stretch of time; the durations are the medians of its seconds' p50 and p99."""
    inside = [each for each in seconds if since < each.at <= until]
    length = (until - since).total_seconds()
    asked, failed = sum(each.asked for each in inside), sum(each.failed for each in inside)
    busy = [each for each in inside if each.payments]
    return Stretch(
        round(length, 3),
        asked - failed,
        failed,
        round(asked / length, 2) if inside and length > 0 else None,
        _median([each.p50_us for each in busy]),
        _median([each.p99_us for each in busy]),
    )


def slots(seconds: Sequence[Second], since: datetime, until: datetime) -> tuple[Slot, ...]:
    """The seconds in at most SLOTS slots of equal length, those without calls too."""
    width = max(1, -(-int((until - since).total_seconds()) // SLOTS))
    first = _second(since)
    boxes: dict[int, list[Second]] = {box: [] for box in range((_second(until) - first) // width + 1)}
    for each in seconds:
        if (box := (_second(each.at) - first) // width) in boxes:
            boxes[box].append(each)
    return tuple(_slot(since + timedelta(seconds=box * width), width, found) for box, found in boxes.items())


def _slot(at: datetime, width: int, found: Sequence[Second]) -> Slot:
    busy = [each for each in found if each.payments]
    asked, failed = sum(each.asked for each in found), sum(each.failed for each in found)
    return Slot(
        at,
        width,
        asked - failed,
        failed,
        _median([each.p50_us for each in busy]),
        _median([each.p99_us for each in busy]),
        measured=bool(found),
    )


def _second(at: datetime) -> int:
    return (at - EPOCH) // timedelta(seconds=1)


def _median(microseconds: Sequence[int]) -> float | None:
    """In milliseconds; None of nothing."""
    return round(statistics.median(microseconds) / 1000, 3) if microseconds else None
