"""Runs: a plan carried out step by step, with a journal that survives everything; guardrails; rehearsal.

run = await start(tx, plan_id, person, clock)            # of an approved plan; the agent carries it out
await command(tx, run.id, "pause", person, clock)        # or resume, abort, undo
shown = await view(tx, run.id)                           # everything about it
await Worker(site, KINDS, gate, books).run()             # in the agent
found = await rehearse(settings, filed, KINDS, clock)    # on a restored copy; attached to the plan
"""

from tillkeeper.maintenance.runs.executor import Gate
from tillkeeper.maintenance.runs.gate import CalendarGate
from tillkeeper.maintenance.runs.guard import Books
from tillkeeper.maintenance.runs.journal import goals, lines, list_runs, open_run
from tillkeeper.maintenance.runs.people import command
from tillkeeper.maintenance.runs.rehearsal import rehearse
from tillkeeper.maintenance.runs.starting import start
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
from tillkeeper.maintenance.runs.worker import Worker

__all__ = [
    "ENDS",
    "Books",
    "CalendarGate",
    "Event",
    "EventKind",
    "Gate",
    "Light",
    "Now",
    "Run",
    "RunState",
    "RunView",
    "StepState",
    "StepView",
    "Verdict",
    "Wish",
    "Worker",
    "command",
    "goals",
    "lines",
    "list_runs",
    "open_run",
    "rehearse",
    "start",
    "view",
]
