"""What is watched, how it stands, and the alert that comes of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

import msgspec

Verdict = Literal["fine", "bad", "unknown"]
"""unknown: nothing was measured, or too little. It is never fine."""

Severity = Literal["page", "ticket", "info"]
"""page: somebody gets up for it; ticket: within the working day; info: to be known."""

Effect = Literal["degraded", "down"]
"""What an alert says of its component on the status page."""

State = Literal["firing", "acknowledged", "silenced", "resolved"]
Cause = Literal["bad", "unknown"]
EventKind = Literal[
    "fired", "fired_silenced", "refired", "reminded", "changed", "acknowledged", "silenced", "unsilenced", "resolved"
]  # fmt: skip
TOLD: Final[frozenset[EventKind]] = frozenset({"fired", "refired", "reminded", "resolved"})
"""Of these people are told."""

Component = Literal["payments", "wallets", "webhooks", "console", "database"]
ComponentState = Literal["works", "degraded", "down", "unknown"]
COMPONENTS: Final[tuple[Component, ...]] = ("payments", "wallets", "webhooks", "console", "database")

Labels = str
"""What tells the instances of a rule apart, as JSON with sorted keys: `{}`, `{"currency":"CNY"}`."""


def labels_of(**names: str) -> Labels:
    """Labels by name."""
    return msgspec.json.encode(names, order="sorted").decode()


NO_LABELS: Final = labels_of()


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in both languages."""

    en: str
    zh: str

    def of(self, language: str) -> str:
        """In one of them (`en`, `zh-CN`)."""
        return self.zh if language.startswith("zh") else self.en


class _Watched(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every rule and objective says of itself.

    `title`: for the team. `component`, `effect`, `public`: for the status page, and what customers read there.
    `runbook`: unset: the part of docs/operating/alerts.md with the rule's name.
    """

    name: str
    owner: str
    title: Words
    component: Component | None = None
    effect: Effect = "degraded"
    public: Words | None = None

    @property
    def runbook(self) -> str:
        """Where it stands what to do."""
        return f"docs/operating/alerts.md#{self.name}"


class _Rule(_Watched, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`for_seconds`: bad for so long before it fires; `clear_seconds`: fine for so long before it is resolved.

    `absent`: what it means that nothing is known for `absent_seconds`: an alarm, or, where that is natural (no
    payments at night), that it is shown as unknown and nothing more.
    """

    severity: Severity
    for_seconds: float = 0.0
    clear_seconds: float = 60.0
    absent: Literal["alarm", "show"] = "alarm"
    absent_seconds: float = 300.0


class Threshold(
    _Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="threshold"
):
    """Bad while a measure over the last `seconds` is above `over`, or below `under`."""

    measure: str
    seconds: float = 60.0
    over: float | None = None
    under: float | None = None
    samples: int = 1


class Absence(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="absence"):
    """Bad while a measure gives nothing at all over the last `seconds`."""

    measure: str
    seconds: float = 60.0


class Anomaly(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="anomaly"):
    """Bad while a measure is further from the median of the same hour of the week than `deviations` robust standard
    deviations, on the side that is worse. `floor`: a difference smaller than that is never strange.
    """

    measure: str
    worse: Literal["higher", "lower", "both"]
    seconds: float = 600.0
    deviations: float = 5.0
    floor: float = 0.0


class Running(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="running"):
    """Bad while no process of a kind serves."""

    process: str


class Money(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="money"):
    """Bad for each fault in the books, one instance for each code and currency."""


class Warned(_Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="warned"):
    """Bad while signals of early warning of these kinds last; one instance a kind, or a kind and a rule."""

    signals: tuple[str, ...]


class Undelivered(
    _Rule, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="undelivered"
):
    """Bad while a notice of an alert could not be delivered within the last day."""


Rule = Threshold | Absence | Anomaly | Running | Money | Warned | Undelivered


class Burn(msgspec.Struct, frozen=True):
    """A pair of windows: both must burn the budget `factor` times as fast as it lasts."""

    factor: float
    long_seconds: int
    short_seconds: int
    severity: Severity

    @property
    def labels(self) -> Labels:
        """The instance of the objective's alert."""
        return labels_of(burn=f"{self.factor:g}x")


BURNS: Final = (
    Burn(14.4, 3600, 5 * 60, "page"),  # 2 % of a month's budget in an hour
    Burn(6.0, 6 * 3600, 30 * 60, "page"),  # 5 % in six hours
    Burn(1.0, 3 * 24 * 3600, 6 * 3600, "ticket"),  # 10 % in three days
)


class Objective(_Watched, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What should be: `target` percent of answers are good; with `at_most` or `at_least`, of looks at a measure.

    Without either the measure is itself the percentage of good ones among its samples.
    """

    measure: str
    target: float
    at_most: float | None = None
    at_least: float | None = None
    days: int = 30

    for_seconds: ClassVar[float] = 0.0
    clear_seconds: ClassVar[float] = 60.0
    # What nobody uses has no answers to be good or bad; that nothing is measured at all is for an absence rule.
    absent: ClassVar[Literal["alarm", "show"]] = "show"
    absent_seconds: ClassVar[float] = 300.0


class RuleBook(msgspec.Struct, frozen=True):
    """All that is watched."""

    objectives: tuple[Objective, ...]
    rules: tuple[Rule, ...]

    def find(self, name: str) -> "Rule | Objective | None":
        """A rule or an objective by its name."""
        return next((each for each in (*self.objectives, *self.rules) if each.name == name), None)


class Count(msgspec.Struct, frozen=True):
    """What an objective counted over some time."""

    good: int
    total: int
    blind: int = 0


class Judged(msgspec.Struct, frozen=True):
    """A rule's instance as it was just seen. `bound`: what the value is compared with. `newest`: of several attacks that it
    stands for, when the last one was found.
    """

    rule: str
    labels: Labels
    severity: Severity
    verdict: Verdict
    value: float | None = None
    bound: float | None = None
    newest: datetime | None = None


class Standing(msgspec.Struct, frozen=True):
    """A rule's instance as it stands: its verdict, and since when."""

    rule: str
    labels: Labels
    verdict: Verdict
    since: datetime
    at: datetime
    value: float | None
    bound: float | None


class Alert(msgspec.Struct, frozen=True):
    """A trouble, from its first notice until it is over. `cause`: it is bad, or nothing is known."""

    id: UUID
    rule: str
    labels: Labels
    severity: Severity
    state: State
    cause: Cause
    value: float | None
    bound: float | None
    fired_at: datetime
    told_at: datetime | None = None
    acknowledged_by: str | None = None
    silenced_until: datetime | None = None
    resolved_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it still lasts."""
        return self.state != "resolved"

    @property
    def names(self) -> Mapping[str, Any]:
        """The labels by name."""
        found: dict[str, Any] = msgspec.json.decode(self.labels)
        return found


class AlertEvent(msgspec.Struct, frozen=True):
    """Something that became of an alert."""

    id: UUID
    alert: UUID
    at: datetime
    kind: EventKind
    person: str
    detail: str


class Silence(msgspec.Struct, frozen=True):
    """Nobody is told of a rule (`labels`: of one instance) until then."""

    id: UUID
    rule: str
    labels: Labels | None
    person: str
    reason: str
    begun_at: datetime
    until: datetime

    def covers(self, rule: str, labels: Labels, now: datetime) -> bool:
        """Whether it holds for an instance at a moment."""
        return self.rule == rule and self.labels in (None, labels) and self.begun_at <= now < self.until


class Span(msgspec.Struct, frozen=True):
    """How a component stood, and until when that was seen."""

    component: str
    state: ComponentState
    begun_at: datetime
    seen_at: datetime
    seen_by: Literal["agent", "status"] = "agent"
    cause: str = ""
