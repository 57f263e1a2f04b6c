"""Pages from templates: one environment per language, whose filters write money, times and ids as its people read them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import jinja2
from babel.numbers import format_compact_currency, format_decimal
from markupsafe import Markup

from tillkeeper.base.ids import to_typeid
from tillkeeper.base.money import format_money, to_major
from tillkeeper.faces.console import charts
from tillkeeper.faces.console.statics import Static
from tillkeeper.faces.console.texts import LANGUAGES, Texts

_QUARTERS: Final = 4
TONES: Final = {
    "succeeded": "good", "delivered": "good", "accepted": "good", "captured": "good", "ledger.verified": "good", "ledger.differs": "bad", "active": "good",
    "pending": "wait", "challenged": "wait", "in_review": "wait", "authorized": "wait", "open": "wait", "due": "wait",
    "sent": "wait", "challenge": "wait", "hold": "wait",
    "waiting": "wait", "given": "good", "used": "good", "stale": "bad", "refused": "bad",
    "declined": "bad", "failed": "bad", "deny": "bad", "rejected": "bad", "frozen": "bad", "closed": "bad", "suspended": "bad",
    "firing": "bad", "bad": "bad", "page": "bad", "acknowledged": "wait", "ticket": "wait", "unknown": "wait", "fine": "good",
    "undone": "wait", "aborted": "wait", "approved": "good", "rehearsed": "wait", "submitted": "wait", "passed": "good",
    "medium": "wait", "high": "bad", "critical": "bad", "fraud": "bad", "genuine": "good", "opened": "wait", "raised": "bad",
    "overdue": "bad", "decided": "good", "reopened": "wait", "listed": "wait",
    "champion": "good", "challenger": "wait", "ask_again": "wait", "block": "bad", "running": "wait", "paused": "wait", "undoing": "bad", "done": "good", "kept": "wait",
}  # fmt: skip
"""How a state looks; what is not named here is over and quiet."""


class Renderer:
    """Renders templates in one language, times in one zone."""

    def __init__(self, texts: Texts, zone: ZoneInfo, statics: Mapping[str, Static]) -> None:
        self.texts = texts
        self._zone = zone
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("tillkeeper.faces.console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals |= {
            "t": texts,
            "named": texts.named,
            "lang": texts.language,
            "languages": LANGUAGES,
            "static": {name: static.url for name, static in statics.items()},
            "shares": charts.shares,
        }
        environment.filters |= {
            "money": self.money,
            "compact": self.compact,
            "number": self.number,
            "time": self.time,
            "ago": self.ago,
            "after": self.after,
            "percent": self.percent,
            "typeid": lambda value, prefix: to_typeid(prefix, value),
            "bps": self.basis_points,
            "tone": lambda state: TONES.get(state, "quiet"),
            "ms": self.milliseconds,
            "lasting": self.lasting,
            "bytes": self.size,
            "plain": lambda value: f"{value:g}",
        }
        self._environment = environment

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """A template's text."""
        return self._environment.get_template(template).render(context)

    def money(self, amount: int, currency: str) -> str:
        """Minor units as people read them."""
        return _money(amount, currency, self.texts.locale)

    def compact(self, amount: int, currency: str) -> str:
        """Money in few characters, for a headline: 1.52M, 151.58万."""
        return _compact(amount, currency, self.texts.locale)

    def number(self, value: int) -> str:
        """A whole number with its groups."""
        return _number(value, self.texts.locale)

    def percent(self, part: int, whole: int) -> str:
        """A share with one decimal, rounded down (99.99 % is never shown as 100 %), and never 0.0 for something."""
        tenths = part * 1000 // whole
        sign = "<" if part and not tenths else ""
        tenths = max(tenths, 1) if part else 0
        return f"{sign}{tenths // 10}.{tenths % 10}{self.texts('unit.percent')}"

    def basis_points(self, points: int) -> str:
        """Hundredths of a percent as a percentage."""
        return f"{points // 100}.{points % 100:02d}{self.texts('unit.percent')}"

    def milliseconds(self, microseconds: int) -> str:
        """A duration, two digits or more."""
        if microseconds >= 10_000:
            return self.texts("unit.ms", value=self.number(microseconds // 1000))
        return self.texts("unit.ms", value=f"{microseconds // 1000}.{microseconds % 1000 // 100}")

    def lasting(self, seconds: float) -> str:
        """A duration in the largest unit that fits, two digits or more."""
        for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
            if seconds >= 2 * size:
                return self.texts(f"unit.{unit}", value=f"{seconds / size:.3g}")
        if seconds < 1:
            return self.texts("unit.ms", value=f"{seconds * 1000:.0f}")
        return self.texts("unit.s", value=f"{seconds:.3g}")

    def size(self, count: int) -> str:
        """Bytes in the largest unit that fits."""
        for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
            if abs(count) >= size:
                return f"{count / size:.3g} {unit}"
        return f"{count} B"

    def time(self, moment: datetime, parts: str = "full") -> Markup:
        """A moment in the business time zone, with UTC for the pointer. `parts`: full, minute, day, or clock."""
        form = {
            "full": "%Y-%m-%d %H:%M:%S",
            "minute": "%Y-%m-%d %H:%M",
            "day": "%Y-%m-%d",
            "clock": "%H:%M:%S",
        }[parts]
        utc = moment.astimezone(UTC)
        return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
            utc.isoformat(timespec="milliseconds"),
            utc.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            moment.astimezone(self._zone).strftime(form),
        )

    def ticks(self, since: datetime, until: datetime) -> list[str]:
        """The foot of a curve over time at its quarters: clocks within two days, days beyond; the last is now."""
        form = "%H:%M" if until - since <= timedelta(days=2) else "%m-%d"
        quarters = (since + (until - since) * n / _QUARTERS for n in range(_QUARTERS))
        return [*(each.astimezone(self._zone).strftime(form) for each in quarters), self.texts("chart.now")]

    def zone(self, now: datetime) -> str:
        """The zone that every time on a page is written in, with its distance from UTC now."""
        hours = f"{now.astimezone(self._zone):%z}"
        return f"{self._zone.key} · UTC{hours[0]}{hours[1:3].lstrip('0') or '0'}" + (
            f":{hours[3:]}" if hours[3:] != "00" else ""
        )

    def after(self, moment: datetime, first: datetime) -> Markup:
        """A moment in a story that began with `first`: the clock will do on the same business day."""
        same = moment.astimezone(self._zone).date() == first.astimezone(self._zone).date()
        return self.time(moment, "clock" if same else "full")

    def ago(self, moment: datetime, now: datetime) -> str:
        """How long since, in the largest unit that fits."""
        seconds = max(0, (now - moment) // timedelta(seconds=1))
        for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
            if seconds >= size:
                return self.texts(f"unit.{unit}", value=seconds // size)
        return self.texts("unit.s", value=seconds)


@lru_cache(maxsize=4096)
def _money(amount: int, currency: str, locale: str) -> str:
    return format_money(amount, currency, locale)


@lru_cache(maxsize=64)
def _compact(amount: int, currency: str, locale: str) -> str:
    major = Decimal(to_major(amount, currency))
    return str(format_compact_currency(major, currency, locale=locale, fraction_digits=2))


@lru_cache(maxsize=1024)
def _number(value: int, locale: str) -> str:
    return str(format_decimal(value, locale=locale))


def payment_id(payment: UUID) -> str:
    """A payment's public id."""
    return to_typeid("pay", payment)
