"""A backtest as people compare it: two sides figure by figure, days and scores as pictures."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from tillkeeper.faces.console import charts
from tillkeeper.faces.console.render import Renderer
from tillkeeper.risk import RuleSet
from tillkeeper.risk.backtest import Level, LoginOutcome, LoginRule, LoginSide, Report, RuleLine, Side

Kind = str
"""How a figure is written: money, count, share, mean."""


class Figure(msgspec.Struct, frozen=True):
    """One figure of both sides. `better`: 1 more is better, -1 less is better, 0 neither; None where it is not known.
    `whole`: what a count is a part of.
    """

    name: str
    kind: Kind
    before: float | None
    after: float | None
    better: int
    whole: int | None = None

    @property
    def tone(self) -> str:
        """How the change looks: good, bad, or nothing."""
        if self.before is None or self.after is None or self.before == self.after or not self.better:
            return ""
        return "good" if (self.after > self.before) == (self.better > 0) else "bad"


class Line(NamedTuple):
    """A figure as a page shows it. `tone`: the class of a change that is good or bad."""

    label: str
    before: str
    after: str
    tone: str


_READS: Final[tuple[tuple[str, Kind, int, Callable[[Side], float | None]], ...]] = (
    ("saved", "money", 1, lambda side: side.saved),
    ("lost", "money", -1, lambda side: side.lost),
    ("disturbed", "money", -1, lambda side: side.disturbed),
    ("customers", "count", -1, lambda side: _stopped(side).customers if side.levels else None),
    ("stopped", "count", 0, lambda side: _stopped(side).stopped if side.levels else None),
    ("precision", "share", 1, lambda side: _stopped(side).precision if side.levels else None),
    ("recall", "share", 1, lambda side: _stopped(side).recall if side.levels else None),
    ("alerts", "mean", -1, lambda side: side.workload.mean),
    ("over", "count", -1, lambda side: side.workload.over),
    ("ap", "figure", 1, lambda side: side.rank.ap),
    ("auc", "figure", 1, lambda side: side.rank.auc),
    ("card_precision", "figure", 1, lambda side: side.rank.card_precision),
)

_OF_LOGINS: Final[
    tuple[tuple[str, int, Callable[[LoginSide], int] | None, Callable[[LoginSide], int]], ...]
] = (
    ("attackers", 1, lambda side: side.attackers, lambda side: _sum(side, lambda each: each.attackers)),
    ("attackers_blocked", 1, lambda side: side.attackers, lambda side: side.outcomes[-1].attackers),
    ("honest", -1, lambda side: side.honest, lambda side: _sum(side, lambda each: each.honest)),
    ("honest_blocked", -1, lambda side: side.honest, lambda side: side.outcomes[-1].honest),
    ("customers_asked", 0, None, lambda side: side.outcomes[1].customers),
    ("customers_blocked", -1, None, lambda side: side.outcomes[-1].customers),
    ("wrong", 0, lambda side: side.wrong, lambda side: _sum(side, lambda each: each.wrong)),
    ("wrong_blocked", 0, lambda side: side.wrong, lambda side: side.outcomes[-1].wrong),
    ("open", 0, lambda side: side.open, lambda side: _sum(side, lambda each: each.open)),
)
"""Name, which way is better, what it is a part of, and how it is read. Fewer customers asked may be more of them blocked."""


def figures(report: Report) -> list[Figure]:
    """What both sides did; without a base only the candidate's side is filled."""
    return [
        Figure(name, kind, read(report.base) if report.base else None, read(report.candidate), better)
        for name, kind, better, read in _READS
    ]


def login_figures(report: Report) -> list[Figure]:
    """What both sides did to logins; nothing where no login was seen."""
    after = report.candidate.logins
    if after is None or not after.logins:
        return []
    before = report.base.logins if report.base else None
    return [
        Figure(
            name,
            "count",
            read(before) if before else None,
            read(after),
            better,
            whole(after) if whole else None,
        )
        for name, better, whole, read in _OF_LOGINS
    ]


def verdict(report: Report) -> str:
    """In a word: better, worse, mixed; same, or moved where only what nobody can judge is decided differently; or alone
    where nothing is compared.
    """
    base, candidate = report.base, report.candidate
    if base is None:
        return "alone"
    gains = [
        candidate.saved - base.saved,
        base.disturbed - candidate.disturbed,
        *(
            (each.after - each.before) * each.better
            for each in login_figures(report)
            if each.before is not None and each.after is not None
        ),
    ]
    if any(gain > 0 for gain in gains):
        return "mixed" if any(gain < 0 for gain in gains) else "better"
    if any(gain < 0 for gain in gains):
        return "worse"
    return "moved" if report.changes or _logins_moved(report) else "same"


def brief(report: Report, rules: RuleSet, renderer: Renderer) -> dict[str, Any]:
    """What the verdict, the figures and the tables of rules are made of. `rules`: those that were tried."""
    t, reference = renderer.texts, report.reference
    return {
        "r": report,
        "verdict": verdict(report),
        "figures": [
            _line(t(f"backtest_figure.{each.name}"), each, reference, renderer) for each in figures(report)
        ],
        "rule_lines": rule_lines(report),
        "gone": gone(report),
        "no_logins": without_logins(report, rules),
        "login_figures": [
            _line(t(f"login_figure.{each.name}"), each, reference, renderer) for each in login_figures(report)
        ],
        "login_lines": login_lines(report),
        "logins_gone": logins_gone(report),
    }


def rule_lines(report: Report) -> list[tuple[RuleLine, RuleLine | None]]:
    """Each rule of the candidate with what it did in the base; what caught most money alone first."""
    before = {each.rule: each for each in report.base.each_rule} if report.base else {}
    lines = sorted(
        report.candidate.each_rule,
        key=lambda each: (-each.alone_amount, -each.fraud_amount, -each.hits, each.rule),
    )
    return [(each, before.get(each.rule)) for each in lines]


def login_lines(report: Report) -> list[tuple[LoginRule, LoginRule | None]]:
    """Each rule about logins of the candidate with what it did in the base; what stopped most attackers alone first."""
    before = {each.rule: each for each in _login_rules(report.base)}
    lines = sorted(
        _login_rules(report.candidate), key=lambda each: (-each.alone, -each.attackers, -each.hits, each.rule)
    )
    return [(each, before.get(each.rule)) for each in lines]


def logins_gone(report: Report) -> list[LoginRule]:
    """Rules about logins of the base that the candidate no longer has."""
    kept = {each.rule for each in _login_rules(report.candidate)}
    return [each for each in _login_rules(report.base) if each.rule not in kept]


def without_logins(report: Report, rules: RuleSet) -> str:
    """Why there is nothing to say of logins: `none` of the rules is about them, they are `untried` (an old report), or there
    was no login (`empty`); "" where there is something.
    """
    if report.candidate.logins is not None:
        return "" if report.candidate.logins.logins else "empty"
    return "untried" if any("login" in rule.on for rule in rules.rules) else "none"


def gone(report: Report) -> list[RuleLine]:
    """Rules of the base that the candidate no longer has."""
    kept = {each.rule for each in report.candidate.each_rule}
    return [each for each in report.base.each_rule if each.rule not in kept] if report.base else []


def pictures(report: Report, renderer: Renderer) -> dict[str, Any]:
    """Fraud a day, stopped and let through; alerts a day; scores."""
    days = report.candidate.days
    money, money_top = (
        charts.columns(
            [("main", [each.saved for each in days]), ("deny", [each.lost for each in days])],
            renderer.texts("backtest.money_a_day"),
        )
        if days
        else ("", 0)
    )
    alerts, alerts_top = charts.columns(
        [("main", [each.customers for each in days])],
        renderer.texts("backtest.alerts_a_day"),
        report.candidate.workload.capacity,
    )
    scores = report.candidate.scores
    bars, bars_top = (
        charts.bars(
            [
                ("quiet", [each.frauds + each.honest + each.open for each in scores]),
                ("deny", [each.frauds for each in scores]),
            ],
            renderer.texts("risk_page.scores"),
        )
        if scores
        else ("", 0)
    )
    return {
        "money": money, "money_top": money_top, "alerts": alerts, "alerts_top": alerts_top,
        "bars": bars, "bars_top": bars_top,
    }  # fmt: skip


def _stopped(side: Side) -> Level:
    """All that was not simply allowed: the mildest level."""
    return max(side.levels, key=lambda each: each.stopped)


def _sum(side: LoginSide, read: Callable[[LoginOutcome], int]) -> int:
    """All logins that were asked again or blocked."""
    return sum(read(each) for each in side.outcomes[1:])


def _login_rules(side: Side | None) -> tuple[LoginRule, ...]:
    return side.logins.each_rule if side is not None and side.logins is not None else ()


def _logins_moved(report: Report) -> bool:
    before, after = report.base and report.base.logins, report.candidate.logins
    return before is not None and after is not None and before.outcomes != after.outcomes


def _line(label: str, figure: Figure, reference: str, renderer: Renderer) -> Line:
    before, after = (
        written(value, figure.kind, reference, renderer, figure.whole)
        for value in (figure.before, figure.after)
    )
    tone = {"good": "gain", "bad": "loss"}.get(figure.tone, "")
    return Line(label, before, after, tone if before != after else "")


def written(
    value: float | None, kind: Kind, reference: str, renderer: Renderer, whole: int | None = None
) -> str:
    """A figure as people read it; – for what is not known. `whole`: what a count is a part of."""
    if value is None:
        return "–"
    if kind == "money":
        return renderer.money(int(value), reference)
    if kind == "share":
        return renderer.percent(round(value * 10_000), 10_000)
    if kind == "mean":
        return f"{value:,.1f}"
    if kind == "figure":
        return f"{value:.3f}"
    share = f" ({renderer.percent(int(value), whole)})" if whole else ""
    return renderer.number(int(value)) + share
