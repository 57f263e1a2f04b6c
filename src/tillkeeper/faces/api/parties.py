"""Customers and merchants: open, look up, freeze, close; their wallets, statements and balances."""

import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
import segno
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec.structs import replace

from tillkeeper import audit, ledger, parties, payments
from tillkeeper.base import limits
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.personal import id_number, phone_number
from tillkeeper.base.results import Refused, refuse
from tillkeeper.faces.api import bodies, views
from tillkeeper.faces.api.documents import REFUSALS, responses
from tillkeeper.faces.api.door import (
    TheCounter,
    Web,
    address_of,
    asked_text,
    by,
    caller,
    checked_currency,
    id_in,
    key_of,
    once,
)
from tillkeeper.faces.api.paging import Cursor, Limit, id_cursor, moment_in, version_cursor
from tillkeeper.faces.api.problems import answer
from tillkeeper.parties import Customer, Merchant, Newcomer
from tillkeeper.payments import QrCode
from tillkeeper.store import Answer, Tx

_encode = msgspec.json.Encoder().encode
Reference = Annotated[
    str | None, QueryParameter(max_length=limits.MAX_TEXT, description="The caller's own name.")
]


class _Made(msgspec.Struct, frozen=True):
    """Whom a kept answer is about."""

    id: str


@post("/v1/customers", responses=responses(201, views.CustomerView), action="customer.create")
async def new_customer(
    request: Web, counter: TheCounter, data: JSONBody[bodies.NewCustomer]
) -> Response[bytes]:
    """Open a customer with wallets. The answer is kept for ever under its key, so it shows nothing of the person."""
    newcomer = Newcomer(
        new_id(),
        data.name,
        data.reference,
        phone_number(data.phone) if data.phone else None,
        id_number(data.id_number) if data.id_number else None,
    )
    currencies = _distinct(data.currencies)
    unset = data.daily_limit is msgspec.UNSET
    limit = counter.settings.default_daily_limit if unset else data.daily_limit

    async def act(tx: Tx, now: datetime) -> Answer:
        customer = await parties.add_customer(tx, counter.vault, newcomer, now)
        await payments.open_wallets(tx, customer.id, currencies, limit, now)  # type: ignore[arg-type]
        return Answer(201, _encode(views.unnamed((await _customers(tx, [customer]))[0])))

    async def same(tx: Tx, known: Answer) -> bool:
        made = msgspec.json.decode(known.body, type=_Made)
        return await parties.is_newcomer(tx, counter.vault, id_in("cus", made.id, "id"), newcomer)

    # No hash of personal data is kept: whoever has it could try names and numbers until one fits.
    key = await key_of(request, _encode(replace(data, name="", phone=None, id_number=None)))
    return answer(await once(counter, key, "new customer", act, same))


@post(
    "/v1/customers/search",
    status_code=200,
    responses=responses(200, views.Customers, (*REFUSALS, 429)),
    action="customer.view",
)
async def search_customers(
    request: Web, counter: TheCounter, data: JSONBody[bodies.CustomerSearch]
) -> Response[bytes]:
    """Customers with a phone number, an id number or a name; in the body, as personal data has no place in an address."""
    principal = caller(request)
    asked = {name: text for name, text in msgspec.structs.asdict(data).items() if text is not None}
    if len(asked) != 1:
        raise refuse("invalid_value", "give one of phone, id_number and name")
    ((field, text),) = asked.items()
    text = {"phone": phone_number, "id_number": id_number}.get(field, str)(text)
    key = to_typeid("key", principal.key)
    if refusal := await counter.lookups.refuse(
        counter.store, counter.clock, principal.actor, key, address_of(request.scope)
    ):
        raise Refused(refusal)
    async with counter.store.tx("search customers") as tx:
        found = await parties.customers_by(tx, counter.vault, field, text, limits.PAGE_DEFAULT)
        return answer(Answer(200, _encode(views.Customers(await _customers(tx, found), None))))


@post("/v1/merchants", responses=responses(201, views.MerchantView), action="merchant.create")
async def new_merchant(
    request: Web, counter: TheCounter, data: JSONBody[bodies.NewMerchant]
) -> Response[bytes]:
    """Open a merchant with wallets."""
    currencies = _distinct(data.currencies)
    fee = counter.settings.default_fee_bps if data.fee_bps is None else data.fee_bps
    place = data.place

    async def act(tx: Tx, now: datetime) -> Answer:
        lat, lon = (place.lat, place.lon) if place else (None, None)
        merchant = Merchant(new_id(), data.name, data.category, "active", fee, lat, lon, data.reference, now)
        await parties.add_merchant(tx, merchant)
        await payments.open_wallets(tx, merchant.id, currencies, None, now)
        return Answer(201, _encode((await _merchants(tx, [merchant]))[0]))

    return answer(await once(counter, await key_of(request), "new merchant", act))


@get("/v1/customers", responses=responses(200, views.Customers), action="customer.view")
async def customers(
    counter: TheCounter,
    cursor: Cursor = None,
    limit: Limit = limits.PAGE_DEFAULT,
    reference: Reference = None,
) -> Response[bytes]:
    """Customers, newest first; with `reference`, the one."""
    asked_text(reference, "reference")
    async with counter.store.tx("customers") as tx:
        if reference is not None:
            one = await parties.customer_by_reference(tx, counter.vault, reference)
            found = [one] if one else []
        else:
            found = await parties.customer_page(tx, counter.vault, id_cursor(cursor), limit)
        page = views.Customers(await _customers(tx, found), _next([each.id for each in found], limit))
    return answer(Answer(200, _encode(page)))


@get("/v1/merchants", responses=responses(200, views.Merchants), action="merchant.view")
async def merchants(
    counter: TheCounter,
    cursor: Cursor = None,
    limit: Limit = limits.PAGE_DEFAULT,
    reference: Reference = None,
) -> Response[bytes]:
    """Merchants, newest first; with `reference`, the one."""
    asked_text(reference, "reference")
    async with counter.store.tx("merchants") as tx:
        if reference is not None:
            one = await parties.merchant_by_reference(tx, reference)
            found = [one] if one else []
        else:
            found = await parties.merchant_page(tx, id_cursor(cursor), limit)
        page = views.Merchants(await _merchants(tx, found), _next([each.id for each in found], limit))
    return answer(Answer(200, _encode(page)))


@get("/v1/customers/{customer_id:str}", responses=responses(200, views.CustomerView), action="customer.view")
async def customer(counter: TheCounter, customer_id: FromPath[str]) -> Response[bytes]:
    """One customer."""
    who = id_in("cus", customer_id, "customer")
    async with counter.store.tx("customer") as tx:
        found = list((await parties.customers(tx, counter.vault, [who])).values())
        if not found:
            raise refuse("unknown_customer", "check the id")
        return answer(Answer(200, _encode((await _customers(tx, found))[0])))


@get("/v1/merchants/{merchant_id:str}", responses=responses(200, views.MerchantView), action="merchant.view")
async def merchant(counter: TheCounter, merchant_id: FromPath[str]) -> Response[bytes]:
    """One merchant."""
    who = id_in("mer", merchant_id, "merchant")
    async with counter.store.tx("merchant") as tx:
        found = list((await parties.merchants(tx, [who])).values())
        if not found:
            raise refuse("unknown_merchant", "check the id")
        return answer(Answer(200, _encode((await _merchants(tx, found))[0])))


@post(
    ["/v1/customers/{party_id:str}/wallets", "/v1/merchants/{party_id:str}/wallets"],
    responses=responses(201, views.WalletView),
    action="wallet.open",
)
async def new_wallet(
    request: Web, counter: TheCounter, party_id: FromPath[str], data: JSONBody[bodies.NewWallet]
) -> Response[bytes]:
    """Open one more wallet for a customer or merchant."""
    who = _owner(request, party_id)
    currency = checked_currency(data.currency)
    limit = counter.settings.default_daily_limit if _of_customer(request) else None

    async def act(tx: Tx, now: datetime) -> Answer:
        await _known(tx, who, merchant=not _of_customer(request))
        await payments.open_wallets(tx, who, [currency], limit, now)
        wallets = await _wallets(tx, [who])
        return Answer(201, _encode(next(each for each in wallets[who] if each.currency == currency)))

    return answer(await once(counter, await key_of(request), "new wallet", act))


@post(
    "/v1/customers/{customer_id:str}/daily-limit",
    status_code=200,
    responses=responses(200, views.CustomerView),
    action="customer.limit",
)
async def set_limit(
    request: Web, counter: TheCounter, customer_id: FromPath[str], data: JSONBody[bodies.NewLimit]
) -> Response[bytes]:
    """Change what may leave a customer's wallet in a day."""
    who = id_in("cus", customer_id, "customer")
    currency = checked_currency(data.currency)
    async with counter.store.tx("daily limit") as tx:
        found = list((await parties.customers(tx, counter.vault, [who])).values())
        if not found:
            raise refuse("unknown_customer", "check the id")
        account = await _account(tx, who, currency)
        await ledger.limit_day(tx, account.id, data.daily_limit)
        said = f"{currency} {data.daily_limit}"
        await _note(tx, request, "customer.daily_limit_changed", customer_id, said)
        return answer(Answer(200, _encode((await _customers(tx, found))[0])))


@post(
    ["/v1/customers/{customer_id:str}/freeze", "/v1/customers/{customer_id:str}/unfreeze"],
    status_code=200,
    responses=responses(200, views.CustomerView),
    action="customer.freeze",
)
async def set_customer_state(
    request: Web, counter: TheCounter, customer_id: FromPath[str]
) -> Response[bytes]:
    """`freeze` or `unfreeze` a customer: a frozen one neither pays nor receives."""
    state, done = {"freeze": ("frozen", "frozen"), "unfreeze": ("active", "unfrozen")}[_verb(request)]
    who = id_in("cus", customer_id, "customer")
    async with counter.store.tx("customer state") as tx:
        if not await parties.set_customer_state(tx, who, state):
            raise refuse("unknown_customer", "check the id")
        await _note(tx, request, f"customer.{done}", customer_id)
        return answer(
            Answer(
                200,
                _encode(
                    (
                        await _customers(
                            tx, list((await parties.customers(tx, counter.vault, [who])).values())
                        )
                    )[0]
                ),
            )
        )


@post(
    ["/v1/merchants/{merchant_id:str}/close", "/v1/merchants/{merchant_id:str}/reopen"],
    status_code=200,
    responses=responses(200, views.MerchantView),
    action="merchant.close",
)
async def set_merchant_state(
    request: Web, counter: TheCounter, merchant_id: FromPath[str]
) -> Response[bytes]:
    """`close` or `reopen` a merchant: a closed one takes no payments."""
    state, done = {"close": ("closed", "closed"), "reopen": ("active", "reopened")}[_verb(request)]
    who = id_in("mer", merchant_id, "merchant")
    async with counter.store.tx("merchant state") as tx:
        if not await parties.set_merchant_state(tx, who, state):
            raise refuse("unknown_merchant", "check the id")
        await _note(tx, request, f"merchant.{done}", merchant_id)
        return answer(
            Answer(
                200, _encode((await _merchants(tx, list((await parties.merchants(tx, [who])).values())))[0])
            )
        )


@post("/v1/merchants/{merchant_id:str}/qr-codes", responses=responses(201, views.QrView), action="qr.create")
async def new_qr_code(
    request: Web, counter: TheCounter, merchant_id: FromPath[str], data: JSONBody[bodies.NewQrCode]
) -> Response[bytes]:
    """A code for the merchant to show."""
    who = id_in("mer", merchant_id, "merchant")
    currency = checked_currency(data.currency)

    async def act(tx: Tx, now: datetime) -> Answer:
        await _account(tx, who, currency)
        expires_at = now + timedelta(seconds=data.expires_in)
        code = QrCode(new_id(), who, currency, data.amount, data.reference, now, expires_at, None)
        await payments.add_qr_code(tx, code)
        payload = f"till://pay/{to_typeid('qr', code.id)}"
        return Answer(201, _encode(views.qr_view(code, payload, _picture(payload))))

    return answer(await once(counter, await key_of(request), "new qr code", act))


@get(
    ["/v1/customers/{party_id:str}/statement", "/v1/merchants/{party_id:str}/statement"],
    responses=responses(200, views.Statement),
    action="statement.view",
)
async def statement(
    request: Web,
    counter: TheCounter,
    party_id: FromPath[str],
    currency: FromQuery[str],
    cursor: Cursor = None,
    limit: Limit = limits.PAGE_DEFAULT,
) -> Response[bytes]:
    """A wallet's transfers, newest first, with the balance after each."""
    who = _owner(request, party_id)
    async with counter.store.tx("statement") as tx:
        account = await _account(tx, who, checked_currency(currency))
        lines = await ledger.statement(tx, account.id, version_cursor(cursor), limit)
    following = str(lines[-1].version) if len(lines) == limit else None
    return answer(
        Answer(200, _encode(views.Statement([views.line_view(line, account) for line in lines], following)))
    )


@get(
    ["/v1/customers/{party_id:str}/balance", "/v1/merchants/{party_id:str}/balance"],
    responses=responses(200, views.BalanceView),
    action="statement.view",
)
async def balance(
    request: Web,
    counter: TheCounter,
    party_id: FromPath[str],
    currency: FromQuery[str],
    at: FromQuery[str | None] = None,
) -> Response[bytes]:
    """A wallet's balance as of a moment (RFC 3339; default now)."""
    who = _owner(request, party_id)
    moment = moment_in(at, "at") if at else counter.clock.now()
    async with counter.store.tx("balance") as tx:
        account = await _account(tx, who, checked_currency(currency))
        booked = by_event = account.balance
        if at:  # adds up the account's transfers: not for every look at the present
            booked = await ledger.balance_booked_by(tx, account.id, moment)
            by_event = await ledger.balance_by_event(tx, account, moment)
    return answer(Answer(200, _encode(views.BalanceView(currency, moment, booked, by_event))))


def _distinct(currencies: Sequence[str]) -> list[str]:
    found = [checked_currency(currency, "currencies") for currency in currencies]
    if len(set(found)) != len(found):
        raise refuse("invalid_value", "each currency once", "currencies")
    return found


def _of_customer(request: Web) -> bool:
    return request.scope["path"].startswith("/v1/customers/")


def _owner(request: Web, party_id: str) -> UUID:
    return id_in("cus" if _of_customer(request) else "mer", party_id, "id")


def _verb(request: Web) -> str:
    return request.scope["path"].rpartition("/")[2]


async def _note(tx: Tx, request: Web, action: str, subject: str, reason: str = "") -> None:
    who = by(request)
    await audit.append(tx, who["actor"], action, subject, reason, who["origin"])


async def _known(tx: Tx, who: UUID, *, merchant: bool) -> None:
    found = (await parties.standings(await parties.send_standings(tx, [who]))).get(who)
    if found is None or found.merchant != merchant:
        raise refuse("not_found", "there is no such owner")


async def _account(tx: Tx, who: UUID, currency: str) -> ledger.Account:
    for wallet, account in await payments.wallets_with_accounts(tx, [who]):
        if wallet.currency == currency:
            return account
    raise refuse("unknown_wallet", f"there is no such owner, or no wallet in {currency}", "currency")


async def _wallets(tx: Tx, owners: Sequence[UUID]) -> dict[UUID, list[views.WalletView]]:
    found: dict[UUID, list[views.WalletView]] = {owner: [] for owner in owners}
    for wallet, account in await payments.wallets_with_accounts(tx, owners):
        found[wallet.owner].append(views.wallet_view(wallet, account))
    return found


async def _customers(tx: Tx, found: Sequence[Customer]) -> list[views.CustomerView]:
    wallets = await _wallets(tx, [each.id for each in found])
    return [views.customer_view(each, wallets[each.id]) for each in found]


async def _merchants(tx: Tx, found: Sequence[Merchant]) -> list[views.MerchantView]:
    wallets = await _wallets(tx, [each.id for each in found])
    return [views.merchant_view(each, wallets[each.id]) for each in found]


def _next(ids: Sequence[UUID], limit: int) -> str | None:
    return to_typeid("cur", ids[-1]) if len(ids) == limit else None


def _picture(payload: str) -> str:
    out = io.BytesIO()
    segno.make(payload, error="m").save(out, kind="svg", scale=4, xmldecl=False)
    return out.getvalue().decode()


HANDLERS = [
    new_customer,
    new_merchant,
    search_customers,
    customers,
    merchants,
    customer,
    merchant,
    new_wallet,
    set_limit,
    set_customer_state,
    set_merchant_state,
    new_qr_code,
    statement,
    balance,
]
