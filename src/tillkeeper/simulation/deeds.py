"""Intents become requests: what people do on the platform, and what they do next, depending on its answer."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

from tillkeeper.simulation.acts import (
    BASIS_POINTS,
    HONEST,
    After,
    Change,
    Intent,
    LogIn,
    Pay,
    Scene,
    Send,
    Spoil,
    Withdraw,
)
from tillkeeper.simulation.client import Api, Reply, Unanswered
from tillkeeper.simulation.faults import FAULTS
from tillkeeper.simulation.journal import Journal
from tillkeeper.simulation.roll import Roll, fill, place_of
from tillkeeper.simulation.tally import MONEY_WENT, Tally

Body = dict[str, Any]
Pause = Callable[[float], Awaitable[bool]]
"""Wait so many seconds; False when the city falls asleep instead."""

SMALLEST: Final = 100
WITHDRAWN: Final = 200_000  # at once and at most: more takes a second person, and a city does not wait
REFILLED_SECONDS: Final = 3.0
TYPING_SECONDS: Final = (0.8, 2.5)  # how long people take to type a code
# How the sandbox bank is asked to misbehave, in a hundred top-ups.
INSTRUCTIONS: Final = ("late",) * 3 + ("twice",) * 2 + ("no",) + ("",) * 94


class Deeds:
    """Carries intents out and writes down what came of them. `report` takes the ids of fraudulent payments."""

    def __init__(self, api: Api, roll: Roll, pause: Pause, report: Callable[[str], None]) -> None:
        self.api = api
        self.roll = roll
        self.tally = Tally()
        self.journal = Journal()
        self._pause = pause
        self._report = report
        self._rng = Random(f"{roll.city.seed}/deeds/{roll.chapter}")
        self._refilling: set[tuple[int, str]] = set()
        self._codes: dict[tuple[int, str], str] = {}

    async def carry_out(self, intent: Intent) -> None:
        """Do it and everything that follows from it; a request without answer ends it."""
        try:
            match intent.act:
                case Pay():
                    await self._pay(intent, intent.act)
                case Send():
                    await self._send(intent, intent.act)
                case Withdraw():
                    await self._withdraw(intent.act)
                case Spoil():
                    await self._spoil(intent.act)
                case LogIn():
                    await self._log_in(intent, intent.act)
                case Change():
                    await self._change(intent.act)
        except Unanswered:
            self.tally.unanswered += 1

    # -- paying

    async def _pay(self, intent: Intent, act: Pay) -> None:
        body: Body = {"payer": self.roll.customers[act.payer], "amount": act.amount, "currency": act.currency}
        body |= _scene(act.scene)
        if act.manual:
            body["capture"] = "manual"
        if act.qr and (code := await self._code(act)):
            body["qr"] = code
        else:
            body["merchant"] = self.roll.merchants[act.merchant]
        payment = await self._place("/v1/payments", body, intent, repeat=act.repeat)
        if payment is None:
            self._codes.pop((act.merchant, act.currency), None)  # it may have expired
            return
        for step in act.after:
            if not await self._pause(step.delay):
                return
            payment = await self._follow(payment, step)
        await self._refill(act.payer, act.currency, payment)

    async def _send(self, intent: Intent, act: Send) -> None:
        payer, amount = self.roll.customers[act.payer], act.amount
        if act.share_bp:
            amount = (
                await self._available(f"/v1/customers/{payer}", act.currency) * act.share_bp // BASIS_POINTS
            )
            if amount < SMALLEST:
                self.tally.besides["nothing left to steal"] += 1
                return
        body: Body = {
            "payer": payer,
            "payee": self.roll.customers[act.payee],
            "amount": amount,
            "currency": act.currency,
        }
        if act.note:
            body["note"] = act.note
        payment = await self._place("/v1/sends", body | _scene(act.scene), intent)
        if payment is None:
            return
        if payment["state"] in MONEY_WENT:
            self._earn(act.payee, act.currency, amount)
        await self._refill(act.payer, act.currency, payment)

    async def _place(self, path: str, body: Body, intent: Intent, *, repeat: bool = False) -> Body | None:
        """Make a payment and answer its challenge. None when the platform refused to make one."""
        key = self.roll.key()
        reply = await self.api.post(path, body, key)
        if not reply.done:
            self._refused(reply)
            return None
        payment = reply.body
        self.tally.took(reply.seconds, reply.tries)
        self.tally.decided(payment, intent.truth)
        self.journal.write(payment)
        if intent.truth != HONEST:
            self._report(payment["id"])
        if repeat:
            again = await self.api.post(path, body, key)
            self.tally.replays.sent += 1
            self.tally.replays.same += again.raw == reply.raw
        if payment["challenge"] is not None:
            payment = await self._answer(payment, intent)
        return payment

    async def _answer(self, payment: Body, intent: Intent) -> Body:
        """Type the code that came to the owner's phone; a thief guesses."""
        if not await self._pause(self._rng.uniform(*TYPING_SECONDS)):
            return payment
        code = payment["challenge"]["sandbox_code"]
        if not intent.answers:
            code = "000000" if code != "000000" else "000001"
        reply = await self.api.post(
            f"/v1/payments/{payment['id']}/challenge", {"code": code}, self.roll.key()
        )
        if not reply.done:
            self.tally.besides["wrong code"] += 1
            return payment
        self.journal.write(reply.body)
        if reply.body["state"] in MONEY_WENT:
            self.tally.passed(reply.body, intent.truth)
        return reply.body

    async def _follow(self, payment: Body, step: After) -> Body:
        """Capture, void or refund, where the payment's state allows it."""
        fits = "authorized" if step.deed in {"capture", "void"} else "succeeded"
        if payment["state"] != fits:
            return payment
        body: Body = {}
        if step.share_bp != BASIS_POINTS:
            whole = payment["captured"] if step.deed == "refund" else payment["amount"]
            body["amount"] = max(whole * step.share_bp // BASIS_POINTS, 1)
        deed = "refunds" if step.deed == "refund" else step.deed
        reply = await self.api.post(f"/v1/payments/{payment['id']}/{deed}", body, self.roll.key())
        if not reply.done:
            self._refused(reply)
            return payment
        self.tally.besides[step.deed] += 1
        self.journal.write(reply.body)
        if step.deed == "capture":
            self.tally.captured(reply.body)
        return reply.body

    async def _code(self, act: Pay) -> str | None:
        """The merchant's QR code: the one on the counter is made once, one with an amount for each payment."""
        counter = (act.merchant, act.currency)
        if act.qr == "open" and (known := self._codes.get(counter)):
            return known
        body: Body = {"currency": act.currency}
        if act.qr == "fixed":
            body["amount"] = act.amount
        path = f"/v1/merchants/{self.roll.merchants[act.merchant]}/qr-codes"
        reply = await self.api.post(path, body, self.roll.key())
        if not reply.done:
            self._refused(reply)
            return None
        code: str = reply.body["id"]
        if act.qr == "open":
            self._codes[counter] = code
        return code

    # -- wallets

    async def _available(self, path: str, currency: str) -> int:
        reply = await self.api.get(path)
        return sum(
            wallet["available"] for wallet in reply.body.get("wallets", ()) if wallet["currency"] == currency
        )

    def _earn(self, customer: int, currency: str, amount: int) -> None:
        purse = (customer, currency)
        if purse in self.roll.purses:
            self.roll.purses[purse] += amount

    async def _refill(self, payer: int, currency: str, payment: Body) -> None:
        """After a payment: when the wallet runs low, top it up, and look into it when the bank should have paid."""
        person, purse = self.roll.city.customer(payer), (payer, currency)
        if payment["state"] in MONEY_WENT:
            self._earn(payer, currency, -payment["amount"])
        short = payment["failure"] is not None and payment["failure"]["code"] == "insufficient_funds"
        low = self.roll.purses.get(purse, 0) < fill(person, currency) // 5
        if not (short or low) or purse in self._refilling or payer >= len(self.roll.city.people):
            return
        self._refilling.add(purse)
        try:
            await self._top_up(payer, currency, fill(person, currency))
        finally:
            self._refilling.discard(purse)

    async def _top_up(self, payer: int, currency: str, amount: int) -> None:
        customer = self.roll.customers[payer]
        body: Body = {"customer": customer, "amount": amount, "currency": currency}
        if instruction := self._rng.choice(INSTRUCTIONS):
            body["instruction"] = instruction
        reply = await self.api.post("/v1/top-ups", body, self.roll.key())
        if not reply.done:
            self._refused(reply)
            return
        self.journal.write(reply.body)
        self.tally.besides["top-up"] += 1
        if await self._pause(REFILLED_SECONDS):
            found = await self._available(f"/v1/customers/{customer}", currency)
            self.roll.purses[payer, currency] = found

    async def _withdraw(self, act: Withdraw) -> None:
        owner = (self.roll.customers if act.kind == "customer" else self.roll.merchants)[act.owner]
        path = f"/v1/{act.kind}s/{owner}"
        available = await self._available(path, act.currency)
        amount = min(available * act.share_bp // BASIS_POINTS, WITHDRAWN)
        if amount < SMALLEST:
            return
        body: Body = {"owner": owner, "amount": amount, "currency": act.currency}
        reply = await self.api.post("/v1/withdrawals", body, self.roll.key())
        if not reply.done:
            self._refused(reply)
            return
        self.journal.write(reply.body)
        self.tally.besides["withdrawal"] += 1

    # -- coming in

    async def _log_in(self, intent: Intent, act: LogIn) -> None:
        """Log in; whoever is asked again gives a second proof, if they can."""
        body: Body = {"customer": self.roll.customers[act.customer], "succeeded": act.succeeded}
        body |= _scene(act.scene) | {"user_agent": act.agent}
        reply = await self.api.post("/v1/logins", body, self.roll.key())
        if not reply.done:
            self._refused(reply)
            return
        login = reply.body
        self.tally.logged_in(login, intent.truth)
        if login["outcome"] != "ask_again" or not act.succeeded:
            return
        if await self._pause(self._rng.uniform(*TYPING_SECONDS)):
            path = f"/v1/logins/{login['id']}/answer"
            await self.api.post(path, {"passed": intent.answers}, self.roll.key())

    async def _change(self, act: Change) -> None:
        body: Body = {"customer": self.roll.customers[act.customer], "kind": act.kind} | _scene(act.scene)
        body.pop("place", None)
        reply = await self.api.post("/v1/settings-changes", body, self.roll.key())
        if reply.done:
            self.tally.besides["setting changed"] += 1
        else:
            self._refused(reply)

    # -- what goes wrong

    def _refused(self, reply: Reply) -> None:
        self.tally.problems[str(reply.body.get("code", reply.status))] += 1

    async def _spoil(self, act: Spoil) -> None:
        """Send something bad; the platform must refuse it with a problem of its own."""
        payer, merchant = self.roll.customers[act.payer], self.roll.merchants[act.merchant]
        key = self.roll.key()
        reply = None
        for path, body in FAULTS[act.fault](payer, merchant):
            reply = await self.api.post(path, body, key)
            if reply.done:
                self.journal.write(reply.body)
        assert reply is not None, "every fault sends something"
        self.tally.spoiled.sent += 1
        if 400 <= reply.status < 500 and "code" in reply.body:
            self.tally.spoiled.refused += 1
        else:
            self.tally.spoiled.accepted.append(f"{act.fault}: {reply.status}")


def _scene(scene: Scene) -> Body:
    body: Body = {}
    if scene.device is not None:
        body["device"] = scene.device
    if scene.ip is not None:
        body["ip"] = scene.ip
    if scene.place is not None:
        body["place"] = place_of(scene.place)
    return body
