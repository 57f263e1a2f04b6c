"""Alerts, decisions and ties as other parts of risk would write them, for tests of cases."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from tests.support.shop import Shop
from tillkeeper.base.ids import new_id
from tillkeeper.risk import cases
from tillkeeper.store import Tx

_ALERT = """
INSERT INTO risk.alerts (id, kind, subject_kind, subject, at, found_at, payment, login, outcome, reasons, amount, currency, probability_ppm,
                         expected_loss, queued)
VALUES (%(id)s, %(kind)s, %(subject_kind)s, %(subject)s, %(at)s, %(at)s, %(payment)s, %(login)s, %(outcome)s, %(reasons)s, %(amount)s, 'CNY',
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
    kind: str = "decision",
    reasons: Sequence[str] = ("very_large",),
    queued: bool = True,
    login: bool = False,
) -> UUID:
    """An alert about a payment (`login`: the id is that of a login); its id."""
    made = _alert(
        at, subject, payment, loss, subject_kind=subject_kind, kind=kind, reasons=reasons, queued=queued
    )
    if login:
        made |= {"payment": None, "login": made["payment"]}
    await admin.execute(_ALERT, made)
    return UUID(str(made["id"]))


def _alert(
    at: datetime,
    subject: UUID,
    payment: UUID | None,
    loss: int,
    *,
    subject_kind: str = "customer",
    kind: str = "decision",
    reasons: Sequence[str] = ("very_large",),
    queued: bool = True,
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "kind": kind,
        "subject_kind": subject_kind,
        "subject": subject,
        "at": at,
        "payment": payment or new_id(),
        "login": None,
        "outcome": "hold",
        "reasons": list(reasons),
        "amount": 2 * loss,
        "ppm": 500_000,
        "loss": loss,
        "queued": queued,
    }


async def furnish_cases(
    shop: Shop, mei: UUID, others: Sequence[UUID], merchant: UUID, held: Sequence[UUID]
) -> list[str]:
    """Cases as a team would find them: one with neighbours, held payments and a past, some that wait, one decided, one late.

    `held`: payments of `mei`. The cases' public ids, the one with everything first.
    """
    now = shop.clock.now()
    async with shop.store.tx("test cases") as tx:
        for payment in held:
            await tx.run(_ALERT.encode(), _alert(now, mei, payment, 90_000))
        await tx.run(_ALERT.encode(), _alert(now, mei, new_id(), 40_000, kind="mule_network", reasons=()))
        for number, other in enumerate(others):
            await tx.run(_ALERT.encode(), _alert(now, other, new_id(), 700_000 * number + 900))
        await tx.run(_ALERT.encode(), _alert(now, merchant, held[0], 30_000, subject_kind="merchant"))
        await cases.take_in(tx, now - timedelta(hours=5))
        for number, customer in enumerate([mei, *others]):
            await _tie(tx, "device", "phone-1", customer, now)
            await _tie(tx, "ip", f"203.0.113.{number // 2}", customer, now)
            await _tie(tx, "payee", str(merchant), customer, now)
        await _tie(tx, "account", str(UUID(int=77)), others[-1], now, times=30)
        await _tie(tx, "account", str(UUID(int=77)), new_id(), now)
        found = {each.subject: each for each in (await cases.listed(tx, "open", "anna", now)).rows}
        await cases.claim(tx, found[mei].id, "anna", shop.clock)
        await cases.note(tx, found[mei].id, "anna", "the shop knows the customer", shop.clock)
        await cases.claim(tx, found[merchant].id, "ben", shop.clock)
        await cases.claim(tx, found[others[0]].id, "ben", shop.clock)
        await cases.decide(tx, found[others[0]].id, "ben", "genuine", [], "the customer called", shop.clock)
        await cases.note_late(tx, now)
    return [found[mei].public_id, *(each.public_id for each in found.values() if each.subject != mei)]


async def _tie(tx: Tx, kind: str, entity: str, customer: UUID, at: datetime, times: int = 4) -> None:
    await tx.run(
        b"INSERT INTO risk.ties VALUES (%(kind)s, %(entity)s, %(customer)s, %(at)s, %(at)s, %(times)s)",
        {"kind": kind, "entity": entity, "customer": customer, "at": at, "times": times},
    )
