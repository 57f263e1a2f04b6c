"""Customers: a list and a search; what is personal is masked."""

from litestar import get, post

from tillkeeper import parties
from tillkeeper.base import limits
from tillkeeper.base.ids import BadIdError, from_typeid
from tillkeeper.base.personal import id_number, phone_number
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, origin_of, person_of, typed
from tillkeeper.faces.console.pages.payments import cursor
from tillkeeper.faces.console.pages.people import Found, first_page, list_context
from tillkeeper.parties import Customer
from tillkeeper.store import Tx


@get("/customers", action="customer.view")
async def customers(request: Web, desk: TheDesk) -> Page:
    """Customers, newest first."""
    before = cursor(request.query_params.get("before"), "cus")
    async with desk.store.tx("console customers") as tx:
        rows = await parties.customer_page(tx, desk.vault, before, limits.PAGE_DEFAULT + 1)
        context = await list_context(tx, first_page(rows), "cus", "")
    return await desk.page(request, "parties.html", context | {"newest": before is not None})


@post("/customers/search", action="customer.view", personal=("q",), status_code=200)
async def search(request: Web, desk: TheDesk) -> Page:
    """Customers whom a text finds. By POST: what people are called or numbered has no place in an address."""
    text = typed(await request.form(), "q")
    async with desk.store.tx("console find customer") as tx:
        found: list[Customer] | Refusal = await _known(tx, desk, text)
    if not found and text:
        person = person_of(request)
        refusal = await desk.lookups.refuse(desk.store, desk.clock, person, person, origin_of(request))
        found = refusal or await _personal(desk, text)
    rows, refusal = ([], found) if isinstance(found, Refusal) else (found, None)
    async with desk.store.tx("console customers") as tx:
        context = await list_context(tx, Found(rows), "cus", text)
    status = refusal.status if refusal else 200
    return await desk.page(request, "parties.html", context | {"newest": True, "refusal": refusal}, status)


async def _known(tx: Tx, desk: Desk, text: str) -> list[Customer]:
    """By id, or by reference: neither is personal."""
    try:
        id_ = from_typeid("cus", text)
    except BadIdError:
        exact = await parties.customer_by_reference(tx, desk.vault, text)
        return [exact] if exact else []
    return list((await parties.customers(tx, desk.vault, [id_])).values())


async def _personal(desk: Desk, text: str) -> list[Customer]:
    """By phone number, by id number, or by the whole name."""
    for field, form in (("phone", phone_number), ("id_number", id_number), ("name", str)):
        try:
            wanted = form(text)
        except Refused:
            continue
        async with desk.store.tx("console find customers") as tx:
            found = await parties.customers_by(tx, desk.vault, field, wanted, limits.PAGE_DEFAULT)
        if found:
            return found
    return []
