"""Four eyes: what waits for a second person, and what became of it. Here an answer is given, by a signed-in press."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.access import Approval, Session
from tillkeeper.base import limits
from tillkeeper.base.forbidden import forbidden
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import (
    Desk,
    Page,
    TheDesk,
    Web,
    go_to,
    origin_of,
    session_of,
    typed,
)
from tillkeeper.faces.console.names import names_of, parties_in
from tillkeeper.faces.console.pages.payments import cursor, id_from
from tillkeeper.faces.console.render import Renderer
from tillkeeper.payments import Payment, browse
from tillkeeper.store import Tx

_PAGES: Final = {
    "pay": "/payments",
    "cus": "/customers",
    "mer": "/merchants",
    "pln": "/plans",
    "rpr": "/rules/proposals",
}
_PUBLIC: Final = re.compile(rf"({'|'.join(_PAGES)})_\w{{26}}")
_MODELS: Final = frozenset({"model", "replaces"})
"""Terms that are a model's number, 0 for none."""
_SHOWN: Final = 100


class Term(msgspec.Struct, frozen=True):
    """One of the terms: its name, its text, the page that it leads to, if any, and the text in full where it is shortened."""

    name: str
    text: str
    href: str | None = None
    full: str | None = None


class Shown(msgspec.Struct, frozen=True):
    """A question as the page shows it. `mine`: the person asked it; `takes`: the roles that could answer, if not theirs."""

    approval: Approval
    terms: list[Term]
    mine: bool
    may: bool
    takes: list[str]
    done_here: bool


async def approval_in(request: Web, desk: Desk) -> access.Thing | None:
    """The approval that an address names, for the door to judge."""
    try:
        id_ = from_typeid("apr", request.path_params["public_id"])
    except BadIdError:
        return None
    async with desk.store.tx("console approval") as tx:
        found = await access.approvals.find(tx, id_)
    return access.approvals.thing(found) if found else None


@get("/approvals", action="approval.view")
async def approvals(request: Web, desk: TheDesk) -> Page:
    """What waits, the longest first; then what was decided, the newest first."""
    before = cursor(request.query_params.get("before"), "apr")
    async with desk.store.tx("console approvals") as tx:
        waiting = [] if before else await access.approvals.open_ones(tx, desk.clock, None, _SHOWN)
        past = await access.approvals.past_ones(tx, desk.clock, before, limits.PAGE_DEFAULT + 1)
        payments = await _payments(tx, waiting)
        names = await names_of(tx, desk.vault, parties_in(payments.values()))
    session, renderer = session_of(request), desk.renderer(request)
    assert session is not None
    shown = past[: limits.PAGE_DEFAULT]
    context = {
        "payments": payments,
        "names": names,
        "waiting_ones": [_shown(each, session, desk, renderer) for each in waiting],
        "past": [(each, terms_of(each, renderer)[0]) for each in shown],
        "further": to_typeid("apr", shown[-1].id) if len(past) > len(shown) else None,
        "later": before is not None,
    }
    return await desk.page(request, "approvals.html", context)


@post("/approvals/{public_id:str}", action="approval.decide", thing=approval_in, fresh=True)
async def decide(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Give or refuse what a colleague asked for; what is given and can be done here is done at once."""
    form = await request.form()
    verdict, comment = str(form.get("verdict")), typed(form, "comment")
    if mistake := _mistake(verdict, comment):
        return await _problem(request, desk, mistake)
    session = session_of(request)
    assert session is not None
    async with desk.store.tx("console approval") as tx:
        said = await access.approvals.decide(
            tx,
            desk.deeds,
            id_from("apr", public_id),
            _digest(str(form.get("digest"))),
            session,
            desk.clock,
            give=verdict == "give",
            comment=comment,
            origin=origin_of(request),
        )
    if isinstance(said, Refusal):
        return await _problem(request, desk, said)
    return await _carried_out(request, desk, said) if verdict == "give" else go_to("/approvals?notice=denied")


@post("/approvals/{public_id:str}/carry-out", action="approval.decide", thing=approval_in, fresh=True)
async def carry_out(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Do what was given, where the program was ended in between."""
    async with desk.store.tx("console approval") as tx:
        found = await access.approvals.find(tx, id_from("apr", public_id))
    assert found is not None  # the door found it
    return await _carried_out(request, desk, found)


@post("/approvals/{public_id:str}/withdraw", action="approval.withdraw", thing=approval_in)
async def withdraw(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Take one's own question back."""
    session = session_of(request)
    assert session is not None
    async with desk.store.tx("console approval") as tx:
        said = await access.approvals.withdraw(
            tx, id_from("apr", public_id), session, desk.clock, origin=origin_of(request)
        )
    if isinstance(said, Refusal):
        return await _problem(request, desk, said)
    return go_to("/approvals?notice=withdrawn")


async def _payments(tx: Tx, waiting: Sequence[Approval]) -> dict[str, Payment]:
    """The payments that are waited for, by public id."""
    ids = [from_typeid("pay", each.subject) for each in waiting if each.subject.startswith("pay_")]
    return {to_typeid("pay", each.id): each for each in await browse.find_payments(tx, ids)}


def terms_of(approval: Approval, renderer: Renderer) -> list[Term]:
    """What will happen, in words; the first says to what."""
    given: dict[str, Any] = msgspec.json.decode(approval.terms)
    # In the order of the deed's own fields would be prettier; as JSON they come sorted, the subject first.
    order = sorted(given, key=lambda name: given[name] != approval.subject)
    return [_term(name, given[name], given, renderer) for name in order if name != "currency"]


def _term(name: str, value: Any, given: dict[str, Any], renderer: Renderer) -> Term:
    if name == "amount" and "currency" in given:
        return Term(name, renderer.money(value, given["currency"]))
    if name == "seconds":
        return Term(name, renderer.texts("unit.min", value=value // 60))
    if isinstance(value, list):
        return Term(name, ", ".join(renderer.texts.named("role", each) for each in value) or "–")
    text = str(value)
    if name == "as_of":
        return Term(name, renderer.texts.named("state", text.split(" ", 1)[0]), full=text)
    if name in _MODELS:
        number = int(value)
        return (
            Term(name, renderer.texts("models.version", version=number), f"/models/{number}")
            if number
            else Term(name, "–")
        )
    kind = _PUBLIC.fullmatch(text)
    return Term(name, text, f"{_PAGES[kind[1]]}/{text}" if kind else None)


def _shown(approval: Approval, session: Session, desk: Desk, renderer: Renderer) -> Shown:
    policies, thing, deed = (
        access.policies(),
        access.approvals.thing(approval),
        desk.deeds.get(approval.deed),
    )
    terms = terms_of(approval, renderer)
    if approval.reason and approval.reason not in [term.text for term in terms]:
        terms.append(Term("reason", approval.reason))
    may = policies.judge(session, "approval.decide", thing).allowed
    roles = {role for _, role in policies.permitting("Person", "approval.decide", thing)}
    return Shown(
        approval,
        terms,
        mine=approval.principal is None and approval.asked_by == session.person,
        may=may and deed is not None,
        takes=[role for role in access.ROLES if role in roles],
        done_here=deed is not None and deed.carry_out is not None,
    )


async def _carried_out(request: Web, desk: Desk, approval: Approval) -> Page:
    done = await access.approvals.carry_out(desk.store, desk.deeds, approval.id, desk.clock)
    if isinstance(done, Refusal):
        return await _problem(request, desk, done)
    return go_to(f"/approvals?notice={'carried_out' if done.state == 'used' else 'given'}")


def _mistake(verdict: str, comment: str) -> Refusal | None:
    if verdict not in {"give", "refuse"} or len(comment) > limits.MAX_TEXT:
        return Refusal("invalid_value")
    return forbidden(comment)


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


async def _problem(request: Web, desk: Desk, refusal: Refusal) -> Page:
    context = {"problem": refusal.code, "detail": refusal.detail, "back": "/approvals"}
    return await desk.page(request, "problem.html", context, refusal.status)
