"""Steps: the kinds of work that a plan is made of. A newcomer adds a kind in one file and names it in `kinds.py`."""

from tillkeeper.maintenance.steps.kinds import KINDS
from tillkeeper.maintenance.steps.types import (
    Aborted,
    Attempt,
    Evidence,
    Finding,
    Kind,
    Kinds,
    LockRisk,
    Site,
    StepError,
)

__all__ = [
    "KINDS",
    "Aborted",
    "Attempt",
    "Evidence",
    "Finding",
    "Kind",
    "Kinds",
    "LockRisk",
    "Site",
    "StepError",
]
