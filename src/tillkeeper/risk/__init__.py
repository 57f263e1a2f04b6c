"""Risk: exact behaviour profiles, rules over them, a decision with its receipt."""

from tillkeeper.risk.engine import RiskEngine, load_rules
from tillkeeper.risk.features import FEATURES, Feature
from tillkeeper.risk.receipts import (
    ActiveRules,
    Explanation,
    Reason,
    Receipt,
    RuleView,
    Value,
    active_rules,
    explain,
    receipt,
)
from tillkeeper.risk.rules import BadRulesError, Fault, Rule, RuleSet, read_rules
from tillkeeper.risk.types import OUTCOMES, Attempt, Decision, Label

__all__ = [
    "FEATURES",
    "OUTCOMES",
    "ActiveRules",
    "Attempt",
    "BadRulesError",
    "Decision",
    "Explanation",
    "Fault",
    "Feature",
    "Label",
    "Reason",
    "Receipt",
    "RiskEngine",
    "Rule",
    "RuleSet",
    "RuleView",
    "Value",
    "active_rules",
    "explain",
    "load_rules",
    "read_rules",
    "receipt",
]
