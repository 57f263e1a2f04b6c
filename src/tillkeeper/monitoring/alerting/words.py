"""Alerts in words: a line of a notice, and the news that webhooks carry."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.base.ids import to_typeid
from tillkeeper.monitoring.alerting.rows import Line
from tillkeeper.monitoring.alerting.types import Alert, EventKind, RuleBook
from tillkeeper.risk import warning
from tillkeeper.store import News

PREFIX: Final = "alt"
_SAID: Final[dict[EventKind, tuple[str, str]]] = {
    "fired": ("fires", "触发"),
    "refired": ("fires again: there is more of it, or a silence ended", "再次触发：出现新情况，或静默已结束"),
    "reminded": ("still fires, nobody has acknowledged it", "仍在触发，尚无人确认"),
    "resolved": ("is over", "已恢复"),
}


class Payload(msgspec.Struct, frozen=True):
    """What webhooks carry of an alert."""

    id: str
    rule: str
    title: dict[str, str]
    severity: str
    cause: str
    labels: dict[str, str]
    value: float | None
    bound: float | None
    owner: str
    component: str | None
    runbook: str
    fired_at: datetime
    resolved_at: datetime | None


def public_id(alert: Alert) -> str:
    """An alert's public id."""
    return to_typeid(PREFIX, alert.id)


def news_of(book: RuleBook, line: Line, now: datetime) -> News | None:
    """The news of a line; None of a reminder, which is none."""
    if line.kind == "reminded":
        return None
    alert, rule = line.alert, book.find(line.alert.rule)
    payload = Payload(
        public_id(alert),
        alert.rule,
        {"en": rule.title.en, "zh-CN": rule.title.zh} if rule else {},
        alert.severity,
        alert.cause,
        dict(alert.names),
        alert.value,
        alert.bound,
        rule.owner if rule else "",
        rule.component if rule else None,
        rule.runbook if rule else "",
        alert.fired_at,
        alert.resolved_at,
    )
    topic = "alert.resolved" if line.kind == "resolved" else "alert.firing"
    return News(now, topic, alert.id, msgspec.json.encode(payload).decode())


def figure(value: float | None) -> str:
    """A value as people read it: whole numbers whole, others with three digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"


def title_of(lines: Sequence[Line]) -> str:
    """The head of a notice."""
    over = sum(line.kind == "resolved" for line in lines)
    parts = [f"{len(lines) - over} firing"] * (len(lines) > over) + [f"{over} over"] * bool(over)
    return f"Tillkeeper 掌柜: {', '.join(parts)}"


def body_of(book: RuleBook, lines: Sequence[Line], place: str) -> str:
    """A notice. `place`: the address of the console's page of alerts."""
    return "\n".join([*(_line(book, line) for line in lines), "", place])


def _line(book: RuleBook, line: Line) -> str:
    alert, rule = line.alert, book.find(line.alert.rule)
    english, chinese = _SAID[line.kind]
    title = f"{rule.title.en} · {rule.title.zh}" if rule else alert.rule
    names = "".join(f" {name}={value}" for name, value in alert.names.items())
    if alert.cause == "unknown" and line.kind != "resolved":
        found = "nothing is known · 无数据"
    elif alert.names.get("kind") in warning.ATTACKS:
        left = "0" if line.kind == "resolved" else figure(alert.value)
        found = f"{left} last · {left} 起未结束"
    else:
        found = figure(alert.value) + (f" (bound {figure(alert.bound)})" if alert.bound is not None else "")
    owner = f" [{rule.owner}] {rule.runbook}" if rule and line.kind != "resolved" else ""
    return f"{alert.severity.upper()} {alert.rule}{names} {english} · {chinese}: {title}: {found}{owner}"
