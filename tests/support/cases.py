"""Alerts, decisions and ties as other parts of risk would write them, for tests of cases."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import psycopg

from tillkeeper.base.ids import new_id

_ALERT = """
INSERT INTO risk.alerts (id, kind, subject_kind, subject, at, found_at, payment, outcome, reasons, amount, currency, probability_ppm,
                         expected_loss, queued)
VALUES (%(id)s, %(kind)s, %(subject_kind)s, %(subject)s, %(at)s, %(at)s, %(payment)s, %(outcome)s, %(reasons)s, %(amount)s, 'CNY',
        %(ppm)s, %(loss)s, %(queued)s)
"""
_DECISION = """
INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, device, ip, outcome, reasons, rule_set, features)
VALUES (%(id)s, %(at)s, %(kind)s, %(customer)s, %(payee)s, %(amount)s, 'CNY', %(device)s, %(ip)s, %(outcome)s, %(reasons)s, 1, '')
"""


async def decision(
    admin: psycopg.AsyncConnection,
    at: datetime,
    customer: UUID,
    payee: UUID | None = None,
    *,
    payment: UUID | None = None,
    kind: str = "payment",
    amount: int = 10_000,
    device: str | None = None,
    ip: str | None = None,
    outcome: str = "allow",
    reasons: Sequence[str] = (),
) -> UUID:
    """A receipt; its id."""
    made = {
        "id": payment or new_id(),
        "at": at,
        "kind": kind,
        "customer": customer,
        "payee": payee or new_id(),
        "amount": amount,
        "device": device,
        "ip": ip,
        "outcome": outcome,
        "reasons": list(reasons),
    }
    await admin.execute(_DECISION, made)
    return UUID(str(made["id"]))


async def alert(
    admin: psycopg.AsyncConnection,
    at: datetime,
    subject: UUID,
    payment: UUID | None = None,
    *,
    loss: int = 10_000,
    subject_kind: str = "customer",
    kind: str = "held",
    reasons: Sequence[str] = ("very_large",),
    queued: bool = True,
) -> UUID:
    """An alert about a payment; its id."""
    made = {
        "id": new_id(),
        "kind": kind,
        "subject_kind": subject_kind,
        "subject": subject,
        "at": at,
        "payment": payment or new_id(),
        "outcome": "hold",
        "reasons": list(reasons),
        "amount": 2 * loss,
        "ppm": 500_000,
        "loss": loss,
        "queued": queued,
    }
    await admin.execute(_ALERT, made)
    return UUID(str(made["id"]))
