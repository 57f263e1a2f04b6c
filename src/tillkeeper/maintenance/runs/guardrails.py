"""What a guardrail says: pass, fail or inconclusive. Pure: what was measured is handed in."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from tillkeeper.base import limits
from tillkeeper.maintenance.plans import Guardrail
from tillkeeper.maintenance.runs.types import Light, Verdict
from tillkeeper.monitoring import Measure, Measured, MoneyFault, MoneyLook

MONEY: Final = "money"
"""The guardrail that every run has."""


def stretches(rail: Guardrail) -> Iterator[float]:
    """How far back to look: what the plan says, then twice as far, and so on, while there are too few samples."""
    seconds = rail.seconds
    while seconds < limits.RUN_WIDEN_SECONDS:
        yield seconds
        seconds *= 2
    yield max(rail.seconds, limits.RUN_WIDEN_SECONDS)


def needed(rail: Guardrail, measure: Measure) -> int:
    """How many samples it takes. What is one figure and no count of payments (free disk) needs one."""
    return rail.samples if measure.least > 1 else 1


def judge(rail: Guardrail, measure: Measure, measured: Measured, usual: float | None, at: datetime) -> Light:
    """What a guardrail says of a measure. `usual`: the same hour's baseline, or the minute before the run."""
    verdict, said = _judge(rail, measure, measured, usual)
    compared = usual if rail.worse_by is not None else None
    return Light(rail.measure, verdict, measured.value, compared, rail.limit, measured.samples, said, at)


def _judge(rail: Guardrail, measure: Measure, measured: Measured, usual: float | None) -> tuple[Verdict, str]:
    value, enough = measured.value, needed(rail, measure)
    if value is None or measured.samples < enough:
        return "inconclusive", f"{measured.samples} samples, {enough} needed"
    sign = 1 if measure.better == "lower" else -1
    if rail.limit is not None and sign * (value - rail.limit) > 0:
        return "fail", f"{value:g} {measure.unit}, the limit is {rail.limit:g}"
    if rail.worse_by is not None:
        if usual is None:
            return "inconclusive", "it is not known what is usual"
        bound = worst(usual, rail.worse_by, measure)
        if sign * (value - bound) > 0:
            return "fail", f"{value:g} {measure.unit}, usual is {usual:g}, at worst {bound:g}"
    return "pass", f"{value:g} {measure.unit}"


def worst(usual: float, worse_by: float, measure: Measure) -> float:
    """The bound that a baseline gives: percentage points away for rates in percent, else a factor."""
    if measure.unit == "percent":
        return usual + worse_by if measure.better == "lower" else usual - worse_by
    return usual * worse_by if measure.better == "lower" else usual / worse_by


def judge_money(look: MoneyLook, at: datetime) -> Light:
    """The books: one fault is enough."""
    if look.faults:
        return Light(
            MONEY, "fail", float(len(look.faults)), None, 0.0, look.checked, in_words(look.faults), at
        )
    return Light(MONEY, "pass", 0.0, None, 0.0, look.checked, "", at)


def in_words(faults: Iterable[MoneyFault]) -> str:
    """What is wrong with the money, within RUN_SAYING."""
    return "; ".join(f"{fault.code}: {fault.said}" for fault in faults)[: limits.RUN_SAYING]


def unseen(measure: str, last: Light | None, said: str, at: datetime) -> Light:
    """A guardrail that could not be looked at: never fine."""
    value, usual, limit = (last.value, last.usual, last.limit) if last else (None, None, None)
    return Light(measure, "inconclusive", value, usual, limit, 0, said, at)


def failing(lights: Iterable[Light]) -> Light | None:
    """The first that fails; the money comes first."""
    return next((light for light in lights if light.verdict == "fail"), None)


def doubtful(lights: Iterable[Light], waived: frozenset[str]) -> tuple[Light, ...]:
    """Those that say nothing, and that no person has let pass."""
    return tuple(light for light in lights if light.verdict == "inconclusive" and light.measure not in waived)


def changed(lights: Iterable[Light], verdicts: Mapping[str, str]) -> list[Light]:
    """Those that say something else than before."""
    return [light for light in lights if verdicts.get(light.measure) != light.verdict]
