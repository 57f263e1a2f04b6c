"""Backtest: the evaluator that decides live, over history, with no label before its time.

question = await question_of(store, clock, rules=text)       # the last weeks, compared with what is in force
id_ = await ask(tx, question, author, clock.now())           # the agent does it: see Asked.state and Asked.share
asked = await one(tx, id_)                                   # asked.report, when it is done
"""

from tillkeeper.risk.backtest.house import USUAL, Examiner, Tell, do_asked, question_of, standing, tried
from tillkeeper.risk.backtest.rows import ask, keep, latest, of_rules, one
from tillkeeper.risk.backtest.trial import Range, Trial
from tillkeeper.risk.backtest.types import (
    PREFIX,
    REMARKS,
    Asked,
    Change,
    Day,
    Level,
    LoginOutcome,
    LoginRule,
    LoginSide,
    Outcome,
    Part,
    Question,
    Ranking,
    Report,
    RuleLine,
    Side,
    Workload,
)

__all__ = [
    "PREFIX",
    "REMARKS",
    "USUAL",
    "Asked",
    "Change",
    "Day",
    "Examiner",
    "Level",
    "LoginOutcome",
    "LoginRule",
    "LoginSide",
    "Outcome",
    "Part",
    "Question",
    "Range",
    "Ranking",
    "Report",
    "RuleLine",
    "Side",
    "Tell",
    "Trial",
    "Workload",
    "ask",
    "do_asked",
    "keep",
    "latest",
    "of_rules",
    "one",
    "question_of",
    "standing",
    "tried",
]
