"""A plan as a form: fields drawn from the kinds' parameters, and a plan read back from what somebody typed. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.maintenance.plans import Mistake, Plan
from tillkeeper.maintenance.steps import Kind, Kinds

LINES: Final = "lines"
_LOCAL: Final = "%Y-%m-%dT%H:%M"
_PLACE: Final = re.compile(r"(steps|guardrails)\.(\d+)\.")
_FEW: Final = 4  # guardrails offered beside those that are there


class Field(msgspec.Struct, frozen=True):
    """One parameter of a step as an input. `shape`: text, number, check, choice, or lines (a list, one a line)."""

    name: str
    shape: str
    help: str
    required: bool
    choices: tuple[str, ...] = ()
    default: str = ""
    example: str = ""
    of: str = "string"


def fields_of(kind: Kind) -> list[Field]:
    """The parameters of a kind, as their JSON schema tells them."""
    _, definitions = msgspec.json.schema_components([kind.parameters])
    drawn = definitions[kind.parameters.__name__]
    required = drawn.get("required", [])
    return [_field(name, each, name in required) for name, each in drawn["properties"].items()]


def purpose_of(kind: Kind) -> str:
    """What a kind does, in its own words."""
    return " ".join((kind.parameters.__doc__ or "").split())


def read_form(form: Mapping[str, str], kinds: Kinds, zone: ZoneInfo) -> tuple[dict[str, Any], list[Mistake]]:
    """A plan as plain values, and what could not be read. What was left empty is left out."""
    mistakes: list[Mistake] = []
    given: dict[str, Any] = {name: form.get(name, "").strip() for name in ("goal", "reason", "owner")}
    given["touches"] = _split(form.get("touches", ""))
    given["steps"] = [
        _step(form, place, kinds, mistakes, index) for index, place in enumerate(places(form, "steps"))
    ]
    rails = [(place, _rail(form, place, mistakes)) for place in places(form, "guardrails")]
    given["guardrails"] = [rail for _, rail in rails if rail.get("measure")]
    if window := _window(form, zone, mistakes):
        given["window"] = window
    notice = _notice(form, mistakes)
    if notice:
        given["notice"] = notice
    if (minutes := _number(form, "expected_minutes", mistakes)) is not None:
        given["expected_seconds"] = round(minutes * 60, 3)
    return given, mistakes


def plan_of(given: Mapping[str, Any]) -> Plan | Mistake:
    """The plan of plain values."""
    try:
        return msgspec.convert(given, Plan)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        return Mistake(place.rstrip("`").lstrip("."), text)


def fill_form(plan: Plan, kinds: Kinds, zone: ZoneInfo) -> dict[str, str]:
    """A plan as the form shows it: the inverse of read_form."""
    form = {"goal": plan.goal, "reason": plan.reason, "owner": plan.owner, "touches": ", ".join(plan.touches)}
    if plan.expected_seconds is not None:
        form["expected_minutes"] = _text(plan.expected_seconds / 60)
    if plan.window is not None:
        form |= {
            "plan_window.begin": plan.window.begin.astimezone(zone).strftime(_LOCAL),
            "plan_window.end": plan.window.end.astimezone(zone).strftime(_LOCAL),
            "plan_window.overrun": plan.window.overrun,
        }
    if plan.notice is not None:
        form |= {
            "plan_notice.expect": plan.notice.expect,
            "plan_notice.lead_hours": _text(plan.notice.lead_hours),
        }
        form |= {f"plan_notice.text.{lang}": text for lang, text in plan.notice.text.items()}
    for place, step in enumerate(plan.steps):
        plain = msgspec.to_builtins(step)
        form |= {
            f"steps.{place}.{name}": _text(value) for name, value in plain.items() if name != "parameters"
        }
        for each in fields_of(kinds[step.kind]) if step.kind in kinds else ():
            given = step.parameters.get(each.name)
            form[f"steps.{place}.parameters.{each.name}"] = _text(_unset(each) if given is None else given)
    for place, rail in enumerate(plan.guardrails):
        plain = msgspec.to_builtins(rail)
        form |= {
            f"guardrails.{place}.{name}": _text(value) for name, value in plain.items() if value is not None
        }
    return form


def places(form: Mapping[str, str], table: str) -> list[int]:
    """The numbers that a table's rows have in a form, in order."""
    found = {int(match[2]) for name in form if (match := _PLACE.match(name)) and match[1] == table}
    return sorted(found)


def with_step(form: Mapping[str, str], kind: Kind) -> dict[str, str]:
    """The form with one more step at its end."""
    place = max(places(form, "steps"), default=-1) + 1
    added = {f"steps.{place}.kind": kind.name}
    added |= {f"steps.{place}.parameters.{each.name}": _text(_unset(each)) for each in fields_of(kind)}
    return {**form, **added}


def without(form: Mapping[str, str], place: int) -> dict[str, str]:
    """The form without one of its steps."""
    return {name: value for name, value in form.items() if not name.startswith(f"steps.{place}.")}


def moved(form: Mapping[str, str], place: int, other: int) -> dict[str, str]:
    """The form with two of its steps in each other's place."""
    swap = {f"steps.{place}.": f"steps.{other}.", f"steps.{other}.": f"steps.{place}."}
    found = {}
    for name, value in form.items():
        head = next((each for each in swap if name.startswith(each)), None)
        found[swap[head] + name.removeprefix(head) if head else name] = value
    return found


def input_of(field: str, steps: Sequence[int], rails: Sequence[int]) -> str:
    """The name of the input that a mistake's field is about: `steps[1].parameters.table` is `steps.3.parameters.table`
    where the second row of steps has the number 3.
    """
    for table, numbers in (("steps", steps), ("guardrails", rails)):
        match = re.match(rf"{table}\[(\d+)\]\.?(.*)", field)
        if match and int(match[1]) < len(numbers):
            rest = re.sub(r"\[\d+\]$", "", match[2])
            return f"{table}.{numbers[int(match[1])]}.{rest}".rstrip(".")
    return f"plan_{field}" if field.startswith(("window.", "notice.")) else field


def rail_places(form: Mapping[str, str]) -> list[int]:
    """Rows for guardrails: those that are there, and empty ones beside them."""
    used = [place for place in places(form, "guardrails") if form.get(f"guardrails.{place}.measure")]
    after = max(used, default=-1) + 1
    return [*used, *range(after, after + max(1, _FEW - len(used)))]


def _field(name: str, drawn: Mapping[str, Any], required: bool) -> Field:  # noqa: FBT001 - as the schema says
    kept = [each for each in drawn.get("anyOf", [drawn]) if each.get("type") != "null"]
    one = {**kept[0], **{key: value for key, value in drawn.items() if key != "anyOf"}}
    kind, items = one.get("type", "string"), one.get("items") or {}
    shape = {"boolean": "check", "integer": "number", "number": "number", "array": LINES}.get(kind, "text")
    if choices := tuple(map(str, one.get("enum", ()))):
        shape = "choice"
    examples = one.get("examples") or [""]
    of = items.get("type", "string") if shape == LINES else kind
    return Field(
        name,
        shape,
        str(one.get("description", "")),
        required,
        choices,
        _text(one.get("default")),
        _text(examples[0]),
        of,
    )


def _step(
    form: Mapping[str, str], place: int, kinds: Kinds, mistakes: list[Mistake], index: int
) -> dict[str, Any]:
    kind = form.get(f"steps.{place}.kind", "")
    step: dict[str, Any] = {"kind": kind}
    if title := form.get(f"steps.{place}.title", "").strip():
        step["title"] = title
    for name in ("tries", "timeout_seconds", "expected_seconds"):
        if (number := _number(form, f"steps.{place}.{name}", mistakes)) is not None:
            step[name] = int(number) if name == "tries" else number
    if kind in kinds:
        found = {
            each.name: _typed(each, form.get(f"steps.{place}.parameters.{each.name}", ""))
            for each in fields_of(kinds[kind])
        }
        step["parameters"] = {name: value for name, value in found.items() if value is not None}
    else:
        mistakes.append(Mistake(f"steps[{index}].kind", f"there is no kind {kind!r}"))
    return step


def _unset(field: Field) -> str:
    """What stands in an input that nobody has filled: a box cannot be left empty, everything else can."""
    return field.default if field.shape == "check" else ""


def _typed(field: Field, text: str) -> Any:
    """A parameter from what was typed; None: left out. What has the wrong form stays a text, and its kind says so."""
    text = text.replace("\r\n", "\n").strip()
    if field.shape == "check":
        return None if text == field.default else text == "on"
    if not text:
        return None
    if field.shape == LINES:
        return [_plain(each.strip(), field.of) for each in text.split("\n") if each.strip()]
    return _plain(text, field.of)


def _plain(text: str, of: str) -> Any:
    try:
        return {"integer": int, "number": float}[of](text) if of in {"integer", "number"} else text
    except ValueError:
        return text


def _rail(form: Mapping[str, str], place: int, mistakes: list[Mistake]) -> dict[str, Any]:
    rail: dict[str, Any] = {"measure": form.get(f"guardrails.{place}.measure", "")}
    for name in ("worse_by", "limit", "seconds", "samples"):
        if (number := _number(form, f"guardrails.{place}.{name}", mistakes)) is not None:
            rail[name] = int(number) if name == "samples" else number
    return rail


def _window(form: Mapping[str, str], zone: ZoneInfo, mistakes: list[Mistake]) -> dict[str, Any]:
    window: dict[str, Any] = {}
    for name in ("begin", "end"):
        text = form.get(f"plan_window.{name}", "").strip()
        if not text:
            continue
        try:
            window[name] = datetime.strptime(text[:16], _LOCAL).replace(tzinfo=zone).astimezone(UTC)
        except ValueError:
            mistakes.append(Mistake(f"window.{name}", "a time like 2026-11-23T03:00"))
    if window and len(window) < 2:
        mistakes.append(Mistake("window.end" if "begin" in window else "window.begin", "it is missing"))
    return window | {"overrun": form.get("plan_window.overrun", "pause")} if window else {}


def _notice(form: Mapping[str, str], mistakes: list[Mistake]) -> dict[str, Any]:
    """None is read where nobody shall notice anything, nothing is told ahead, and nothing was written."""
    notice: dict[str, Any] = {"expect": form.get("plan_notice.expect", "nothing")}
    if hours := _number(form, "plan_notice.lead_hours", mistakes):
        notice["lead_hours"] = hours
    texts = {lang: form.get(f"plan_notice.text.{lang}", "").strip() for lang in ("en", "zh-CN")}
    if kept := {lang: text.replace("\r\n", "\n") for lang, text in texts.items() if text}:
        notice["text"] = kept
    return notice if len(notice) > 1 or notice["expect"] != "nothing" else {}


def _number(form: Mapping[str, str], name: str, mistakes: list[Mistake]) -> float | None:
    text = form.get(name, "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        mistakes.append(Mistake(re.sub(r"\.(\d+)\.", r"[\1].", name), "a number"))
        return None


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.replace("，", ",").split(",") if each.strip()]


def _text(value: Any) -> str:
    """A value as an input holds it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else ""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, list | tuple):
        return "\n".join(" ".join(str(each).split()) for each in value)
    return str(value)
