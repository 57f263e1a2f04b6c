"""Risk: exact behaviour profiles, rules over them, a decision with its receipt."""

from tillkeeper.risk.breaker import Breakers, Trip
from tillkeeper.risk.engine import RiskEngine, load_rules, warm_up
from tillkeeper.risk.features import FEATURES, Feature
from tillkeeper.risk.fingerprint import fingerprint_before
from tillkeeper.risk.force import Force, Judge, Judged, Listed, Model, Shadow
from tillkeeper.risk.receipts import Explanation, Reason, Value, explain
from tillkeeper.risk.rows import labelled, receipt
from tillkeeper.risk.rulefile import BadRulesError, Fault, read_rules, with_rule
from tillkeeper.risk.rules import LOGIN_OUTCOMES, Bypass, Rule, RuleSet
from tillkeeper.risk.types import OUTCOMES, Attempt, Batch, Decision, Event, Label, Receipt

__all__ = [
    "FEATURES",
    "LOGIN_OUTCOMES",
    "OUTCOMES",
    "Attempt",
    "BadRulesError",
    "Batch",
    "Breakers",
    "Bypass",
    "Decision",
    "Event",
    "Explanation",
    "Fault",
    "Feature",
    "Force",
    "Judge",
    "Judged",
    "Label",
    "Listed",
    "Model",
    "Reason",
    "Receipt",
    "RiskEngine",
    "Rule",
    "RuleSet",
    "Shadow",
    "Trip",
    "Value",
    "explain",
    "fingerprint_before",
    "labelled",
    "load_rules",
    "read_rules",
    "receipt",
    "warm_up",
    "with_rule",
]
