"""Payments: search, and a page per payment."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from tillkeeper import access
from tillkeeper.access import Approval
from tillkeeper.base import limits
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, lead_to
from tillkeeper.faces.console.names import names_of, parties_in, shops_named
from tillkeeper.faces.console.pages import search
from tillkeeper.faces.console.pages.story import read_story
from tillkeeper.payments import browse
from tillkeeper.risk import OUTCOMES
from tillkeeper.store import Tx

_SUGGESTIONS: Final = 5


@get("/payments", action="payment.view")
async def payments(request: Web, desk: TheDesk) -> Page:
    """The search form and a page of what it finds. A payment's id leads straight to it."""
    query = {key: str(value) for key, value in request.query_params.items()}
    async with desk.store.tx("console payments") as tx:
        currencies = await browse.currencies(tx)
        asked = search.read(query, desk.zone, currencies)
        if asked.payment is not None:
            return lead_to(request, f"/payments/{to_typeid('pay', asked.payment)}")
        page = browse.Page([], None, partial=False)
        if not asked.mistakes:
            page = await browse.search(tx, asked.wanted, cursor(query.get("before")), limits.PAGE_DEFAULT)
        names = await names_of(tx, desk.vault, parties_in(page.rows))
        if asked.wanted.party:
            names |= await names_of(tx, desk.vault, [asked.wanted.party])
        found = await shops_named(tx, asked.wanted.reference, _SUGGESTIONS) if asked.wanted.reference else []
    kept = {key: text for key, text in asked.texts.items() if text}
    older = urlencode(kept | {"before": to_typeid("pay", page.next_before)}) if page.next_before else None
    context: dict[str, Any] = {
        "asked": asked,
        "page": page,
        "names": names,
        "people": found,
        "currencies": currencies,
        "kinds": search.KINDS,
        "states": search.STATES,
        "outcomes": OUTCOMES,
        "older": older,
        "newest": urlencode(kept) if "before" in query else None,
    }
    return await desk.page(request, "payments.html", context)


@get("/payments/{public_id:str}", action="payment.view")
async def payment(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One payment and its story."""
    async with desk.store.tx("console payment") as tx:
        found = await browse.find_payments(tx, [id_from("pay", public_id)])
        if not found:
            raise NotFoundException
        context = await read_story(tx, desk.vault, found[0], desk.renderer(request))
        releases = await releases_of(tx, desk, [found[0].id])
    return await desk.page(request, "payment.html", {**context, "releases": releases})


async def releases_of(tx: Tx, desk: Desk, payments: Sequence[UUID]) -> dict[str, Approval]:
    """Those of the payments whose release somebody asked for, by public id, with the question."""
    public = [to_typeid("pay", each) for each in payments]
    return await access.approvals.open_about(tx, "payment.release", public, desk.clock)


def id_from(prefix: str, text: str) -> UUID:
    """An id in an address. Raises NotFoundException for anything else."""
    try:
        return from_typeid(prefix, text)
    except BadIdError:
        raise NotFoundException from None


def cursor(text: str | None, prefix: str = "pay") -> UUID | None:
    """Where a list goes on; a cursor that is not ours starts at the beginning."""
    try:
        return from_typeid(prefix, text) if text else None
    except BadIdError:
        return None
