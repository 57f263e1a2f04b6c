"""Plans and calendars from TOML, and the templates that come with the package; errors name the field and the remedy."""

import tomllib
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base import limits
from tillkeeper.maintenance.plans.calendar import Calendar, is_country
from tillkeeper.maintenance.plans.types import Plan, Window

T = TypeVar("T")

_CALENDAR: Final = "calendar.toml"
_REMEDIES: Final = {
    "missing required field": "add it",
    "unknown field": "take it away, or mend its spelling",
    "Expected": "give it that type",
}


class ReadingError(ValueError):
    """A text that is no plan or no calendar. The message names the field and the remedy."""


def read_plan(text: str, zone: ZoneInfo) -> Plan:
    """A plan from TOML. Times without a zone are the business time zone's. Raises ReadingError."""
    if len(text.encode()) > limits.PLAN_BYTES:
        raise ReadingError(f"the plan is longer than {limits.PLAN_BYTES} bytes: split it in two plans")
    return _with_zone(_read(text, Plan, "plan"), zone)


def read_calendar(path: Path | None) -> Calendar:
    """The calendar of a file; None: the one that comes with the package. Raises ReadingError."""
    try:
        text = (path or files(__package__).joinpath(_CALENDAR)).read_text("utf-8")
    except OSError as error:
        raise ReadingError(f"cannot read {path}: {error.strerror}; see the setting calendar_file") from error
    found = _read(text, Calendar, str(path or _CALENDAR))
    if not is_country(found.country):
        raise ReadingError(f'country: no public holidays are known for {found.country!r}; as in "CN", or ""')
    return found


def write_plan(plan: Plan) -> str:
    """A plan as TOML that read_plan reads back to the same plan."""
    return "\n".join(_lines(plan)) + "\n"


def templates() -> dict[str, str]:
    """The templates that come with the package: name and text."""
    folder = files(__package__).joinpath("templates")
    found = [each for each in folder.iterdir() if each.name.endswith(".toml")]
    return {
        each.name.removesuffix(".toml"): each.read_text("utf-8")
        for each in sorted(found, key=lambda f: f.name)
    }


def template_goal(text: str) -> str:
    """What a template is for, in a line: its goal."""
    return str(tomllib.loads(text).get("goal", ""))


def _read(text: str, kind: type[T], what: str) -> T:
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except tomllib.TOMLDecodeError as error:
        raise ReadingError(f"{what} is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ReadingError(_plainly(str(error))) from error


def _plainly(said: str) -> str:
    """From "Object missing required field `goal` - at `$.steps[0]`" to "steps[0]: missing required field `goal`: add it"."""
    text, _, place = said.partition(" - at `$")
    text = text.removeprefix("Object ").replace("contains unknown", "unknown")
    remedy = next((each for begin, each in _REMEDIES.items() if text.startswith(begin)), "")
    where = place.rstrip("`").lstrip(".")
    return f"{where + ': ' if where else ''}{text}{': ' + remedy if remedy else ''}"


def _with_zone(plan: Plan, zone: ZoneInfo) -> Plan:
    """Its times in UTC, so that one moment gives one digest."""
    if plan.window is None:
        return plan
    times = msgspec.structs.asdict(plan.window)
    moved = {name: _utc(value, zone) for name, value in times.items() if isinstance(value, datetime)}
    return msgspec.structs.replace(plan, window=Window(**(times | moved)))


def _utc(moment: datetime, zone: ZoneInfo) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _lines(plan: Plan) -> list[str]:
    """Plain values first, then tables: TOML gives a value to the table that stands above it."""
    given: dict[str, Any] = msgspec.to_builtins(plan, builtin_types=(datetime,))
    lines = [f"{key} = {_value(value)}" for key, value in given.items() if key in _PLAIN or value in ([], ())]
    for table in ("window", "notice"):
        if table in given:
            lines += [
                "",
                f"[{table}]",
                *(f"{key} = {_value(value)}" for key, value in given[table].items() if value is not None),
            ]
    for table in ("steps", "guardrails"):
        for each in given.get(table, ()):
            parameters = each.pop("parameters", None)
            lines += ["", f"[[{table}]]", *(f"{key} = {_value(value)}" for key, value in each.items())]
            if parameters:
                lines += [
                    "[steps.parameters]",
                    *(f"{_key(key)} = {_value(value)}" for key, value in parameters.items()),
                ]
    return lines


_PLAIN: Final = ("goal", "reason", "owner", "touches", "expected_seconds")


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    """A value as TOML. Its basic strings escape as JSON's do; a table stands on one line."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return (
            "{ "
            + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items() if each is not None)
            + " }"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
