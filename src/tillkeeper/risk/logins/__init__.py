"""Logins: how unlike their customer they are, what is to be done about them, and one timeline of all a customer does."""

from tillkeeper.risk.logins import staff, watch
from tillkeeper.risk.logins.desk import Desk, Judging, NewAnswer, NewChange, NewLogin, Standings
from tillkeeper.risk.logins.habits import Thresholds
from tillkeeper.risk.logins.moments import timeline
from tillkeeper.risk.logins.rows import Answered, events_after
from tillkeeper.risk.logins.types import FACTORS, OUTCOMES, SETTINGS, Login, Moment, SettingChange, Verdict
from tillkeeper.risk.logins.words import OUTCOME_WORDS, REASONS, reason_words

__all__ = [
    "FACTORS",
    "OUTCOMES",
    "OUTCOME_WORDS",
    "REASONS",
    "SETTINGS",
    "Answered",
    "Desk",
    "Judging",
    "Login",
    "Moment",
    "NewAnswer",
    "NewChange",
    "NewLogin",
    "SettingChange",
    "Standings",
    "Thresholds",
    "Verdict",
    "events_after",
    "reason_words",
    "staff",
    "timeline",
    "watch",
]
