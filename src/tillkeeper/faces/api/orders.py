"""Everything that moves money: each handler makes a command of the input and gives it to the turn."""

from typing import Any
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath, JSONBody

from tillkeeper.base.results import refuse
from tillkeeper.faces.api import approved, bodies
from tillkeeper.faces.api.documents import order_responses
from tillkeeper.faces.api.door import (
    Call,
    Counter,
    TheCounter,
    Web,
    call_of,
    checked_currency,
    id_in,
    storable,
    stored_key,
)
from tillkeeper.faces.api.problems import answer
from tillkeeper.payments import commands, qr_code
from tillkeeper.store import Answer


async def payment(counter: Counter, call: Call, data: bodies.NewPayment) -> Answer:
    """Pay a merchant: the work of `pay`, whichever way the call came."""
    qr = id_in("qr", data.qr, "qr") if data.qr else None
    if (data.merchant is None) == (qr is None):
        raise refuse("invalid_value", "name either the merchant or the QR code", "merchant")
    if qr is None:
        merchant = id_in("mer", data.merchant or "", "merchant")
    else:
        merchant = await _merchant_of(counter, qr)
    command = commands.Pay(
        id_in("cus", data.payer, "payer"),
        merchant,
        data.amount,
        checked_currency(data.currency),
        data.capture == "manual",
        qr,
        data.reference,
        data.note,
        _context(data),
    )
    return await _ordered(counter, call, data, command)


async def sending(counter: Counter, call: Call, data: bodies.NewSend) -> Answer:
    """Pay a person: the work of `send`, whichever way the call came."""
    command = commands.SendMoney(
        id_in("cus", data.payer, "payer"),
        id_in("cus", data.payee, "payee"),
        data.amount,
        checked_currency(data.currency),
        data.note,
        _context(data),
    )
    return await _ordered(counter, call, data, command)


async def _ordered(counter: Counter, call: Call, body: bodies.Body, command: Any) -> Answer:
    storable(body)
    return await counter.till.submit(command, stored_key(call))


async def _merchant_of(counter: Counter, qr: UUID) -> UUID:
    async with counter.store.tx("qr code") as tx:
        code = await qr_code(tx, qr)
    if code is None:
        raise refuse("unknown_qr", "scan the code again", "qr")
    return code.merchant


def _context(data: bodies.NewPayment | bodies.NewSend | bodies.NewWithdrawal) -> commands.Context:
    place = data.place
    return commands.Context(data.device, data.ip, place.lat if place else None, place.lon if place else None)


@post("/v1/payments", responses=order_responses(201), action="payment.pay")
async def pay(request: Web, counter: TheCounter, data: JSONBody[bodies.NewPayment]) -> Response[bytes]:
    """Pay a merchant. A declined payment is a 201 with `state` "declined" and its `failure`."""
    return answer(await payment(counter, await call_of(request), data))


@post("/v1/sends", responses=order_responses(201), action="payment.send")
async def send(request: Web, counter: TheCounter, data: JSONBody[bodies.NewSend]) -> Response[bytes]:
    """Pay a person."""
    return answer(await sending(counter, await call_of(request), data))


@post("/v1/top-ups", responses=order_responses(201), action="payment.top_up")
async def top_up(request: Web, counter: TheCounter, data: JSONBody[bodies.NewTopUp]) -> Response[bytes]:
    """Bring money from the bank; the payment is "pending" until the bank has answered."""
    customer = id_in("cus", data.customer, "customer")
    command = commands.TopUp(customer, data.amount, checked_currency(data.currency), data.instruction)
    return answer(await _ordered(counter, await call_of(request), data, command))


@post("/v1/withdrawals", responses=order_responses(201), action="payment.withdraw")
async def withdraw(
    request: Web, counter: TheCounter, data: JSONBody[bodies.NewWithdrawal]
) -> Response[bytes]:
    """Send money to the owner's bank; it is held until the bank has answered. A large one takes a second person.

    Risk decides about it as about a payment: `state` "in_review" waits for a person, "declined" is refused.
    """
    owner = id_in("mer" if data.owner.startswith("mer_") else "cus", data.owner, "owner")
    currency = checked_currency(data.currency)
    command = commands.Withdraw(owner, data.amount, currency, data.instruction, _context(data))
    call = await call_of(request)
    await approved.withdrawal(counter, call, command, data.owner[:3], stored_key(call))
    return answer(await _ordered(counter, call, data, command))


@post(
    "/v1/payments/{payment_id:str}/capture",
    status_code=200,
    responses=order_responses(200),
    action="payment.capture",
)
async def capture(
    request: Web, counter: TheCounter, payment_id: FromPath[str], data: JSONBody[bodies.NewCapture]
) -> Response[bytes]:
    """Take what an authorized payment reserves, or less; the rest is released."""
    command = commands.Capture(id_in("pay", payment_id, "payment"), data.amount)
    return answer(await _ordered(counter, await call_of(request), data, command))


@post(
    "/v1/payments/{payment_id:str}/void",
    status_code=200,
    responses=order_responses(200),
    action="payment.void",
)
async def void(
    request: Web, counter: TheCounter, payment_id: FromPath[str], data: JSONBody[bodies.NewVoid]
) -> Response[bytes]:
    """Release what an authorized payment reserves."""
    command = commands.Void(id_in("pay", payment_id, "payment"))
    return answer(await _ordered(counter, await call_of(request), data, command))


@post(
    "/v1/payments/{payment_id:str}/refunds",
    status_code=200,
    responses=order_responses(200),
    action="payment.refund",
)
async def refund(
    request: Web, counter: TheCounter, payment_id: FromPath[str], data: JSONBody[bodies.NewRefund]
) -> Response[bytes]:
    """Give back what is left of a payment, or part of it. A large refund takes a second person."""
    command = commands.RefundPayment(id_in("pay", payment_id, "payment"), data.amount, data.reason)
    call = await call_of(request)
    command = await approved.refund(counter, call, command, stored_key(call))
    return answer(await _ordered(counter, call, data, command))


@post(
    "/v1/payments/{payment_id:str}/challenge",
    status_code=200,
    responses=order_responses(200),
    action="payment.challenge",
)
async def challenge(
    request: Web, counter: TheCounter, payment_id: FromPath[str], data: JSONBody[bodies.ChallengeAnswer]
) -> Response[bytes]:
    """Give the payer's one-time code."""
    command = commands.AnswerChallenge(id_in("pay", payment_id, "payment"), data.code)
    return answer(await _ordered(counter, await call_of(request), data, command))


HANDLERS = [pay, send, top_up, withdraw, capture, void, refund, challenge]
