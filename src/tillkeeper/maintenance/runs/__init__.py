"""Runs: a plan carried out step by step, with a journal that survives everything; guardrails; rehearsal."""

from tillkeeper.maintenance.runs.journal import lines, list_runs, open_run
from tillkeeper.maintenance.runs.people import command
from tillkeeper.maintenance.runs.types import (
    ENDS,
    Event,
    EventKind,
    Light,
    Now,
    Run,
    RunState,
    RunView,
    StepState,
    StepView,
    Verdict,
    Wish,
)
from tillkeeper.maintenance.runs.views import view

__all__ = [
    "ENDS",
    "Event",
    "EventKind",
    "Light",
    "Now",
    "Run",
    "RunState",
    "RunView",
    "StepState",
    "StepView",
    "Verdict",
    "Wish",
    "command",
    "lines",
    "list_runs",
    "open_run",
    "view",
]
