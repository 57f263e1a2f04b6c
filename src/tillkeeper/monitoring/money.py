"""What cannot be right about the money: judged from what the books say and what payments say of themselves. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from tillkeeper.ledger import Booked, CurrencyStanding, Displaced
from tillkeeper.monitoring.types import MoneyFault
from tillkeeper.payments import WAITING
from tillkeeper.payments.watch import Claim

_NOTHING = (0, 0)

CODES: Final = (
    "unbalanced",
    "moved_without_transfer",
    "account_below_limit",
    "guard_missing",
    "transfer_without_payment",
    "captured_differs",
    "captured_beyond_authorised",
    "refund_differs",
    "refunded_beyond_captured",
    "fee_differs",
    "hold_differs",
    "hold_left_open",
    "rail_differs",
)
"""Every kind of fault that is looked for."""


def of_currencies(standing: Sequence[CurrencyStanding]) -> list[MoneyFault]:
    """Debits must equal credits in every currency, and no account be below its limit."""
    found = []
    for each in standing:
        if each.net:
            said = f"credits less debits are {each.net}, not 0"
            found.append(MoneyFault("unbalanced", each.currency, abs(each.net), said))
        if each.below:
            said = f"{each.below} accounts are below their lower limit"
            found.append(MoneyFault("account_below_limit", each.currency, each.missing, said))
    return found


def of_displaced(displaced: Sequence[Displaced]) -> list[MoneyFault]:
    """Balances that do not follow from transfers. That none is found says only that it is not these."""
    if not displaced:
        said = "balances and transfers do not add up to the same; till ledger verify names the difference"
        return [MoneyFault("moved_without_transfer", "", 0, said)]
    return [
        MoneyFault(
            "moved_without_transfer",
            each.currency,
            abs(each.balance - each.expected),
            f"account {each.account} has {each.balance}, its transfers left {each.expected}",
        )
        for each in displaced
    ]


def of_guards(missing: Sequence[str]) -> list[MoneyFault]:
    """Constraints that keep one key to one effect and balances within limits must be there."""
    return [
        MoneyFault("guard_missing", "", 0, f"{name} is gone or invalid: nothing keeps duplicates out")
        for name in missing
    ]


def of_payment(claim: Claim | None, booked: Booked) -> list[MoneyFault]:
    """A payment and the books must say the same of it."""
    if claim is None:
        amount = sum(amount for _, amount in booked.transfers.values())
        return [
            MoneyFault("transfer_without_payment", "", amount, "transfers of a payment that does not exist")
        ]
    return [
        MoneyFault(code, claim.currency, abs(amount), f"payment {claim.id}: {said}")
        for code, amount, said in _differences(claim, booked)
    ]


def _differences(claim: Claim, booked: Booked) -> Iterator[tuple[str, int, str]]:
    moved_times, moved = booked.transfers.get(claim.kind, _NOTHING)
    if moved != claim.captured or moved_times > 1:
        yield "captured_differs", moved - claim.captured, f"captured {claim.captured}, booked {moved}"
    refund_times, refunded = booked.transfers.get("refund", _NOTHING)
    if not refunded == claim.refunded == claim.refunds_amount or refund_times != claim.refunds:
        said = (
            f"refunded {claim.refunded}, in {claim.refunds} refunds {claim.refunds_amount},"
            f" booked {refund_times} times {refunded}"
        )
        amount = max(refunded, claim.refunded, claim.refunds_amount) - min(
            refunded, claim.refunded, claim.refunds_amount
        )
        yield "refund_differs", amount, said
    _, fee = booked.transfers.get("fee", _NOTHING)
    if fee != claim.fee:
        yield "fee_differs", fee - claim.fee, f"fee {claim.fee}, booked {fee}"
    _, returned = booked.transfers.get("fee_return", _NOTHING)
    if returned != claim.fees_returned:
        yield (
            "fee_differs",
            returned - claim.fees_returned,
            f"fee returned {claim.fees_returned}, booked {returned}",
        )
    if claim.refunded > claim.captured:
        yield "refunded_beyond_captured", claim.refunded - claim.captured, "more was refunded than captured"
    if claim.captured > claim.amount:
        yield "captured_beyond_authorised", claim.captured - claim.amount, "more was captured than authorised"
    yield from _of_holds(claim, booked)
    if claim.attempts and claim.accepted != claim.captured:
        said = f"captured {claim.captured}, banks accepted {claim.accepted}"
        yield "rail_differs", claim.accepted - claim.captured, said


def _of_holds(claim: Claim, booked: Booked) -> Iterator[tuple[str, int, str]]:
    if booked.captured is not None and booked.captured != claim.captured:
        said = f"captured {claim.captured}, out of its hold {booked.captured}"
        yield "hold_differs", booked.captured - claim.captured, said
    if booked.held and claim.state not in WAITING:
        yield "hold_left_open", booked.held, f"{claim.state}, and {booked.held} are still held for it"
