"""Logins and changes of settings: what the caller's apps saw of a customer, and what is to be done about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.clock import from_us, to_us
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.api.bodies import Body, Id, Place, Text
from tillkeeper.faces.api.documents import responses
from tillkeeper.faces.api.door import Counter, TheCounter, Web, call_of, id_in, storable, stored_key
from tillkeeper.faces.api.paging import Cursor, Limit, id_cursor, moment_in
from tillkeeper.faces.api.problems import answer
from tillkeeper.risk import RuleSet, logins
from tillkeeper.store import Answer, Tx

_encode = msgspec.json.Encoder().encode

TheDesk = NamedDependency[logins.Desk]


class NewLogin(Body, frozen=True):
    """A try to log in. `succeeded`: the password (or what else there is) was right. `at`: RFC 3339, if it was not now.

    Of `user_agent` only browser, system and kind of device are kept, and a hash. `device`: a name that the caller's app or
    cookie gives the device.
    """

    OWN_RULE: ClassVar = frozenset(
        {"user_agent"}
    )  # it is not stored, and its version numbers look like anything

    customer: Id
    succeeded: bool
    ip: Text | None = None
    user_agent: Annotated[str, Meta(max_length=limits.MAX_USER_AGENT)] | None = None
    device: Text | None = None
    at: Text | None = None
    place: Place | None = None


class NewAnswer(Body, frozen=True):
    """What came of asking again: whether the customer gave the second proof."""

    passed: bool


class NewChange(Body, frozen=True):
    """A customer changed what protects them, or whom they may pay."""

    customer: Id
    kind: Literal["phone", "password", "email", "payee", "device"]
    device: Text | None = None
    ip: Text | None = None
    at: Text | None = None


class LoginReason(msgspec.Struct, frozen=True):
    """What speaks against a login: a stable name, or a rule's, and words."""

    name: str
    text: str


class LoginView(msgspec.Struct, frozen=True):
    """A login. `outcome`: "allow", "ask_again" (for a second proof, then tell us by /answer) or "block".

    `score`: 0 (the customer as ever) to 1. `network` and `country`: of the address.
    """

    id: str
    customer: str
    at: datetime
    succeeded: bool
    outcome: str
    score: float
    reasons: list[LoginReason]
    network: str | None
    country: str | None


class AnswerView(msgspec.Struct, frozen=True):
    """What came of asking again."""

    login: str
    passed: bool
    at: datetime


class ChangeView(msgspec.Struct, frozen=True):
    """A change of settings as noted."""

    id: str
    customer: str
    kind: str
    at: datetime


class MomentView(msgspec.Struct, frozen=True):
    """One entry of a customer's timeline. `kind`: "login", "setting", "payment" or "payout". `what`: of a login "succeeded" or
    "failed", of a setting what was changed, of a payment its kind. `answer`: what came of asking again. `new_device`: the first
    entry that comes from this device. `fraud`: what the payment turned out to be, known since `known_at`.
    """

    id: str
    at: datetime
    kind: str
    what: str
    outcome: str | None
    answer: bool | None
    score: float | None
    reasons: list[str]
    amount: int | None
    currency: str | None
    payee: str | None
    device: str | None
    new_device: bool
    ip: str | None
    network: str | None
    country: str | None
    browser: str | None
    system: str | None
    fraud: bool | None
    known_at: datetime | None


class Timeline(msgspec.Struct, frozen=True):
    """A page of a timeline, newest first."""

    data: list[MomentView]
    next_cursor: str | None


async def standings(tx: Tx, customers: Sequence[UUID]) -> Mapping[UUID, Refusal | None]:
    """Who of them may log in. Somebody frozen may: their money is what is frozen."""
    found = await parties.standings(await parties.send_standings(tx, customers))
    return {
        each.id: Refusal("customer_erased", "nobody is behind this id any more", "customer")
        if each.erased
        else None
        for each in found.values()
        if not each.merchant
    }


def desk_of(counter: Counter) -> logins.Desk:
    """The desk of this process."""
    return logins.Desk(counter.store, counter.clock, counter.settings.timezone, standings, counter.engine)


@post("/v1/logins", responses=responses(201, LoginView), action="login.record")
async def new_login(
    request: Web, counter: TheCounter, desk: TheDesk, data: JSONBody[NewLogin]
) -> Response[bytes]:
    """Say that a customer tries to log in, and hear what to do about it."""
    storable(data)
    place = data.place
    command = logins.NewLogin(
        id_in("cus", data.customer, "customer"),
        data.succeeded,
        data.ip,
        data.user_agent,
        data.device,
        _moment(data.at),
        place.lat if place else None,
        place.lon if place else None,
    )
    key = stored_key(await call_of(request))
    return answer(await desk.submit(command, key, partial(_login_answer, counter.engine.rules)))


@post("/v1/logins/{login_id:str}/answer", responses=responses(201, AnswerView), action="login.record")
async def answer_login(
    request: Web, desk: TheDesk, login_id: FromPath[str], data: JSONBody[NewAnswer]
) -> Response[bytes]:
    """Say what came of asking again. From an answer that passed on, the login counts as the customer's own."""
    command = logins.NewAnswer(id_in("lgn", login_id, "login"), data.passed)
    return answer(await desk.submit(command, stored_key(await call_of(request)), _answer_answer))


@post("/v1/settings-changes", responses=responses(201, ChangeView), action="login.record")
async def change_setting(request: Web, desk: TheDesk, data: JSONBody[NewChange]) -> Response[bytes]:
    """Say that a customer changed a phone number, a password, an address, a payee or a device."""
    storable(data)
    customer = id_in("cus", data.customer, "customer")
    command = logins.NewChange(customer, data.kind, data.device, data.ip, _moment(data.at))
    return answer(await desk.submit(command, stored_key(await call_of(request)), _change_answer))


@get("/v1/customers/{customer_id:str}/timeline", responses=responses(200, Timeline), action="timeline.view")
async def timeline(
    counter: TheCounter, customer_id: FromPath[str], cursor: Cursor = None, limit: Limit = limits.PAGE_DEFAULT
) -> Response[bytes]:
    """All that a customer does, newest first: logins, settings, payments, payouts, and what payments turned out to be."""
    customer = id_in("cus", customer_id, "customer")
    async with counter.store.tx("timeline") as tx:
        found = await logins.timeline(tx, customer, id_cursor(cursor), limit)
    following = to_typeid("cur", found[-1].id) if len(found) == limit else None
    return answer(Answer(200, _encode(Timeline([moment_view(each) for each in found], following))))


def moment_view(moment: logins.Moment) -> MomentView:
    """An entry as callers see it."""
    prefix = {"login": "lgn", "setting": "chg"}.get(moment.kind, "pay")
    # A payee is a customer, a merchant or a bank's account: the payment says which.
    values = {name: getattr(moment, name) for name in MomentView.__struct_fields__}
    return msgspec.convert(
        values
        | {
            "id": to_typeid(prefix, moment.id),
            "outcome": moment.outcome or None,
            "payee": str(moment.payee) if moment.payee else None,
        },
        MomentView,
    )


def _moment(text: str | None) -> int | None:
    return to_us(moment_in(text, "at")) if text else None


def _login_answer(rules: RuleSet, result: tuple[logins.Login, logins.Verdict]) -> Answer:
    login, verdict = result
    words = {rule.name: rule.reason("en") for rule in rules.rules}
    view = LoginView(
        to_typeid("lgn", login.id),
        to_typeid("cus", login.customer),
        from_us(login.at_us),
        login.succeeded,
        verdict.outcome,
        round(verdict.score, 4),
        [LoginReason(name, words.get(name) or logins.reason_words(name)) for name in verdict.reasons],
        login.network.name or None,
        login.network.country or None,
    )
    return Answer(201, _encode(view))


def _answer_answer(result: logins.Answered) -> Answer:
    return Answer(201, _encode(AnswerView(to_typeid("lgn", result.login), result.passed, result.at)))


def _change_answer(result: logins.SettingChange) -> Answer:
    customer = to_typeid("cus", result.customer)
    return Answer(
        201, _encode(ChangeView(to_typeid("chg", result.id), customer, result.kind, from_us(result.at_us)))
    )


HANDLERS = [new_login, answer_login, change_setting, timeline]
