"""A second, simpler ledger: plain dictionaries, one entry at a time, a copy to take a chain back.

It follows the contract at the head of ledger.post_v1, not its code. What both agree on after random batches is
believed; tests/db/test_ledger_model.py compares them.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from tillkeeper.ledger import Entry, NewAccount, Op, Outcome


@dataclass
class ModelAccount:
    new: NewAccount
    day_limit: int | None
    balance: int = 0
    held: int = 0
    version: int = 0
    day: date | None = None
    day_spent: int = 0

    def below_limit(self, leaving: int) -> bool:
        """Whether it would pass its lower limit if so much left it."""
        limit = self.new.lower_limit
        return limit is not None and self.balance - self.held - leaving < limit


@dataclass
class ModelHold:
    debit: UUID
    credit: UUID
    rest: int
    captured: int = 0
    state: str = "open"
    day: date | None = None


class ModelTransfer(NamedTuple):
    id: UUID
    debit: UUID
    credit: UUID
    amount: int
    event_at: datetime
    booked_at: datetime
    debit_balance: int
    credit_balance: int


@dataclass
class Model:
    """The books. `known`: holds and transfers of earlier batches, the only ones an entry may refer to."""

    accounts: dict[UUID, ModelAccount] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    transfers: dict[UUID, ModelTransfer] = field(default_factory=dict)
    reversed: set[UUID] = field(default_factory=set)
    known: set[UUID] = field(default_factory=set)

    def open(self, new: NewAccount) -> None:
        self.accounts[new.id] = ModelAccount(new, new.day_limit)

    def post(self, entries: Sequence[Entry], booked_at: datetime) -> list[Outcome]:
        """All chains of a batch, each whole or not at all."""
        self.known = set(self.holds) | set(self.transfers)
        outcomes: list[Outcome] = []
        chain: list[Entry] = []
        for place, entry in enumerate(entries):
            chain.append(entry)
            if not entry.linked or place == len(entries) - 1:
                outcomes += self._post_chain(chain, booked_at)
                chain = []
        return outcomes

    def _post_chain(self, chain: list[Entry], booked_at: datetime) -> list[Outcome]:
        before = copy.deepcopy((self.accounts, self.holds, self.transfers, self.reversed))
        for place, entry in enumerate(chain):
            outcome = self._judge(entry)
            if outcome is not Outcome.OK:
                self.accounts, self.holds, self.transfers, self.reversed = before
                outcomes = [Outcome.LINKED_FAILED] * len(chain)
                outcomes[place] = outcome
                return outcomes
            self._apply(entry, booked_at)
        return [Outcome.OK] * len(chain)

    # -- may it be?

    def _judge(self, entry: Entry) -> Outcome:
        for check in (self._judge_accounts, self._judge_references, self._judge_limits):
            if (outcome := check(entry)) is not Outcome.OK:
                return outcome
        return Outcome.OK

    def _judge_accounts(self, entry: Entry) -> Outcome:
        debit, credit = self.accounts.get(entry.debit), self.accounts.get(entry.credit)
        if entry.amount <= 0 and entry.op < Op.VOID:
            return Outcome.AMOUNT_NOT_POSITIVE
        if debit is None:
            return Outcome.DEBIT_ACCOUNT_NOT_FOUND
        if credit is None:
            return Outcome.CREDIT_ACCOUNT_NOT_FOUND
        if debit is credit:
            return Outcome.SAME_ACCOUNT
        return Outcome.OK if debit.new.currency == credit.new.currency else Outcome.CURRENCY_DIFFERS

    def _judge_references(self, entry: Entry) -> Outcome:
        if entry.op >= Op.CAPTURE:
            return self._judge_hold(entry)
        return Outcome.OK if entry.reverses is None else self._judge_reversal(entry, entry.reverses)

    def _judge_hold(self, entry: Entry) -> Outcome:
        hold = self.holds[entry.hold] if entry.hold in self.known & set(self.holds) else None
        if hold is None:
            return Outcome.HOLD_NOT_FOUND
        if (hold.debit, hold.credit) != (entry.debit, entry.credit):
            return Outcome.HOLD_ACCOUNTS_DIFFER
        if hold.state != "open":
            return Outcome.HOLD_CLOSED
        too_much = entry.op < Op.VOID and entry.amount > hold.rest
        return Outcome.EXCEEDS_HOLD if too_much else Outcome.OK

    def _judge_reversal(self, entry: Entry, reverses: UUID) -> Outcome:
        original = self.transfers.get(reverses)
        if original is None or reverses not in self.known:
            return Outcome.TRANSFER_NOT_FOUND
        if (original.debit, original.credit, original.amount) != (entry.credit, entry.debit, entry.amount):
            return Outcome.REVERSAL_DIFFERS
        return Outcome.ALREADY_REVERSED if reverses in self.reversed else Outcome.OK

    def _judge_limits(self, entry: Entry) -> Outcome:
        debit, credit = self.accounts[entry.debit], self.accounts[entry.credit]
        if entry.op >= Op.CAPTURE:
            return Outcome.OK  # phase two never fails for lack of funds
        if entry.day is not None and debit.day_limit is not None:
            spent = 0 if debit.day is None or debit.day < entry.day else debit.day_spent
            if spent + entry.amount > debit.day_limit:
                return Outcome.DAY_LIMIT_EXCEEDED
        return Outcome.INSUFFICIENT_FUNDS if self._lacks_funds(entry, debit, credit) else Outcome.OK

    @staticmethod
    def _lacks_funds(entry: Entry, debit: ModelAccount, credit: ModelAccount) -> bool:
        if entry.op is Op.HOLD:
            # What a hold reserves must be capturable whatever happens meanwhile.
            bounded_bank = credit.new.side == "debit" and credit.new.lower_limit is not None
            return debit.new.side == "debit" or bounded_bank or debit.below_limit(entry.amount)
        return (debit.new.side == "credit" and debit.below_limit(entry.amount)) or (
            credit.new.side == "debit" and credit.below_limit(entry.amount)
        )

    # -- so be it

    def _apply(self, entry: Entry, booked_at: datetime) -> None:
        debit = self.accounts[entry.debit]
        if entry.op <= Op.HOLD and entry.day is not None:
            if debit.day is None or debit.day < entry.day:
                debit.day, debit.day_spent = entry.day, 0
            debit.day_spent += entry.amount
        if entry.op is Op.POST:
            self._move(entry, booked_at)
            if entry.reverses is not None:
                self.reversed.add(entry.reverses)
        elif entry.op is Op.HOLD:
            debit.held += entry.amount
            day = debit.day if entry.day is not None else None
            self.holds[entry.id] = ModelHold(entry.debit, entry.credit, entry.amount, day=day)
        else:
            assert entry.hold is not None
            self._close(entry, self.holds[entry.hold], booked_at)

    def _move(self, entry: Entry, booked_at: datetime) -> None:
        debit, credit = self.accounts[entry.debit], self.accounts[entry.credit]
        debit.balance += entry.amount if debit.new.side == "debit" else -entry.amount
        credit.balance += entry.amount if credit.new.side == "credit" else -entry.amount
        debit.version += 1
        credit.version += 1
        self.transfers[entry.id] = ModelTransfer(
            entry.id,
            entry.debit,
            entry.credit,
            entry.amount,
            entry.event_at,
            booked_at,
            debit.balance,
            credit.balance,
        )

    def _close(self, entry: Entry, hold: ModelHold, booked_at: datetime) -> None:
        debit = self.accounts[entry.debit]
        if entry.op < Op.VOID:
            hold.rest -= entry.amount
            hold.captured += entry.amount
            debit.held -= entry.amount
            self._move(entry, booked_at)
        if entry.op is not Op.CAPTURE:
            debit.held -= hold.rest
            if hold.day is not None and hold.day == debit.day:
                debit.day_spent -= hold.rest
            hold.rest = 0
        ends = {Op.CAPTURE: "captured", Op.SETTLE: "captured", Op.VOID: "voided", Op.EXPIRE: "expired"}
        if hold.rest == 0:
            hold.state = ends[entry.op]
