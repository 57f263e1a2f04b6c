"""The status page's words, times and pictures, in one language and one time zone."""

import hashlib
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import jinja2
from markupsafe import Markup, escape

from tillkeeper.base import limits
from tillkeeper.faces.status.view import Part, View
from tillkeeper.maintenance.notices import Notice, Words
from tillkeeper.monitoring.alerting import Day

LANGUAGES: Final = {"en": "English", "zh-CN": "中文"}
_TYPES: Final = {"status.css": "text/css", "mark.svg": "image/svg+xml"}
# What the page offers; any other of the world's is taken from the address too.
_ZONES: Final = (
    "Asia/Shanghai", "Asia/Hong_Kong", "Asia/Singapore", "Asia/Tokyo", "Asia/Kolkata", "Asia/Dubai", "Europe/London",
    "Europe/Berlin", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "Australia/Sydney", "UTC",
)  # fmt: skip
_DAY: Final = 86400


class Static:
    """A file that never changes under its address."""

    def __init__(self, name: str) -> None:
        self.content = files(__package__).joinpath("static", name).read_bytes()
        self.media_type = _TYPES[name]
        self.url = f"/static/{hashlib.sha256(self.content).hexdigest()[:16]}/{name}"


@cache
def statics() -> Mapping[str, Static]:
    """The page's files."""
    return {name: Static(name) for name in _TYPES}


@cache
def texts(language: str) -> Mapping[str, str]:
    """The words of a language, by key."""
    text = files(__package__).joinpath("texts", f"{language}.toml").read_text("utf-8")
    return dict(_flat(tomllib.loads(text)))


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    return [
        pair
        for key, value in table.items()
        for pair in (_flat(value, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)])
    ]


def language_of(wanted: str | None, accepted: str) -> str:
    """The language for a visitor: what the address says, else what the browser accepts, in its order."""
    if wanted in LANGUAGES:
        return wanted
    for each in accepted.split(","):
        primary = each.split(";")[0].strip().lower().partition("-")[0]
        if primary in ("en", "zh"):
            return "zh-CN" if primary == "zh" else "en"
    return "en"


def zone_of(wanted: str | None, usual: str) -> str:
    """The time zone for a visitor: what the address says if it is one, else the business's."""
    return wanted if wanted in available_timezones() else usual


class Scribe:
    """Writes the page in one language and one time zone."""

    def __init__(self, language: str, zone: str, usual: str) -> None:
        self._language = language
        self._texts = texts(language)
        self._zone_name = zone
        self._zone = ZoneInfo(zone)
        self._usual = usual

    def page(self, view: View) -> str:
        """The whole page."""
        context = {
            "view": view,
            "t": self.say,
            "time": self.time,
            "lasting": self.lasting,
            "said": self.said,
            "bars": self.bars,
            "words": self.words,
            "lang": self._language,
            "languages": LANGUAGES,
            "zone": self._zone_name,
            "zoned": self._zone_name != self._usual,
            "zones": list(dict.fromkeys((self._usual, self._zone_name, *_ZONES))),
            "days": limits.STATUS_DAYS,
            "style": statics()["status.css"].url,
            "mark": statics()["mark.svg"].url,
        }
        return _template().render(context)

    def say(self, key: str, **values: object) -> Markup:
        """The text of a key, its {places} filled."""
        return Markup(escape(self._texts[key])).format(**values)  # noqa: S704 - our own words, escaped

    def words(self, notice: Notice) -> Words:
        """A notice in this language, or in the one it has."""
        return notice.words.get(self._language) or next(iter(notice.words.values()), Words("", ""))

    def time(self, moment: datetime) -> Markup:
        """A moment in the time zone, which is named, with UTC for the pointer."""
        here = moment.astimezone(self._zone)
        return Markup('<time datetime="{}" title="{} UTC">{} {}</time>').format(
            moment.astimezone(UTC).isoformat(timespec="seconds"),
            moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            here.strftime("%Y-%m-%d %H:%M"),
            _offset(here),
        )

    def lasting(self, seconds: float) -> Markup:
        """A duration."""
        if seconds < 60:
            return self.say("second", n=round(seconds))
        minutes = round(seconds / 60)
        if minutes < 60:
            return self.say("minute", n=minutes)
        if minutes >= 48 * 60:
            return self.say("day", n=minutes // (24 * 60))
        return self.say("hour", h=minutes // 60, m=minutes % 60)

    def said(self, part: Part) -> Markup:
        """A component's 90 days in a few words."""
        if part.seen_seconds < 60:
            return self.say("unseen")
        found = [self.say("works_share", share=_percent(1 - part.down_seconds / part.seen_seconds))]
        if part.down_seconds:
            found.append(self.say("down_for", time=self.lasting(part.down_seconds)))
        if part.degraded_seconds:
            found.append(self.say("degraded_for", time=self.lasting(part.degraded_seconds)))
        if part.seen_seconds < 0.99 * len(part.days) * _DAY:
            found.append(self.say("watched", time=self.lasting(part.seen_seconds)))
        return Markup(" · ").join(found)

    def bars(self, part: Part) -> Markup:
        """A bar for each day: as bad as its worst, which is told to the pointer."""
        shapes = Markup("").join(self._bar(place, day) for place, day in enumerate(part.days))
        name = self.say("part." + part.name)
        label = self.say("bars", part=name, days=len(part.days), said=self.said(part))
        return Markup(
            '<svg class="bars" role="img" aria-label="{}" viewBox="0 0 {} 10" preserveAspectRatio="none">{}</svg>'
        ).format(label, len(part.days), shapes)

    def _bar(self, place: int, day: Day) -> Markup:
        kind = "d" if day.down else "l" if day.degraded else "w" if day.works else ""
        if kind in ("", "w"):
            return Markup('<rect x="{}" class="{}"/>').format(place, kind)
        told = [
            self.say(key, time=self.lasting(seconds))
            for key, seconds in (("down_for", day.down), ("degraded_for", day.degraded))
            if seconds
        ]
        title = Markup("{}: {}").format(day.day.isoformat(), Markup(" · ").join(told))
        return Markup('<rect x="{}" class="{}"><title>{}</title></rect>').format(place, kind, title)


def _offset(moment: datetime) -> str:
    """A zone as people name it: UTC+8."""
    minutes = round((moment.utcoffset() or moment - moment).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return "UTC" + (
        f"{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "") if minutes else ""
    )


def _percent(share: float) -> str:
    """Rounded down: 99.99 % is never shown as 100 %."""
    hundredths = int(share * 10_000)
    if hundredths == 10_000:
        return "100 %"
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tillkeeper.faces.status"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("status.html")
