"""What callers send. Fields are checked for form here; the flows judge the rest."""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from tillkeeper.base import limits

Amount = Annotated[int, Meta(ge=1, le=limits.MAX_AMOUNT, description="Minor units of the currency.")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217.", examples=["CNY"])]
Text = Annotated[str, Meta(min_length=1, max_length=limits.MAX_TEXT)]
Id = Annotated[str, Meta(max_length=limits.MAX_TEXT)]
Degrees = Annotated[float, Meta(ge=-180, le=180)]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000, description="Hundredths of a percent.")]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request body: unknown fields are refused, so that a typing mistake is not a silent default."""


class Place(Body, frozen=True):
    """Where it happens, degrees."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Degrees


PERSONAL: Final = frozenset({"phone", "id_number"})
"""Fields of people that base.personal judges: their digits would often pass for a card number."""


class NewCustomer(Body, frozen=True):
    """A customer and their wallets. `daily_limit`: what may leave each wallet in a day; null for no limit.

    `name`, `phone` and `id_number` are sealed; answers show masks only. `phone`: E.164 or a Chinese mobile. `id_number`: of
    any identity document; a Chinese resident's must have the right check digit.
    """

    OWN_RULE: ClassVar = PERSONAL

    name: Text
    currencies: Annotated[list[Currency], Meta(min_length=1, max_length=limits.MAX_WALLETS)]
    daily_limit: Annotated[int, Meta(ge=0, le=limits.MAX_AMOUNT)] | msgspec.UnsetType | None = msgspec.UNSET
    reference: Text | None = None
    phone: Text | None = None
    id_number: Text | None = None


class CustomerSearch(Body, frozen=True):
    """Whom to look for, by exactly one of these; the whole of it, but capitals, width and spaces do not count."""

    OWN_RULE: ClassVar = PERSONAL

    phone: Text | None = None
    id_number: Text | None = None
    name: Text | None = None


class NewMerchant(Body, frozen=True):
    """A merchant and their wallets."""

    name: Text
    category: Text
    currencies: Annotated[list[Currency], Meta(min_length=1, max_length=limits.MAX_WALLETS)]
    fee_bps: BasisPoints | None = None
    place: Place | None = None
    reference: Text | None = None


class NewWallet(Body, frozen=True):
    """One more currency for an owner."""

    currency: Currency


class NewLimit(Body, frozen=True):
    """What may leave a wallet in a day; null for no limit."""

    currency: Currency
    daily_limit: Annotated[int, Meta(ge=0, le=limits.MAX_AMOUNT)] | None


class NewQrCode(Body, frozen=True):
    """A code to show. With an amount it is paid once. `expires_in`: seconds."""

    currency: Currency
    amount: Amount | None = None
    reference: Text | None = None
    expires_in: Annotated[int, Meta(ge=1, le=365 * 86400)] = limits.QR_SECONDS


class NewPayment(Body, frozen=True):
    """Pay a merchant, named or by QR code. `capture` "manual" only reserves the money."""

    payer: Id
    amount: Amount
    currency: Currency
    merchant: Id | None = None
    qr: Id | None = None
    capture: Annotated[str, Meta(pattern="^(automatic|manual)$")] = "automatic"
    reference: Text | None = None
    note: Text | None = None
    device: Text | None = None
    ip: Text | None = None
    place: Place | None = None


class NewSend(Body, frozen=True):
    """Pay a person."""

    payer: Id
    payee: Id
    amount: Amount
    currency: Currency
    note: Text | None = None
    device: Text | None = None
    ip: Text | None = None
    place: Place | None = None


class NewTopUp(Body, frozen=True):
    """Money from the bank. `instruction` steers the sandbox bank: late, twice, never, no."""

    customer: Id
    amount: Amount
    currency: Currency
    instruction: Annotated[str, Meta(max_length=limits.MAX_TEXT)] = ""


class NewWithdrawal(Body, frozen=True):
    """Money to the owner's bank. `instruction` names the bank account: where it is one the owner never used, risk sees it."""

    owner: Id
    amount: Amount
    currency: Currency
    instruction: Annotated[str, Meta(max_length=limits.MAX_TEXT)] = ""
    device: Text | None = None
    ip: Text | None = None
    place: Place | None = None


class NewCapture(Body, frozen=True):
    """Take what is reserved, or less."""

    amount: Amount | None = None


class NewVoid(Body, frozen=True):
    """Nothing more to say."""


class NewRefund(Body, frozen=True):
    """Give back what is left, or less."""

    amount: Amount | None = None
    reason: Annotated[str, Meta(max_length=limits.MAX_TEXT)] = ""


class ChallengeAnswer(Body, frozen=True):
    """The payer's one-time code."""

    code: Text


class NewFraudReport(Body, frozen=True):
    """What a payment turned out to be."""

    payment: Id
    fraud: bool


class NewEndpoint(Body, frozen=True):
    """Where to send webhooks: topics as in "payment.succeeded", "payment.*" or "*"."""

    url: Annotated[str, Meta(max_length=2000)]
    topics: Annotated[list[Text], Meta(min_length=1, max_length=limits.MAX_WEBHOOK_TOPICS)]


class NewReplay(Body, frozen=True):
    """Send again everything since a time (RFC 3339)."""

    since: Text
