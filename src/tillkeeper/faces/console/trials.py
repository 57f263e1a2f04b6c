"""A backtest as people compare it: two sides figure by figure, days and scores as pictures."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tillkeeper.faces.console import charts
from tillkeeper.faces.console.render import Renderer
from tillkeeper.risk.backtest import Level, Report, RuleLine, Side

Kind = str
"""How a figure is written: money, count, share, mean."""


class Figure(msgspec.Struct, frozen=True):
    """One figure of both sides. `better`: 1 more is better, -1 less is better, 0 neither; None where it is not known."""

    name: str
    kind: Kind
    before: float | None
    after: float | None
    better: int

    @property
    def tone(self) -> str:
        """How the change looks: good, bad, or nothing."""
        if self.before is None or self.after is None or self.before == self.after or not self.better:
            return ""
        return "good" if (self.after > self.before) == (self.better > 0) else "bad"


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


def figures(report: Report) -> list[Figure]:
    """What both sides did; without a base only the candidate's side is filled."""
    return [
        Figure(name, kind, read(report.base) if report.base else None, read(report.candidate), better)
        for name, kind, better, read in _READS
    ]


def verdict(report: Report) -> str:
    """In a word: better, worse, mixed, same; or alone where nothing is compared."""
    base, candidate = report.base, report.candidate
    if base is None:
        return "alone"
    more, quieter = candidate.saved - base.saved, base.disturbed - candidate.disturbed
    if more == 0 and quieter == 0:
        return "same"
    if more >= 0 and quieter >= 0:
        return "better"
    return "worse" if more <= 0 and quieter <= 0 else "mixed"


def rule_lines(report: Report) -> list[tuple[RuleLine, RuleLine | None]]:
    """Each rule of the candidate with what it did in the base; what caught most money alone first."""
    before = {each.rule: each for each in report.base.each_rule} if report.base else {}
    lines = sorted(
        report.candidate.each_rule,
        key=lambda each: (-each.alone_amount, -each.fraud_amount, -each.hits, each.rule),
    )
    return [(each, before.get(each.rule)) for each in lines]


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


def written(value: float | None, kind: Kind, reference: str, renderer: Renderer) -> str:
    """A figure as people read it; – for what is not known."""
    if value is None:
        return "–"
    if kind == "money":
        return renderer.money(int(value), reference)
    if kind == "share":
        return renderer.percent(round(value * 10_000), 10_000)
    if kind == "mean":
        return f"{value:,.1f}"
    return f"{value:.3f}" if kind == "figure" else renderer.number(int(value))
