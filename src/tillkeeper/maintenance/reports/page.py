"""A report as a page of its own: one file, nothing loaded from anywhere, fit for print."""

import json
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

import jinja2
from babel.numbers import format_decimal
from markupsafe import Markup

from tillkeeper.base.money import format_money
from tillkeeper.maintenance.reports.pictures import axis, picture
from tillkeeper.maintenance.reports.types import Deviation, Document, Slot

LANGUAGES: Final = ("en", "zh-CN")
_NARROW: Final = "%H:%M:%S"


def draw(document: Document, language: str, key: str) -> str:
    """The page in a language. `key`: the id of the key that signs it; "": nobody does, and the page claims nothing."""
    words = Words(language, document.timezone)
    return _template().render(
        d=document,
        w=words,
        key=key,
        style=Markup(style()),  # noqa: S704 - our own file
        summary=summary(document, words),
        pictures=_pictures(document, words),
        lang=language,
    )


@cache
def style() -> str:
    """The page's style sheet; the console allows exactly this one."""
    return files(__package__).joinpath("templates/report.css").read_text("utf-8")


def summary(document: Document, words: "Words") -> list[Markup]:
    """A report in four sentences: steps, payments, interruption, money."""
    effect, money = document.effect, document.money
    done = sum(step.state in {"done", "kept"} for step in document.steps)
    took = (document.ended_at - (document.begun_at or document.asked_at)).total_seconds()
    calls = effect.during.answered + effect.during.failed
    known = effect.during.per_second is not None
    down = effect.downtime_seconds
    return [
        words("summary.steps", done=done, all=len(document.steps), took=words.lasted(took)),
        words("summary.payments", calls=words.number(calls), failed=words.number(effect.failed_because))
        if known
        else words("summary.payments_unknown"),
        words("summary.down_unknown")
        if down is None
        else words("summary.down", seconds=words.lasted(down))
        if down
        else words("summary.down_none"),
        words("summary.money", transfers=words.number(money.transfers))
        if money.balanced
        else words("summary.money_differs", count=money.difference_count),
    ]


class Words:
    """Texts, numbers and times of one language."""

    def __init__(self, language: str, timezone: str) -> None:
        self._texts = _texts()[language]
        self._locale = language.replace("-", "_")
        self._zone = ZoneInfo(timezone)
        self.zone = timezone

    def __call__(self, key: str, /, **values: object) -> Markup:
        """A text by its key, whose values are escaped; a code that has no words is shown as it is."""
        found = self._texts.get(key)
        if found is None:
            return Markup("{}").format(key.partition(".")[2] or key)
        return Markup(found).format(**values)  # noqa: S704 - our own text

    def number(self, value: float) -> str:
        return str(format_decimal(value, locale=self._locale))

    def money(self, amount: int, currency: str) -> str:
        return format_money(amount, currency, self._locale)

    def time(self, moment: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> Markup:
        """A moment in the business time zone."""
        if moment is None:
            return Markup("–")
        return Markup('<time datetime="{}">{}</time>').format(
            moment.astimezone(UTC).isoformat(timespec="milliseconds"),
            moment.astimezone(self._zone).strftime(form),
        )

    def clock(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).strftime(_NARROW)

    def lasted(self, seconds: float | None) -> str:
        """A duration in its largest two units."""
        if seconds is None:
            return "–"
        if seconds < 60:
            return self("unit.s", value=self.number(round(seconds, 1)))
        minutes, rest = divmod(round(seconds), 60)
        if minutes < 60:
            return self("unit.min", minutes=minutes, seconds=rest)
        return self("unit.h", hours=minutes // 60, minutes=minutes % 60)

    def ms(self, value: float | None) -> str:
        if value is None:
            return "–"
        return self("unit.ms", value=self.number(round(value, 1 if value < 100 else None)))

    def value(self, value: float | None) -> str:
        """A measured value; a dash for what is not known."""
        return "–" if value is None else self.number(round(value, 3))

    def deviation(self, found: Deviation) -> str:
        """A deviation as a sentence."""
        shown = self.lasted if found.unit == "s" else self.value
        return self(
            f"deviation.{found.code}",
            step=(found.step or 0) + 1,
            expected=shown(found.expected),
            found=shown(found.found),
        )

    def evidence(self, found: Mapping[str, Any]) -> str:
        """Evidence as it was kept, line by line."""
        return json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True, default=str)


def _pictures(document: Document, words: Words) -> list[tuple[Markup, Markup, Markup, str]]:
    """Label, picture, axis and the value at the top edge, of each key measure."""
    slots = document.slots
    if len(slots) < 2:
        return []
    begun = document.begun_at or document.asked_at
    run, marks = (begun, document.ended_at), [end for step in document.steps for end in _ends(step)]
    named = [
        (slots[0].at, words.clock(slots[0].at)),
        (begun, words.clock(begun)),
        (document.ended_at, words.clock(document.ended_at)),
    ]
    drawn = []
    for name, value in (("rate", _rate), ("p99", _p99), ("failed", _failed)):
        label = words(f"picture.{name}")
        shape, top = picture(slots, value, run, marks, label)
        drawn.append((label, shape, axis(slots, _apart(slots, named)), words.number(top)))
    return drawn


def _ends(step: Any) -> list[datetime]:
    return [each.ended_at for each in step.attempts if each.ended_at is not None]


def _apart(slots: tuple[Slot, ...], named: list[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    """The moments whose words do not run into each other: of two that are near the later stays."""
    whole = (slots[-1].at - slots[0].at).total_seconds() or 1.0
    kept: list[tuple[datetime, str]] = []
    for moment, text in named:
        if kept and (moment - kept[-1][0]).total_seconds() / whole < 0.2:
            kept.pop()
        kept.append((moment, text))
    return kept


def _rate(slot: Slot) -> float | None:
    return (slot.answered + slot.failed) / slot.seconds if slot.measured else None


def _p99(slot: Slot) -> float | None:
    return slot.p99_ms


def _failed(slot: Slot) -> float | None:
    return slot.failed / slot.seconds if slot.measured else None


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    read = tomllib.loads(files(__package__).joinpath("words.toml").read_text("utf-8"))
    return {language: dict(_flat(read[language])) for language in LANGUAGES}


def _flat(table: Mapping[str, Any], before: str = "") -> Any:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tillkeeper.maintenance.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
