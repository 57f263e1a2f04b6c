"""What callers see of parties, statements, decisions and webhooks. Payments are rendered where they are made."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from tillkeeper.base.ids import to_typeid
from tillkeeper.ledger import Account, Line
from tillkeeper.parties import Customer, Merchant
from tillkeeper.payments import PaymentView, QrCode, Wallet
from tillkeeper.payments.webhooks import Delivery, Endpoint


class WalletView(msgspec.Struct, frozen=True):
    """A wallet: `balance` minus `held` is `available`. Minor units. `daily_limit` null: no limit."""

    currency: str
    balance: int
    held: int
    available: int
    daily_limit: int | None


class CustomerView(msgspec.Struct, frozen=True):
    """A customer. `name`, `phone` and `id_number` are masks: "王**", "138****5678"; null: never given, or erased."""

    id: str
    name: str | None
    phone: str | None
    id_number: str | None
    state: str
    reference: str | None
    wallets: list[WalletView]
    created_at: datetime


class PlaceView(msgspec.Struct, frozen=True):
    """A place, degrees."""

    lat: float
    lon: float


class MerchantView(msgspec.Struct, frozen=True):
    """A merchant. `fee_bps`: the platform's share in hundredths of a percent."""

    id: str
    name: str
    category: str
    state: str
    fee_bps: int
    place: PlaceView | None
    reference: str | None
    wallets: list[WalletView]
    created_at: datetime


class LineView(msgspec.Struct, frozen=True):
    """A line of a statement: what came in (positive) or went out, and the balance after it."""

    id: str
    kind: str
    payment: str
    amount: int
    balance: int
    event_at: datetime
    booked_at: datetime


class BalanceView(msgspec.Struct, frozen=True):
    """A balance as of a moment: as the books stood then, and by when things happened."""

    currency: str
    at: datetime
    booked: int
    by_event: int


class QrView(msgspec.Struct, frozen=True):
    """A QR code: `payload` is what it says, `svg` its picture."""

    id: str
    merchant: str
    currency: str
    amount: int | None
    reference: str | None
    expires_at: datetime | None
    payload: str
    svg: str


class ReasonView(msgspec.Struct, frozen=True):
    """A rule that spoke."""

    rule: str
    outcome: str
    text: str


class EffectView(msgspec.Struct, frozen=True):
    """`kind`: shadow, muted, weakened (of the rule `what`), blocked, trusted (by a list, the entity `what`), or bypassed (the
    outcome `what` it would have had).
    """

    kind: str
    what: str
    text: str


class ScoreReason(msgspec.Struct, frozen=True):
    """A value that raised a score."""

    feature: str
    text: str


class ScoreView(msgspec.Struct, frozen=True):
    """What a model said, 0 to 1: the champion the probability of fraud, the anomaly model how unusual it is."""

    role: str
    model: int
    score: float | None
    reasons: list[ScoreReason]


class DecisionView(msgspec.Struct, frozen=True):
    """A decision's receipt. `features`: the values it was made of; `effects`: what decided beside the rules, or kept one from
    deciding; `scores`: what models said, and what raised it.
    """

    id: str
    payment: str
    at: datetime
    outcome: str
    rule_set: int
    reasons: list[ReasonView]
    features: dict[str, float | None]
    configuration: int | None = None
    effects: list[EffectView] = []
    scores: list[ScoreView] = []


class EndpointView(msgspec.Struct, frozen=True):
    """A webhook endpoint. `secret` is shown only when it is made."""

    id: str
    url: str
    topics: tuple[str, ...]
    state: str
    failures: int
    created_at: datetime
    secret: str | None = None


class DeliveryView(msgspec.Struct, frozen=True):
    """A message to an endpoint."""

    id: str
    topic: str
    payment: str
    state: str
    tries: int
    last_answer: str
    due_at: datetime
    created_at: datetime


class FraudReportView(msgspec.Struct, frozen=True):
    """A label as taken."""

    payment: str
    fraud: bool
    known_at: datetime


class ReplayView(msgspec.Struct, frozen=True):
    """How many messages are sent again."""

    messages: int


class RuleView(msgspec.Struct, frozen=True):
    """A rule in force."""

    name: str
    outcome: str
    when: str
    reason: str


class RulesView(msgspec.Struct, frozen=True):
    """The rule set in force."""

    version: int
    rules: list[RuleView]


class Customers(msgspec.Struct, frozen=True):
    """A page of customers."""

    data: list[CustomerView]
    next_cursor: str | None


class Merchants(msgspec.Struct, frozen=True):
    """A page of merchants."""

    data: list[MerchantView]
    next_cursor: str | None


class Payments(msgspec.Struct, frozen=True):
    """A page of payments."""

    data: list[PaymentView]
    next_cursor: str | None


class Statement(msgspec.Struct, frozen=True):
    """A page of a statement, newest first."""

    data: list[LineView]
    next_cursor: str | None


class Endpoints(msgspec.Struct, frozen=True):
    """All webhook endpoints; their number is bounded."""

    data: list[EndpointView]
    next_cursor: str | None = None


class Deliveries(msgspec.Struct, frozen=True):
    """A page of messages."""

    data: list[DeliveryView]
    next_cursor: str | None


class Health(msgspec.Struct, frozen=True):
    """Whether payments can be taken."""

    status: str
    database: str


def wallet_view(wallet: Wallet, account: Account) -> WalletView:
    """A wallet."""
    return WalletView(wallet.currency, account.balance, account.held, account.available, account.day_limit)


def customer_view(customer: Customer, wallets: list[WalletView]) -> CustomerView:
    """A customer."""
    return CustomerView(
        to_typeid("cus", customer.id),
        str(customer.name) or None,
        str(customer.phone or "") or None,
        str(customer.id_number or "") or None,
        customer.state,
        customer.reference,
        wallets,
        customer.created_at,
    )


def unnamed(view: CustomerView) -> CustomerView:
    """A customer of whom nothing is shown but that it was given: for answers that outlive an erasure."""
    return replace(view, name="***", phone=view.phone and "***", id_number=view.id_number and "***")


def merchant_view(merchant: Merchant, wallets: list[WalletView]) -> MerchantView:
    """A merchant."""
    known = merchant.latitude is not None and merchant.longitude is not None
    return MerchantView(
        to_typeid("mer", merchant.id),
        merchant.name,
        merchant.category,
        merchant.state,
        merchant.fee_bps,
        PlaceView(merchant.latitude or 0.0, merchant.longitude or 0.0) if known else None,
        merchant.reference,
        wallets,
        merchant.created_at,
    )


def line_view(line: Line, account: Account) -> LineView:
    """A line of an account's statement."""
    credit = line.credit_account == account.id
    return LineView(
        to_typeid("trf", line.id),
        line.kind,
        to_typeid("pay", line.payment),
        line.amount if credit else -line.amount,
        line.balance,
        line.event_at,
        line.booked_at,
    )


def qr_view(code: QrCode, payload: str, svg: str) -> QrView:
    """A QR code."""
    return QrView(
        to_typeid("qr", code.id),
        to_typeid("mer", code.merchant),
        code.currency,
        code.amount,
        code.reference,
        code.expires_at,
        payload,
        svg,
    )


def endpoint_view(endpoint: Endpoint, secret: str | None = None) -> EndpointView:
    """A webhook endpoint."""
    return EndpointView(
        to_typeid("whe", endpoint.id),
        endpoint.url,
        endpoint.topics,
        "disabled" if endpoint.disabled_at else "enabled",
        endpoint.failures,
        endpoint.created_at,
        secret,
    )


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A message."""
    return DeliveryView(
        to_typeid("whd", delivery.id),
        delivery.topic,
        to_typeid("pay", delivery.subject),
        delivery.state,
        delivery.tries,
        delivery.last_answer,
        delivery.due_at,
        delivery.created_at,
    )
