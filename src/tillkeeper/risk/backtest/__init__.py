"""Backtest: the evaluator that decides live, over history, with no label before its time."""

from tillkeeper.risk.backtest.trial import Range, Trial
from tillkeeper.risk.backtest.types import (
    REMARKS,
    Asked,
    Change,
    Day,
    Level,
    Outcome,
    Part,
    Ranking,
    Report,
    RuleLine,
    Side,
    Workload,
)

__all__ = [
    "REMARKS",
    "Asked",
    "Change",
    "Day",
    "Level",
    "Outcome",
    "Part",
    "Range",
    "Ranking",
    "Report",
    "RuleLine",
    "Side",
    "Trial",
    "Workload",
]
