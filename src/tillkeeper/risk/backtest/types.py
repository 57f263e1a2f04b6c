"""Frozen values of backtests: what was asked, and what came of it. All of it goes to PostgreSQL as JSON and is bounded.

Money is in minor units of the rule set's reference currency. Shares are 0..1, None where there is nothing to divide by.
"Honest" is a payment that was not reported as fraud within the label delay.
"""

from datetime import datetime
from uuid import UUID

import msgspec

PREFIX = "bkt"
"""Of a backtest's public id."""


class Outcome(msgspec.Struct, frozen=True):
    """Payments that got one outcome. `open`: too young to be judged. `customers`: distinct ones who paid honestly."""

    outcome: str
    payments: int
    frauds: int
    honest: int
    open: int
    fraud_amount: int
    honest_amount: int
    customers: int


class Level(msgspec.Struct, frozen=True):
    """All that got an outcome or a severer one. `saved`: fraudulent money stopped; `disturbed`: honest money stopped."""

    outcome: str
    stopped: int
    precision: float | None
    recall: float | None
    false_per_fraud: float | None
    saved: int
    disturbed: int
    customers: int


class Ranking(msgspec.Struct, frozen=True):
    """How well an order puts frauds first. `recall`: of frauds, at 1 % false alarms. `card_precision`: of the customers
    that one day's analysts can look at, the share defrauded that day, in the mean of the judged days; `perfect`: what
    nobody could beat.
    """

    auc: float | None
    ap: float | None
    recall: float | None
    card_precision: float | None = None
    perfect: float | None = None


class RuleLine(msgspec.Struct, frozen=True):
    """What one rule did. `alone`: what no other deciding rule hit; `alone_honest`: what that costs in honest payments.

    `shadow`: its hits decide nothing, and the figures say what they would have done.
    """

    rule: str
    version: int
    outcome: str
    shadow: bool
    hits: int
    frauds: int
    honest: int
    precision: float | None
    recall: float | None
    fraud_amount: int
    honest_amount: int
    alone: int
    alone_honest: int
    alone_amount: int
    alone_honest_amount: int
    weakened: int


class Part(msgspec.Struct, frozen=True):
    """Payments whose score lies in [low, high), and what a threshold at `low` would find and cost."""

    low: float
    high: float
    frauds: int
    honest: int
    open: int
    precision: float | None
    recall: float | None
    false_alarms: float | None
    saved: int
    disturbed: int


class Day(msgspec.Struct, frozen=True):
    """One day of the business. `alerts`: payments held or denied; `customers`: distinct ones among them. `card_precision`
    is None for a day that is not judged yet.
    """

    day: str
    payments: int
    frauds: int
    alerts: int
    customers: int
    saved: int
    lost: int
    card_precision: float | None


class Workload(msgspec.Struct, frozen=True):
    """Alerts (customers with held or denied payments) a day beside what people can look at. `over`: days above that."""

    capacity: int
    days: int
    mean: float | None
    most: int
    over: int


class LoginOutcome(msgspec.Struct, frozen=True):
    """Logins that got one outcome, by who they were: see LoginSide. `customers`: distinct honest ones."""

    outcome: str
    attackers: int
    honest: int
    wrong: int
    open: int
    customers: int


class LoginRule(msgspec.Struct, frozen=True):
    """What one rule about logins did, by who they were: see LoginSide. `alone…`: what neither the score nor another
    deciding rule stopped.
    """

    rule: str
    version: int
    outcome: str
    shadow: bool
    hits: int
    attackers: int
    honest: int
    wrong: int
    open: int
    alone: int
    alone_honest: int
    alone_wrong: int


class LoginSide(msgspec.Struct, frozen=True):
    """What one candidate did to logins, the score among it. `attackers`: somebody else with the right password (the second
    proof failed, or a payment from the same device or address was reported within a day); `honest`: the second proof
    passed, or they were let in and nobody reported anything within the label delay; `wrong`: the password was wrong; `open`:
    nobody knows.
    """

    logins: int
    attackers: int
    honest: int
    wrong: int
    open: int
    outcomes: tuple[LoginOutcome, ...]
    each_rule: tuple[LoginRule, ...]


class Side(msgspec.Struct, frozen=True):
    """One candidate over the whole range. `rank`: by outcome, then by score; `scored`: by the model's score alone.

    `saved`, `lost`: fraudulent money stopped and let through; `disturbed`: honest money stopped. `logins`: unset where no
    rule is about them.
    """

    rules_sha256: str
    rules: int
    model: int | None
    anomaly: int | None
    outcomes: tuple[Outcome, ...]
    levels: tuple[Level, ...]
    rank: Ranking
    scored: Ranking | None
    workload: Workload
    saved: int
    lost: int
    disturbed: int
    each_rule: tuple[RuleLine, ...]
    scores: tuple[Part, ...]
    days: tuple[Day, ...]
    logins: LoginSide | None = None


class Change(msgspec.Struct, frozen=True):
    """Payments that the base decides `before` and the candidate `after`. `examples`: ids, of a file the row numbers."""

    before: str
    after: str
    frauds: int
    honest: int
    open: int
    fraud_amount: int
    honest_amount: int
    examples: tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """A backtest done. `judged`: payments whose truth is known; `frauds` among them. `remarks`: codes of what a reader
    must know, see REMARKS; `base` and `changes` only where two were compared. `seconds`: how long it took.
    """

    begin: datetime
    end: datetime
    reference: str
    label_delay_s: int
    payments: int
    judged: int
    frauds: int
    amount: int
    fraud_amount: int
    candidate: Side
    base: Side | None
    changes: tuple[Change, ...]
    remarks: tuple[str, ...]
    seconds: float
    form: int = 1


REMARKS = {
    "model_saw": "the model was trained on payments of this range: its figures here are too good",
    "base_model_saw": "the model in force was trained on payments of this range: its figures here are too good",
    "few_frauds": "fewer than 30 known frauds: the shares say little",
    "no_frauds": "no fraud is known in this range: only volumes can be compared",
    "open": "payments younger than the label delay count in volumes, not in shares",
    "no_lists": "lists and mutes are left out: they were made knowing what the past did not",
    "short_past": "history begins less than 38 days before the range: habits are not full at its beginning",
}
"""What each code of Report.remarks says, in English."""


class Question(msgspec.Struct, frozen=True):
    """Rules (their text) and a model (its version, None: none) over [from_at, to_at), beside a base (`base_rules` empty:
    nothing is compared).
    """

    from_at: datetime
    to_at: datetime
    rules: str
    model: int | None = None
    base_rules: str = ""
    base_model: int | None = None


class Asked(msgspec.Struct, frozen=True):
    """A backtest as stored: a question, who asked it, and what came of it.

    `state`: asked, running, done, failed; `share` of the work, 0..1.
    """

    id: UUID
    at: datetime
    author: str
    from_at: datetime
    to_at: datetime
    rules: str
    model: int | None
    base_rules: str
    base_model: int | None
    state: str
    share: float
    begun_at: datetime | None
    ended_at: datetime | None
    said: str
    report: Report | None

    @property
    def question(self) -> Question:
        """What is to be found out."""
        return Question(self.from_at, self.to_at, self.rules, self.model, self.base_rules, self.base_model)
