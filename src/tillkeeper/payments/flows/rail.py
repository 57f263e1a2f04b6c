"""Money from and to the bank: ordered here, carried out by a rail outside any transaction, settled here."""

from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid5

from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.base.clock import to_us
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.payments.commands import SettleRail, TopUp, Withdraw
from tillkeeper.payments.flows import common
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan, Result
from tillkeeper.payments.types import NO_END, Located, Payment, RailOrder
from tillkeeper.risk import Attempt

RAIL = "sandbox"
_PENDING = frozenset({"pending"})
_BANK_ACCOUNTS: Final = UUID("6f0c63f6-7d1d-5c55-9a4e-2f1f7f0b8f53")
"""Namespace of bank accounts, as risk knows them."""


def needs_of_top_up(command: TopUp) -> Needs:
    """The customer and the wallet."""
    return Needs((command.customer,), ((command.customer, command.currency),))


def needs_of_withdraw(command: Withdraw) -> Needs:
    """The owner and the wallet."""
    return Needs((command.owner,), ((command.owner, command.currency),))


def top_up(asked: Asked, command: TopUp, facts: Facts) -> Plan | Refusal:
    """Ask the bank; nothing is booked before it says yes."""
    if refusal := (
        common.customer(facts, command.customer, "customer")
        or common.wallet(facts, command.customer, command.currency, "customer")
    ):
        return refusal
    payment = _order(asked.id, "top_up", NIL, command.customer, command, facts)
    return Plan(_ordered(payment, asked, "in", command.instruction))


def attempt(asked: UUID, command: Withdraw, facts: Facts) -> Attempt | Refusal:
    """What risk is asked about a withdrawal, or why it cannot be one at all. The payee is the bank account."""
    kind = _kind(command, facts)
    check = common.merchant if kind == "payout" else common.customer
    if refusal := (
        check(facts, command.owner, "owner") or common.wallet(facts, command.owner, command.currency, "owner")
    ):
        return refusal
    context = command.context
    return Attempt(
        asked,
        kind,
        to_us(facts.now),
        command.owner,
        bank_account(command.owner, command.instruction),
        command.amount,
        command.currency,
        context.device,
        context.ip,
        context.latitude,
        context.longitude,
    )


def bank_account(owner: UUID, instruction: str) -> UUID:
    """The account that an instruction names, as risk knows it: the same for everybody who names it, however it is spaced and
    in whatever case, so that no list is evaded by spelling. Without an instruction it is the owner's own on file.
    """
    plain = "".join(instruction.split()).upper()
    return uuid5(_BANK_ACCOUNTS, plain or instruction or owner.hex)


def withdraw(asked: Asked, command: Withdraw, facts: Facts) -> Plan:
    """Hold the money, then ask the bank; or, as the decision says, wait for a person with it, or leave it where it is.

    There is no code to ask for here, so what would be a challenge waits for a person, too. Without a decision (see attempt)
    this is never called.
    """
    assert asked.decision is not None
    outcome = asked.decision.outcome
    kind, hold = _kind(command, facts), new_id()
    order = replace(_order(asked.id, kind, command.owner, NIL, command, facts), risk=outcome)
    if outcome == "deny":
        return Plan(_declined(order, asked, "denied_by_risk"))
    # The ledger's hold ends with the bank's or a person's word, or when the payment's own time is over.
    entry = Entry(
        hold,
        Op.HOLD,
        facts.wallets[command.owner, command.currency],
        facts.house[command.currency, "bank"],
        command.amount,
        kind,
        asked.id,
        facts.now,
        expires_at=NO_END,
        day=facts.day(),
    )
    held = replace(order, hold=hold)
    if outcome == "allow":
        done = _ordered(held, asked, "out", command.instruction)
    else:
        done = _waiting(held, asked, command, facts)
    return Plan(done, (entry,), partial(_failed, order, asked))


def _waiting(held: Payment, asked: Asked, command: Withdraw, facts: Facts) -> Result:
    """A withdrawal that waits for a person: the order to the bank is written, and nobody is asked yet."""
    end = facts.now + timedelta(seconds=limits.REVIEW_SECONDS)
    result = _ordered(replace(held, state="in_review", expires_at=end), asked, "out", command.instruction)
    assert result.rail_order is not None
    return replace(result, rail_order=replace(result.rail_order, id=common.held_order(held), due=NO_END))


def _kind(command: Withdraw, facts: Facts) -> str:
    standing = facts.standings.get(command.owner)
    return "payout" if standing and standing.merchant else "withdrawal"


def settle(_: Asked, command: SettleRail, facts: Facts) -> Plan | Refusal:
    """The bank's final word. Said twice, the second finds the payment settled and is refused: nothing happens."""
    found = common.located(facts, command.payment, _PENDING, "settling")
    if isinstance(found, Refusal):
        return found
    word = (command.attempt, command.accepted, command.answer)
    plan = _accepted(found, facts) if command.accepted else _rejected(found, facts)
    return Plan(replace(plan.done, rail_answer=word), plan.entries)


def _accepted(found: Located, facts: Facts) -> Plan:
    payment = found.payment
    after = replace(payment, state="succeeded", captured=payment.amount, changed_at=facts.now)
    result = common.changed(payment, after, "bank")
    if payment.hold is not None:
        return Plan(result, (common.close_hold(found, Op.SETTLE, payment.amount, facts.now),))
    entry = Entry(
        new_id(),
        Op.POST,
        found.payer_account,
        found.payee_account,
        payment.amount,
        payment.kind,
        payment.id,
        facts.now,
    )
    return Plan(result, (entry,))


def _rejected(found: Located, facts: Facts) -> Plan:
    payment = found.payment
    after = replace(payment, state="failed", failure="rejected_by_bank", changed_at=facts.now)
    entries = (common.close_hold(found, Op.VOID, 0, facts.now),) if payment.hold is not None else ()
    return Plan(common.changed(payment, after, "bank"), entries)


def _ordered(payment: Payment, asked: Asked, direction: str, instruction: str) -> Result:
    order = RailOrder(
        new_id(),
        payment.id,
        RAIL,
        direction,
        payment.amount,
        payment.currency,
        instruction,
        payment.created_at,
        payment.created_at,
    )
    return replace(common.created(payment, asked), rail_order=order)


def _failed(payment: Payment, asked: Asked, outcome: Outcome) -> Result:
    return _declined(payment, asked, common.failure_of(outcome))


def _declined(payment: Payment, asked: Asked, failure: str) -> Result:
    return common.created(replace(payment, state="declined", failure=failure), asked)


def _order(
    asked: UUID, kind: str, payer: UUID, payee: UUID, command: TopUp | Withdraw, facts: Facts
) -> Payment:
    return Payment(
        id=asked,
        kind=kind,
        state="pending",
        payer=payer,
        payee=payee,
        amount=command.amount,
        currency=command.currency,
        fee_bps=0,
        fee=0,
        captured=0,
        refunded=0,
        manual=False,
        risk=None,
        failure=None,
        hold=None,
        reference=None,
        note=None,
        event_at=facts.now,
        created_at=facts.now,
        changed_at=facts.now,
        expires_at=None,
    )
