"""How urgent a case is, and until when somebody must have decided it. No input or output."""

from datetime import datetime, timedelta

from tillkeeper.base import limits
from tillkeeper.risk.cases.types import SEVERITIES, Severity


def severity_of(expected_loss: int) -> Severity:
    """By what may be lost: minor units of the currency that the rules count in."""
    for severity in reversed(SEVERITIES):
        if severity in limits.CASE_LOSSES and expected_loss >= limits.CASE_LOSSES[severity]:
            return severity
    return "low"


def due(severity: Severity, since: datetime) -> datetime:
    """When a case that is so urgent since then must be decided."""
    return since + timedelta(seconds=limits.CASE_DUE_SECONDS[severity])


def worse(one: Severity, other: Severity) -> Severity:
    """The more urgent of two: a case never becomes less urgent by another alert."""
    return max(one, other, key=SEVERITIES.index)


def raised_due(before: datetime, severity: Severity, now: datetime) -> datetime:
    """The due time of a case that became more urgent now: sooner, never later than it was."""
    return min(before, due(severity, now))
