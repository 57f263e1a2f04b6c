"""Risk: exact behaviour profiles, rules over them, a decision with its receipt."""

from tillkeeper.risk.engine import RiskEngine, load_rules, warm_up
from tillkeeper.risk.features import FEATURES, Feature
from tillkeeper.risk.fingerprint import fingerprint_before
from tillkeeper.risk.receipts import Explanation, Reason, Value, explain
from tillkeeper.risk.rows import labelled, receipt
from tillkeeper.risk.rules import BadRulesError, Fault, Rule, RuleSet, read_rules
from tillkeeper.risk.types import OUTCOMES, Attempt, Batch, Decision, Event, Label, Receipt

__all__ = [
    "FEATURES",
    "OUTCOMES",
    "Attempt",
    "BadRulesError",
    "Batch",
    "Decision",
    "Event",
    "Explanation",
    "Fault",
    "Feature",
    "Label",
    "Reason",
    "Receipt",
    "RiskEngine",
    "Rule",
    "RuleSet",
    "Value",
    "explain",
    "fingerprint_before",
    "labelled",
    "load_rules",
    "read_rules",
    "receipt",
    "warm_up",
]
