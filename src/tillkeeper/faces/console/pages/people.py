"""Customers and merchants: lists, and a page for each with wallets, statement, payments and QR codes."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import segno
from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from markupsafe import Markup

from tillkeeper import ledger, parties
from tillkeeper.base import limits
from tillkeeper.base.ids import BadIdError, from_typeid, to_typeid
from tillkeeper.faces.console import charts
from tillkeeper.faces.console.desk import Desk, Page, TheDesk, Web, typed
from tillkeeper.faces.console.names import names_of, parties_in
from tillkeeper.faces.console.pages.payments import cursor, id_from
from tillkeeper.faces.console.render import Renderer
from tillkeeper.ledger import Account, Line
from tillkeeper.parties import Customer, Merchant
from tillkeeper.parties import browse as people
from tillkeeper.payments import QrCode, Wallet, browse, wallets_with_accounts
from tillkeeper.payments.browse import Filter
from tillkeeper.store import Tx

_STATEMENT: Final = 15
_PAYMENTS: Final = 10
_QR_CODES: Final = 6

Purse = tuple[Wallet, Account]


class Found(msgspec.Struct, frozen=True):
    """A list of customers or merchants. `before`: where it goes on."""

    rows: Sequence[Customer | Merchant]
    before: UUID | None = None


@get("/customers")
async def customers(request: Web, desk: TheDesk) -> Page:
    """Customers, newest first, or those a text finds."""
    return await _list(request, desk, "cus")


@get("/merchants")
async def merchants(request: Web, desk: TheDesk) -> Page:
    """Merchants, newest first, or those a text finds."""
    return await _list(request, desk, "mer")


@get("/customers/{public_id:str}")
async def customer(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One customer."""
    id_ = id_from("cus", public_id)
    async with desk.store.tx("console customer") as tx:
        found = (await parties.customers(tx, [id_])).get(id_)
        if found is None:
            raise NotFoundException
        context = await _party(tx, id_, request.query_params, desk.renderer(request))
    return await desk.page(request, "customer.html", {"party": found} | context)


@get("/merchants/{public_id:str}")
async def merchant(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One merchant."""
    id_ = id_from("mer", public_id)
    async with desk.store.tx("console merchant") as tx:
        found = (await parties.merchants(tx, [id_])).get(id_)
        if found is None:
            raise NotFoundException
        context = await _party(tx, id_, request.query_params, desk.renderer(request))
        codes = await browse.qr_codes_of(tx, id_, _QR_CODES)
    context["codes"] = [(code, qr_picture(code)) for code in codes]
    return await desk.page(request, "merchant.html", {"party": found} | context)


async def _list(request: Web, desk: Desk, prefix: str) -> Page:
    text = typed(request.query_params, "q")
    before = cursor(request.query_params.get("before"), prefix)
    async with desk.store.tx("console parties") as tx:
        found = await _find(tx, prefix, text) if text else await _newest(tx, prefix, before)
        purses = await _purses(tx, [row.id for row in found.rows])
    context = {
        "prefix": prefix,
        "text": text,
        "rows": found.rows,
        "purses": purses,
        "older": urlencode({"before": to_typeid(prefix, found.before)}) if found.before else None,
        "newest": before is not None,
    }
    return await desk.page(request, "parties.html", context)


async def _newest(tx: Tx, prefix: str, before: UUID | None) -> Found:
    read = parties.customer_page if prefix == "cus" else parties.merchant_page
    rows: Sequence[Customer | Merchant] = await read(tx, before, limits.PAGE_DEFAULT + 1)
    more = len(rows) > limits.PAGE_DEFAULT
    rows = rows[: limits.PAGE_DEFAULT]
    return Found(rows, rows[-1].id if more else None)


async def _find(tx: Tx, prefix: str, text: str) -> Found:
    """By id, by reference, or by the beginning of the name."""
    customers = prefix == "cus"
    try:
        id_ = from_typeid(prefix, text)
    except BadIdError:
        by_reference = parties.customer_by_reference if customers else parties.merchant_by_reference
        named = people.customers_named if customers else people.merchants_named
        exact: Customer | Merchant | None = await by_reference(tx, text)
        rows: Sequence[Customer | Merchant] = await named(tx, text, limits.PAGE_DEFAULT)
        return Found([exact] if exact else rows)
    by_id = parties.customers if customers else parties.merchants
    return Found(list((await by_id(tx, [id_])).values()))


async def _purses(tx: Tx, owners: Sequence[UUID]) -> dict[UUID, list[Purse]]:
    purses: dict[UUID, list[Purse]] = {owner: [] for owner in owners}
    for wallet, account in await wallets_with_accounts(tx, owners) if owners else ():
        purses[wallet.owner].append((wallet, account))
    return purses


async def _party(tx: Tx, id_: UUID, query: Mapping[str, str], renderer: Renderer) -> dict[str, Any]:
    """What the pages of customers and merchants share."""
    purses = (await _purses(tx, [id_]))[id_]
    page = await browse.search(tx, Filter(party=id_), None, _PAYMENTS)
    chosen = next(
        (purse for purse in purses if purse[0].currency == query.get("wallet")), purses[0] if purses else None
    )
    lines: list[Line] = []
    if chosen is not None:
        before = query.get("before", "")
        lines = await ledger.statement(
            tx, chosen[1].id, int(before) if before.isdecimal() and len(before) < 19 else None, _STATEMENT + 1
        )
    others = await _others(tx, lines, chosen)
    return {
        "purses": purses,
        "chosen": chosen,
        "lines": lines[:_STATEMENT],
        "earlier": lines[_STATEMENT - 1].version if len(lines) > _STATEMENT else None,
        "others": others,
        "course": _course(lines, renderer),
        "page": page,
        "names": await names_of(tx, [*parties_in(page.rows), *[wallet.owner for wallet in others.values()]]),
    }


async def _others(tx: Tx, lines: Sequence[Line], chosen: Purse | None) -> dict[UUID, Wallet]:
    """The wallet on the other side of each line, by the line's id."""
    if chosen is None:
        return {}
    own = chosen[1].id
    other = {
        line.id: line.credit_account if line.debit_account == own else line.debit_account for line in lines
    }
    wallets = await browse.wallets_by_account(tx, list(other.values()))
    return {line: wallets[account] for line, account in other.items() if account in wallets}


def _course(lines: Sequence[Line], renderer: Renderer) -> Markup | None:
    """The balance over the lines shown, its lowest at the bottom: the shape counts here, not the height."""
    if len(lines) < 3:
        return None
    lowest = min(line.balance for line in lines)
    plot, _ = charts.line([line.balance - lowest for line in reversed(lines)], renderer.texts("party.course"))
    return plot


def qr_picture(code: QrCode) -> Markup:
    """A QR code as SVG."""
    drawn = io.BytesIO()
    payload = f"till://pay/{to_typeid('qr', code.id)}"
    segno.make(payload, micro=False).save(
        drawn,
        kind="svg",
        xmldecl=False,
        svgns=True,
        omitsize=True,
        border=2,
        svgclass="qr",
        lineclass=None,
        dark="#000",
    )
    return Markup(drawn.getvalue().decode())  # noqa: S704 - drawn by segno from an id
