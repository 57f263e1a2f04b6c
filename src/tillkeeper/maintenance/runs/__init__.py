"""Runs: a plan carried out step by step, with a journal that survives everything; guardrails; rehearsal."""

from tillkeeper.maintenance.runs.types import (
    Event,
    EventKind,
    Light,
    Run,
    RunState,
    RunView,
    StepState,
    StepView,
    Verdict,
)

__all__ = ["Event", "EventKind", "Light", "Run", "RunState", "RunView", "StepState", "StepView", "Verdict"]
