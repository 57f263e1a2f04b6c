"""Whether a plan can be carried out as it is written; each mistake names its field and the remedy. Pure."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.discretion import gossip
from tillkeeper.maintenance.plans.types import Plan, Step
from tillkeeper.maintenance.steps import Kinds
from tillkeeper.maintenance.steps.types import MAX_STEPS
from tillkeeper.monitoring import MEASURES

_TRIES: Final = 5
_SECONDS: Final = f"more than 0 seconds, and up to {limits.PLAN_SECONDS}"
_LANGUAGES: Final = ("en", "zh-CN")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong with a field (`steps[1].parameters.table`), and what to do."""

    field: str
    said: str


def check(plan: Plan, kinds: Kinds, now: datetime) -> list[Mistake]:
    """Everything that keeps a plan from being submitted, in the order of its fields."""
    return [
        *_texts(plan),
        *_steps(plan, kinds),
        *_window(plan, now),
        *_guardrails(plan),
        *_notice(plan),
        *_size(plan),
    ]


def parameters(step: Step, kinds: Kinds) -> msgspec.Struct:
    """A step's parameters as its kind takes them. Raises KeyError, msgspec.ValidationError, ValueError."""
    return msgspec.convert(step.parameters, kinds[step.kind].parameters)


def _texts(plan: Plan) -> Iterator[Mistake]:
    for name in ("goal", "reason", "owner"):
        text = getattr(plan, name)
        if not text.strip():
            yield Mistake(name, f"{name}: say it in a sentence")
        elif len(text) > limits.MAX_TEXT:
            yield Mistake(name, f"{name}: {len(text)} characters; up to {limits.MAX_TEXT}")
        elif refusal := gossip(text):
            yield Mistake(name, f"{name}: it is kept for ever, and holds a person's number; {refusal.detail}")


def _steps(plan: Plan, kinds: Kinds) -> Iterator[Mistake]:
    if not 0 < len(plan.steps) <= MAX_STEPS:
        yield Mistake("steps", f"steps: a plan has 1 to {MAX_STEPS} of them")
    for place, step in enumerate(plan.steps):
        yield from _step(f"steps[{place}]", step, kinds)
    if plan.expected_seconds is not None and not 0 < plan.expected_seconds <= limits.PLAN_SECONDS:
        yield Mistake("expected_seconds", f"expected_seconds: {_SECONDS}")


def _step(field: str, step: Step, kinds: Kinds) -> Iterator[Mistake]:
    if step.kind not in kinds:
        near = get_close_matches(step.kind, kinds, 1)
        remedy = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(kinds))}"
        yield Mistake(f"{field}.kind", f"{field}.kind: there is no kind {step.kind!r}; {remedy}")
        return
    try:
        parameters(step, kinds)
    except (msgspec.ValidationError, ValueError) as error:
        inner, said = _placed(str(error))
        if "matching regex" in said:
            said = "it has another form" + _example(kinds[step.kind].parameters, inner)
        at = f"{field}.parameters{inner}"
        yield Mistake(at, f"{at}: {said}; {step.kind} takes {_taken(kinds[step.kind].parameters)}")
    if not 1 <= step.tries <= _TRIES:
        yield Mistake(f"{field}.tries", f"{field}.tries: 1 to {_TRIES}")
    for name in ("timeout_seconds", "expected_seconds"):
        seconds = getattr(step, name)
        if seconds is not None and not 0 < seconds <= limits.PLAN_SECONDS:
            yield Mistake(f"{field}.{name}", f"{field}.{name}: {_SECONDS}")


def _placed(said: str) -> tuple[str, str]:
    """As msgspec says it, "… - at `$.batch`": the place, and the rest."""
    text, _, place = said.partition(" - at `$")
    place = place.rstrip("`")
    if (missing := _MISSING.fullmatch(text)) is not None:
        return f"{place}.{missing[1]}", "it is missing"
    return place, text.replace("Object", "The step")


def _example(kind: type[msgspec.Struct], place: str) -> str:
    """What a field's author gave as an example, if anything."""
    _, drawn = msgspec.json.schema_components([kind])
    field = drawn[kind.__name__]["properties"].get(place.lstrip(".").partition("[")[0], {})
    shown = [*field.get("examples", ()), *field.get("items", {}).get("examples", ())]
    return f", as in {shown[0]}" if shown else ""


def _taken(kind: type[msgspec.Struct]) -> str:
    fields = msgspec.structs.fields(kind)
    return ", ".join(each.encode_name + ("" if each.required else "?") for each in fields) or "no parameters"


def _window(plan: Plan, now: datetime) -> Iterator[Mistake]:
    window = plan.window
    if window is None:
        return
    for name in ("begin", "end", "last_start"):
        moment: Any = getattr(window, name)
        if moment is not None and moment.tzinfo is None:
            yield Mistake(f"window.{name}", f"window.{name}: say the zone, as in 2026-11-23T03:00:00+08:00")
            return
    if window.end <= window.begin:
        yield Mistake("window.end", "window.end: it must come after window.begin")
    elif window.end <= now:
        yield Mistake("window.end", "window.end: it is in the past; till plan suggest-window finds another")
    if window.last_start is not None and not window.begin <= window.last_start < window.end:
        yield Mistake("window.last_start", "window.last_start: it must lie within the window")


def _guardrails(plan: Plan) -> Iterator[Mistake]:
    for place, rail in enumerate(plan.guardrails):
        field = f"guardrails[{place}]"
        if rail.measure not in MEASURES:
            near = get_close_matches(rail.measure, MEASURES, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are: {', '.join(MEASURES)}"
            yield Mistake(
                f"{field}.measure", f"{field}.measure: there is no measure {rail.measure!r}; {remedy}"
            )
        if rail.worse_by is None and rail.limit is None:
            yield Mistake(field, f"{field}: set worse_by (than usual) or limit (absolute)")
        # JSON keeps nan and inf as null: a guardrail without a limit, which would pass whatever happens.
        if rail.limit is not None and not math.isfinite(rail.limit):
            yield Mistake(f"{field}.limit", f"{field}.limit: a number that something can be beyond")
        in_percent = rail.measure not in MEASURES or MEASURES[rail.measure].unit == "percent"
        least = 0 if in_percent else 1
        if rail.worse_by is not None and not least <= rail.worse_by < math.inf:
            what = "percentage points, 0 or more" if in_percent else "so many times worse, 1 or more"
            yield Mistake(f"{field}.worse_by", f"{field}.worse_by: {what}")
        if not 0 < rail.seconds <= limits.GUARDRAIL_SECONDS:
            yield Mistake(f"{field}.seconds", f"{field}.seconds: up to {limits.GUARDRAIL_SECONDS}")
        if rail.samples < 1:
            yield Mistake(f"{field}.samples", f"{field}.samples: at least 1")


def _notice(plan: Plan) -> Iterator[Mistake]:
    notice = plan.notice
    if notice is None:
        return
    if not 0 <= notice.lead_hours <= limits.NOTICE_LEAD_HOURS:
        yield Mistake("notice.lead_hours", f"notice.lead_hours: 0 to {limits.NOTICE_LEAD_HOURS}")
    if not 0 <= notice.spare_minutes <= limits.NOTICE_SPARE_MINUTES:
        yield Mistake("notice.spare_minutes", f"notice.spare_minutes: 0 to {limits.NOTICE_SPARE_MINUTES}")
    for name, texts in (("title", notice.title), ("text", notice.text)):
        for language in sorted(texts.keys() - set(_LANGUAGES)):
            at = f"notice.{name}.{language}"
            yield Mistake(at, f"{at}: nobody reads it; there are: {', '.join(_LANGUAGES)}")


def _size(plan: Plan) -> Iterator[Mistake]:
    if len(plan.content) > limits.PLAN_BYTES:
        said = f"the plan has {len(plan.content)} bytes, up to {limits.PLAN_BYTES}: split it in two plans"
        yield Mistake("", said)
