"""Merchants: a list, and a page for each; and what the pages of merchants and customers share."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
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
from tillkeeper.risk import cases
from tillkeeper.store import Tx

_STATEMENT: Final = 15
_PAYMENTS: Final = 10
_QR_CODES: Final = 6

Purse = tuple[Wallet, Account]


class Found(msgspec.Struct, frozen=True):
    """A list of customers or merchants. `before`: where it goes on."""

    rows: Sequence[Customer | Merchant]
    before: UUID | None = None


@get("/merchants", action="merchant.view")
async def merchants(request: Web, desk: TheDesk) -> Page:
    """Merchants, newest first, or those a text finds."""
    text = typed(request.query_params, "q")
    before = cursor(request.query_params.get("before"), "mer")
    async with desk.store.tx("console merchants") as tx:
        found = await _find(tx, text) if text else first_page(await _newest(tx, before))
        context = await list_context(tx, found, "mer", text)
    return await desk.page(request, "parties.html", context | {"newest": before is not None})


@get("/merchants/{public_id:str}", action="merchant.view")
async def merchant(request: Web, desk: TheDesk, public_id: FromPath[str]) -> Page:
    """One merchant."""
    id_ = id_from("mer", public_id)
    async with desk.store.tx("console merchant") as tx:
        found = (await parties.merchants(tx, [id_])).get(id_)
        if found is None:
            raise NotFoundException
        context = await party_context(tx, desk, id_, request)
        codes = await browse.qr_codes_of(tx, id_, _QR_CODES)
    context["codes"] = [(code, qr_picture(code)) for code in codes]
    return await desk.page(request, "merchant.html", {"party": found} | context)


async def _newest(tx: Tx, before: UUID | None) -> Sequence[Merchant]:
    return await parties.merchant_page(tx, before, limits.PAGE_DEFAULT + 1)


async def _find(tx: Tx, text: str) -> Found:
    """By id, by reference, or by the beginning of the name."""
    try:
        id_ = from_typeid("mer", text)
    except BadIdError:
        exact = await parties.merchant_by_reference(tx, text)
        return Found([exact] if exact else await people.merchants_named(tx, text, limits.PAGE_DEFAULT))
    return Found(list((await parties.merchants(tx, [id_])).values()))


# -- shared


def first_page(rows: Sequence[Customer | Merchant]) -> Found:
    """The rows of a page, of which one more was read to know whether it goes on."""
    more = len(rows) > limits.PAGE_DEFAULT
    rows = rows[: limits.PAGE_DEFAULT]
    return Found(rows, rows[-1].id if more else None)


async def list_context(tx: Tx, found: Found, prefix: str, text: str) -> dict[str, Any]:
    """What a list shows of those who were found."""
    return {
        "prefix": prefix,
        "text": text,
        "rows": found.rows,
        "purses": await _purses(tx, [row.id for row in found.rows]),
        "older": urlencode({"before": to_typeid(prefix, found.before)}) if found.before else None,
        "newest": False,
        "refusal": None,
    }


async def party_context(tx: Tx, desk: Desk, id_: UUID, request: Web) -> dict[str, Any]:
    """What the pages of customers and merchants share."""
    query: Mapping[str, str] = request.query_params
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
    met = [*parties_in(page.rows), *[wallet.owner for wallet in others.values()]]
    return {
        "purses": purses,
        "chosen": chosen,
        "lines": lines[:_STATEMENT],
        "earlier": lines[_STATEMENT - 1].version if len(lines) > _STATEMENT else None,
        "others": others,
        "course": _course(lines, desk.renderer(request)),
        "page": page,
        "cases": await cases.cases_of(tx, id_),
        "names": await names_of(tx, desk.vault, met),
    }


async def _purses(tx: Tx, owners: Sequence[UUID]) -> dict[UUID, list[Purse]]:
    purses: dict[UUID, list[Purse]] = {owner: [] for owner in owners}
    for wallet, account in await wallets_with_accounts(tx, owners) if owners else ():
        purses[wallet.owner].append((wallet, account))
    return purses


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
    """What a QR code of a merchant says, as a picture."""
    return charts.qr_code(f"till://pay/{to_typeid('qr', code.id)}")
