"""Risk: exact behaviour profiles, rules over them, a decision with its receipt."""

from tillkeeper.risk.types import Attempt, Decision, Label

__all__ = ["Attempt", "Decision", "Label"]
