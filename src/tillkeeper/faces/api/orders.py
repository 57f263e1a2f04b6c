"""Everything that moves money: each handler makes a command of the input and gives it to the turn."""

from typing import Any

from litestar import Response, post

from tillkeeper.base.results import refuse
from tillkeeper.faces.api import bodies
from tillkeeper.faces.api.documents import order_responses
from tillkeeper.faces.api.door import (
    Counter,
    Web,
    caller,
    checked_currency,
    id_in,
    needed_key,
    without_card_numbers,
)
from tillkeeper.faces.api.problems import answer
from tillkeeper.payments import commands, qr_code


async def _ordered(request: Web, counter: Counter, body: bodies.Body, command: Any) -> Response[bytes]:
    principal = caller(request, "payments:write")
    without_card_numbers(body)
    return answer(await counter.till.submit(command, await needed_key(request, principal)))


def _context(data: bodies.NewPayment | bodies.NewSend) -> commands.Context:
    place = data.place
    return commands.Context(data.device, data.ip, place.lat if place else None, place.lon if place else None)


@post("/v1/payments", responses=order_responses(201))
async def pay(request: Web, counter: Counter, data: bodies.NewPayment) -> Response[bytes]:
    """Pay a merchant. A declined payment is a 201 with `state` "declined" and its `failure`."""
    qr = id_in("qr", data.qr, "qr") if data.qr else None
    if (data.merchant is None) == (qr is None):
        raise refuse("invalid_value", "name either the merchant or the QR code", "merchant")
    merchant = id_in("mer", data.merchant, "merchant") if data.merchant else None
    if qr is not None:
        async with counter.store.tx("qr code") as tx:
            code = await qr_code(tx, qr)
        if code is None:
            raise refuse("unknown_qr", "scan the code again", "qr")
        merchant = code.merchant
    assert merchant is not None
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
    return await _ordered(request, counter, data, command)


@post("/v1/sends", responses=order_responses(201))
async def send(request: Web, counter: Counter, data: bodies.NewSend) -> Response[bytes]:
    """Pay a person."""
    command = commands.SendMoney(
        id_in("cus", data.payer, "payer"),
        id_in("cus", data.payee, "payee"),
        data.amount,
        checked_currency(data.currency),
        data.note,
        _context(data),
    )
    return await _ordered(request, counter, data, command)


@post("/v1/top-ups", responses=order_responses(201))
async def top_up(request: Web, counter: Counter, data: bodies.NewTopUp) -> Response[bytes]:
    """Bring money from the bank; the payment is "pending" until the bank has answered."""
    customer = id_in("cus", data.customer, "customer")
    command = commands.TopUp(customer, data.amount, checked_currency(data.currency), data.instruction)
    return await _ordered(request, counter, data, command)


@post("/v1/withdrawals", responses=order_responses(201))
async def withdraw(request: Web, counter: Counter, data: bodies.NewWithdrawal) -> Response[bytes]:
    """Send money to the owner's bank; it is held until the bank has answered."""
    owner = id_in("mer" if data.owner.startswith("mer_") else "cus", data.owner, "owner")
    command = commands.Withdraw(owner, data.amount, checked_currency(data.currency), data.instruction)
    return await _ordered(request, counter, data, command)


@post("/v1/payments/{payment_id:str}/capture", status_code=200, responses=order_responses(200))
async def capture(
    request: Web, counter: Counter, payment_id: str, data: bodies.NewCapture
) -> Response[bytes]:
    """Take what an authorized payment reserves, or less; the rest is released."""
    command = commands.Capture(id_in("pay", payment_id, "payment"), data.amount)
    return await _ordered(request, counter, data, command)


@post("/v1/payments/{payment_id:str}/void", status_code=200, responses=order_responses(200))
async def void(request: Web, counter: Counter, payment_id: str, data: bodies.NewVoid) -> Response[bytes]:
    """Release what an authorized payment reserves."""
    return await _ordered(request, counter, data, commands.Void(id_in("pay", payment_id, "payment")))


@post("/v1/payments/{payment_id:str}/refunds", status_code=200, responses=order_responses(200))
async def refund(request: Web, counter: Counter, payment_id: str, data: bodies.NewRefund) -> Response[bytes]:
    """Give back what is left of a payment, or part of it."""
    command = commands.RefundPayment(id_in("pay", payment_id, "payment"), data.amount, data.reason)
    return await _ordered(request, counter, data, command)


@post("/v1/payments/{payment_id:str}/challenge", status_code=200, responses=order_responses(200))
async def challenge(
    request: Web, counter: Counter, payment_id: str, data: bodies.ChallengeAnswer
) -> Response[bytes]:
    """Give the payer's one-time code."""
    command = commands.AnswerChallenge(id_in("pay", payment_id, "payment"), data.code)
    return await _ordered(request, counter, data, command)


HANDLERS = [pay, send, top_up, withdraw, capture, void, refund, challenge]
