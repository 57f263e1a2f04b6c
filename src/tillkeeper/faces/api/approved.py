"""Large refunds and withdrawals take a second person: the first answer is `approval_needed`, and the idempotency key stays
free; once the approval is given the same request passes and uses it up, bound to its key.

The approval is used up in a transaction of its own, before the turn: after a crash between the two the same request finds
it used for its key, and goes on. Whatever changed in between, the turn sees under its lock (`seen`).
"""

from msgspec.structs import replace

from tillkeeper import access
from tillkeeper.access import Approval, Asker
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.api.door import Call, Counter
from tillkeeper.payments import REFUND, WITHDRAWAL, LargeWithdrawal, commands, refund_of
from tillkeeper.payments import payment as find_payment
from tillkeeper.store import Key, Tx, idempotency


async def refund(
    counter: Counter, call: Call, command: commands.RefundPayment, key: Key
) -> commands.RefundPayment:
    """The refund as it may be carried out: with its amount, and when large with an approval used up for it.

    Refuses approval_needed, approval_refused, too_many_approvals, and a large refund that cannot be.
    """
    floor = counter.settings.four_eyes_amount
    if command.amount is not None and command.amount < floor:
        return command
    async with counter.store.tx("approved refund") as tx:
        found = await find_payment(tx, command.payment)
        if found is None or await _answered(tx, key):
            return command
        amount = command.amount or found.captured - found.refunded
        if amount == 0:  # the turn refuses it, and keeps that answer for the key as any other
            return replace(command, seen=found.version)
        if amount < floor:
            return replace(command, amount=amount)
        terms = refund_of(found, amount, command.reason)
        said = await access.approvals.claim(tx, REFUND, terms, _asker(call), key.key, counter.clock)
    _passed(said)
    return replace(command, amount=amount, seen=found.version)


async def withdrawal(counter: Counter, call: Call, command: commands.Withdraw, kind: str, key: Key) -> None:
    """Pass a withdrawal that is not large, or has an approval, which is used up for it. `kind`: the owner's prefix.

    Refuses approval_needed, approval_refused, too_many_approvals, and a large withdrawal that cannot be.
    """
    if command.amount < counter.settings.four_eyes_amount:
        return
    terms = LargeWithdrawal(
        to_typeid(kind, command.owner), command.amount, command.currency, command.instruction
    )
    async with counter.store.tx("approved withdrawal") as tx:
        if await _answered(tx, key):
            return
        said = await access.approvals.claim(tx, WITHDRAWAL, terms, _asker(call), key.key, counter.clock)
    _passed(said)


async def _answered(tx: Tx, key: Key) -> bool:
    """Whether the key has its answer: the turn repeats it, and nothing is to be approved."""
    return bool(await idempotency.found(await idempotency.send(tx, [key])))


def _asker(call: Call) -> Asker:
    return Asker(call.principal.actor, call.principal.id, call.address)


def _passed(said: Approval | Refusal) -> None:
    # Raised only here, when the question is committed.
    if isinstance(said, Refusal):
        raise Refused(said)
