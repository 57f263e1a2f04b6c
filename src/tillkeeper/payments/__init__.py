"""Payments: one flow a command, all of them through the turn."""

from tillkeeper.payments import commands, rails, webhooks
from tillkeeper.payments.deeds import (
    REFUND,
    WITHDRAWAL,
    LargeRefund,
    LargeWithdrawal,
    Release,
    refund_of,
    release,
    release_of,
)
from tillkeeper.payments.gauge import Gauge
from tillkeeper.payments.leaving import Leaving, erase_customer, erasure, may_leave
from tillkeeper.payments.render import (
    PAYEE_PREFIX,
    PAYER_PREFIX,
    PaymentView,
    ProblemView,
    Reason,
    party_id,
    payment_body,
    payment_view,
    problem,
    refund_view,
)
from tillkeeper.payments.rows import add_qr_code, payment, qr_code, refunds_of
from tillkeeper.payments.seconds import Second, arrivals, interrupted, seconds
from tillkeeper.payments.settlement import Settlement, Unanswered, unanswered
from tillkeeper.payments.states import MOVES, WAITING
from tillkeeper.payments.turn import Till
from tillkeeper.payments.types import Payment, QrCode, Refund, Wallet
from tillkeeper.payments.upkeep import expire_due, forget_samples
from tillkeeper.payments.wallets import open_missing_wallets, open_wallets, wallets_with_accounts

__all__ = [
    "MOVES",
    "PAYEE_PREFIX",
    "PAYER_PREFIX",
    "REFUND",
    "WAITING",
    "WITHDRAWAL",
    "Gauge",
    "LargeRefund",
    "LargeWithdrawal",
    "Leaving",
    "Payment",
    "PaymentView",
    "ProblemView",
    "QrCode",
    "Reason",
    "Refund",
    "Release",
    "Second",
    "Settlement",
    "Till",
    "Unanswered",
    "Wallet",
    "add_qr_code",
    "arrivals",
    "commands",
    "erase_customer",
    "erasure",
    "expire_due",
    "forget_samples",
    "interrupted",
    "may_leave",
    "open_missing_wallets",
    "open_wallets",
    "party_id",
    "payment",
    "payment_body",
    "payment_view",
    "problem",
    "qr_code",
    "rails",
    "refund_of",
    "refund_view",
    "refunds_of",
    "release",
    "release_of",
    "seconds",
    "unanswered",
    "wallets_with_accounts",
    "webhooks",
]
