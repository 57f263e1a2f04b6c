"""One flow a command: what it needs to know, whether risk is asked, and what it plans. All pure.

A new kind of command is a struct in commands.py, functions in a file here, and a line in FLOWS.
"""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper.base.results import Refusal
from tillkeeper.payments import commands
from tillkeeper.payments.flows import bring_in, capture, challenge, common, expiry, pay, rail, refund, review
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan
from tillkeeper.risk import Attempt


class Flow(msgspec.Struct, frozen=True):
    """`attempt` is None where risk is not asked; where it is, a refusal from it ends the command before risk hears."""

    needs: Callable[[Any], Needs]
    plan: Callable[[Asked, Any, Facts], Plan | Refusal]
    attempt: Callable[[UUID, Any, Facts], Attempt | Refusal] | None = None


FLOWS: Final[dict[type, Flow]] = {
    commands.Pay: Flow(pay.needs_of_pay, pay.plan, pay.attempt),
    commands.SendMoney: Flow(pay.needs_of_send, pay.plan, pay.attempt),
    commands.TopUp: Flow(rail.needs_of_top_up, rail.top_up),
    commands.BringIn: Flow(bring_in.needs, bring_in.plan),
    commands.Withdraw: Flow(rail.needs_of_withdraw, rail.withdraw, rail.attempt),
    commands.SettleRail: Flow(common.needs, rail.settle),
    commands.Capture: Flow(common.needs, capture.capture),
    commands.Void: Flow(common.needs, capture.void),
    commands.AnswerChallenge: Flow(common.needs, challenge.plan),
    commands.Review: Flow(review.needs, review.plan),
    commands.Expire: Flow(common.needs, expiry.plan),
    commands.RefundPayment: Flow(common.needs, refund.plan),
}
