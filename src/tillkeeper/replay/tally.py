"""What became of the rows: counted as answers come, kept with the checkpoint, turned into a report at the end."""

from typing import Final

import msgspec

from tillkeeper.replay.types import Step

LEVELS: Final = ("deny", "hold", "challenge")
"""From severe to mild: an alert of a level is an outcome at least as severe."""


class Cell(msgspec.Struct):
    """Payments of one outcome in one currency. Amounts are minor units; `judged` are those with a label."""

    count: int = 0
    amount: int = 0
    judged: int = 0
    judged_amount: int = 0
    frauds: int = 0
    fraud_amount: int = 0


class Hits(msgspec.Struct):
    """Payments that a rule hit. `alone`: frauds that no other rule hit."""

    count: int = 0
    judged: int = 0
    frauds: int = 0
    alone: int = 0


class Spoken(msgspec.Struct, frozen=True):
    """A rule that spoke, in an answer."""

    rule: str


class Failed(msgspec.Struct, frozen=True):
    """Why a payment came to nothing, in an answer."""

    code: str


class Told(msgspec.Struct, frozen=True):
    """What an answer says of a payment."""

    id: str
    state: str
    risk: str
    reasons: list[Spoken]
    failure: Failed | None = None


class Tally(msgspec.Struct):
    """The count. `outcomes` by outcome and currency; `hand_rules` by score: judged payments and frauds.

    `first` and `last`: payment ids. What is older than `first` was carried by an earlier replay; what is not newer than
    `last` is a row that comes twice.
    """

    first: str
    last: str
    outcomes: dict[str, dict[str, Cell]] = {}
    states: dict[str, int] = {}
    failures: dict[str, int] = {}
    rules: dict[str, Hits] = {}
    hand_rules: dict[int, tuple[int, int]] = {}
    rule_sets: list[int] = []
    earlier: int = 0
    rejected: int = 0

    @property
    def payments(self) -> int:
        """Payments counted."""
        return sum(cell.count for cells in self.outcomes.values() for cell in cells.values())

    def is_double(self, told: Told) -> bool:
        """Whether this payment was counted before."""
        return self.first <= told.id <= self.last

    def count(self, step: Step, told: Told) -> None:
        """Count a payment."""
        if told.id < self.first:
            self.earlier += 1
        else:
            self.last = told.id
        self._count_outcome(step, told)
        self.states[told.state] = self.states.get(told.state, 0) + 1
        if told.failure:
            self.failures[told.failure.code] = self.failures.get(told.failure.code, 0) + 1
        fraud = step.record.fraud
        if fraud is not None:
            judged, frauds = self.hand_rules.get(step.score, (0, 0))
            self.hand_rules[step.score] = (judged + 1, frauds + fraud)
        for spoken in told.reasons:
            hits = self.rules.setdefault(spoken.rule, Hits())
            hits.count += 1
            hits.judged += fraud is not None
            hits.frauds += fraud is True
            hits.alone += fraud is True and len(told.reasons) == 1

    def _count_outcome(self, step: Step, told: Told) -> None:
        record = step.record
        cells = self.outcomes.setdefault(told.risk, {})
        cell = cells.setdefault(record.currency, Cell())
        cell.count += 1
        cell.amount += record.amount
        if record.fraud is not None:
            cell.judged += 1
            cell.judged_amount += record.amount
            if record.fraud:
                cell.frauds += 1
                cell.fraud_amount += record.amount
