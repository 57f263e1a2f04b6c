"""One customer: wallets, payments, masked data; looks at the data under a grant, and the way out for good."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import access, audit, parties, payments
from tillkeeper.audit import Event, Filter
from tillkeeper.base import limits
from tillkeeper.base.discretion import gossip
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, go_to, origin_of, session_in, typed
from tillkeeper.faces.console.pages.payments import id_from
from tillkeeper.faces.console.pages.people import party_context

FIELDS: Final = ("name", "phone", "id_number")
_LOOKS: Final = 10
_GRANT_SECONDS: Final = 15 * 60
_ERASE: Final = "customer.erase"


class Look(msgspec.Struct, frozen=True):
    """A look at personal data as the trail has it: at which field, and for what, or why it was refused."""

    event: Event
    field: str
    why: str


class Seen(msgspec.Struct, frozen=True):
    """What one person asked to see: the value, this once, or why not."""

    field: str
    value: str = ""
    purpose: str = ""
    reference: str = ""
    refusal: Refusal | None = None


@get("/customers/{public_id:str}", action="customer.view")
async def customer(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One customer."""
    return await _page(request, desk, id_from("cus", public_id))


@post("/customers/{public_id:str}/reveal", action="customer.reveal", status_code=200)
async def reveal(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Show a name, phone or id number once, under a purpose given before or now."""
    id_, form = id_from("cus", public_id), await request.form()
    field = str(form.get("field"))
    seen = await _look(request, desk, id_, field, form)
    return await _page(request, desk, id_, seen, seen.refusal.status if seen.refusal else 200)


@post("/customers/{public_id:str}/erase", action=_ERASE, fresh=True)
async def erase(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """Ask a second person for the erasure of a customer who may leave."""
    id_from("cus", public_id)
    reason = typed(await request.form(), "reason")
    refusal = _mistake("reason", reason)
    if refusal is None:
        asker = access.approvals.asker(session_in(request), origin_of(request))
        terms = payments.Leaving(public_id, reason)
        async with desk.store.tx("console four eyes") as tx:
            asked = await access.approvals.ask(tx, desk.deeds[_ERASE], terms, asker, desk.clock, reason)
        if not isinstance(asked, Refusal):
            return go_to(f"/customers/{public_id}?notice=erasure_asked")
        refusal = asked
    context = {"problem": refusal.code, "detail": refusal.detail, "back": f"/customers/{public_id}"}
    return await desk.page(request, "problem.html", context, refusal.status)


async def _look(request: Web, desk: Desk, id_: UUID, field: str, form: Mapping[str, Any]) -> Seen:
    session, origin = session_in(request), origin_of(request)
    grant = await _grant(request, desk, form)
    if isinstance(grant, Refusal):
        return Seen(field, refusal=grant)
    said = await parties.reveal(
        desk.store, desk.vault, session, id_, field, grant.id, desk.clock, origin=origin
    )
    if isinstance(said, Refusal):
        return Seen(field, refusal=said)
    return Seen(field, said, grant.purpose, grant.reference)


async def _grant(request: Web, desk: Desk, form: Mapping[str, Any]) -> access.Grant | Refusal:
    """The purpose that the form names, or a new one."""
    async with desk.store.tx("console grant") as tx:
        if (chosen := str(form.get("grant") or "")) != "":
            try:
                found = await access.grants.find_grant(tx, from_typeid("grt", chosen))
            except BadIdError:
                found = None
            return found or Refusal("grant_ended")
        for field in ("reference", "reason"):
            if refusal := _mistake(field, typed(form, field)):
                return refusal
        rows = typed(form, "rows")
        return await access.grants.open_grant(
            tx,
            session_in(request),
            str(form.get("purpose")),
            typed(form, "reference"),
            typed(form, "reason"),
            int(rows) if rows.isdecimal() and len(rows) < 6 else 0,
            _GRANT_SECONDS,
            desk.clock,
            origin=origin_of(request),
        )


def _mistake(field: str, text: str) -> Refusal | None:
    """What is wrong with a text that everybody may read."""
    if not 0 < len(text) <= limits.MAX_TEXT:
        return Refusal("invalid_value", f"1 to {limits.MAX_TEXT} characters", field)
    return gossip(text, field)


async def _page(request: Web, desk: Desk, id_: UUID, seen: Seen | None = None, status: int = 200) -> Page:
    session, public_id = session_in(request), to_typeid("cus", id_)
    async with desk.store.tx("console customer") as tx:
        found = (await parties.customers(tx, desk.vault, [id_])).get(id_)
        if found is None:
            raise NotFoundException
        looked = await audit.search(tx, Filter(subject=public_id, action=parties.REVEALED), None, _LOOKS)
        context = await party_context(tx, desk, id_, request) | {
            "party": found,
            "fields": FIELDS,
            "seen": seen,
            "looks": [_read(event) for event in looked.events],
            "grants": await access.grants.grants_for(tx, session.person, public_id, desk.clock),
            "purposes": access.grants.PURPOSES,
            "most_rows": limits.GRANT_ROWS,
            "hold": await parties.hold_on(tx, id_),
            "erased": await parties.erasure_of(tx, id_),
            "can_erase": _ERASE in desk.deeds,
            "asked": (await access.approvals.open_about(tx, _ERASE, [public_id], desk.clock)).get(public_id),
        }
    return await desk.page(request, "customer.html", context, status)


def _read(event: Event) -> Look:
    field, _, why = event.reason.partition(": ")
    return Look(event, field, why)
