"""The payments' statements, run: what a turn reads and writes, each kind of row in one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, get_args, get_type_hints
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.payments.plan import Result
from tillkeeper.payments.types import Challenge, Located, Move, Payment, QrCode, RailOrder, Refund, Wallet
from tillkeeper.store import Sent, Statement, Tx, columns, outbox, queries

_sql = queries(__package__, "queries.sql")


async def send_wallets(tx: Tx, keys: Sequence[tuple[UUID, str]]) -> Sent:
    """Ask for accounts by (owner, currency); read with `wallets_asked`."""
    return await tx.send(
        _sql.wallets,
        {
            "owners": columns.uuids([key[0] for key in keys]),
            "currencies": columns.texts([key[1] for key in keys]),
        },
    )


async def wallets_asked(sent: Sent) -> dict[tuple[UUID, str], UUID]:
    """The accounts asked for; unknown wallets are left out."""
    return {(owner, currency): account for owner, currency, account in await sent.tuples()}


async def lock_payments(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, Located]:
    """Payments about to change, by id."""
    rows = await tx.tuples(_sql.lock_payments, {"ids": columns.uuids(sorted(ids))})
    return {row[0]: Located(Payment(*row[:-2]), row[-2], row[-1]) for row in rows}


async def challenges(tx: Tx, ids: Iterable[UUID]) -> dict[UUID, Challenge]:
    """Open challenges by payment."""
    rows = await tx.tuples(_sql.challenges, {"ids": columns.uuids(ids)})
    return {row[0]: Challenge(row[0], bytes(row[1]), row[2]) for row in rows}


async def lock_qr_codes(tx: Tx, ids: Iterable[UUID], paid_by: Iterable[UUID]) -> dict[UUID, QrCode]:
    """QR codes about to be paid, and those that payments about to change have paid, by id."""
    return {
        row[0]: QrCode(*row)
        for row in await tx.tuples(
            _sql.lock_qr_codes, {"ids": columns.uuids(sorted(ids)), "paid_by": columns.uuids(paid_by)}
        )
    }


async def qr_code(tx: Tx, code: UUID) -> QrCode | None:
    """One QR code."""
    rows = await tx.tuples(_sql.qr_codes, {"ids": columns.uuids([code])})
    return QrCode(*rows[0]) if rows else None


async def add_qr_code(tx: Tx, code: QrCode) -> None:
    """Store a new QR code."""
    await tx.run(_sql.add_qr_code, msgspec.structs.asdict(code))


async def house(tx: Tx) -> dict[tuple[str, str], UUID]:
    """The platform's own accounts by (currency, purpose)."""
    return {(currency, purpose): account for currency, purpose, account in await tx.tuples(_sql.house)}


async def wallets_of(tx: Tx, owners: Sequence[UUID], limit: int) -> list[Wallet]:
    """All wallets of owners."""
    return [
        Wallet(*row)
        for row in await tx.tuples(_sql.wallets_of, {"owners": columns.uuids(owners), "limit": limit})
    ]


async def lock_owner(tx: Tx, owner: UUID) -> None:
    """Let nobody else open wallets of this owner until the transaction ends."""
    await tx.run(_sql.lock_owner, {"owner": owner})


async def keep_everybody(tx: Tx) -> None:
    """Let nobody leave for good until the transaction ends. Ask before anybody's standing is read."""
    await tx.run(_sql.keep_everybody)


async def stop_turns(tx: Tx) -> None:
    """Wait until no turn is under way, and let none begin until the transaction ends. LEAVING_WAIT_MS at most."""
    await tx.run(_sql.wait_briefly, {"ms": str(limits.LEAVING_WAIT_MS)})
    await tx.run(_sql.stop_turns)


async def add_wallets(tx: Tx, wallets: Sequence[Wallet], at: datetime) -> set[UUID]:
    """Bind accounts to owners; the accounts bound now, others being there already."""
    params = {
        "owners": columns.uuids([wallet.owner for wallet in wallets]),
        "currencies": columns.texts([wallet.currency for wallet in wallets]),
        "purposes": columns.texts([wallet.purpose for wallet in wallets]),
        "accounts": columns.uuids([wallet.account for wallet in wallets]),
    }
    return {row[0] for row in await tx.tuples(_sql.add_wallets, params | {"at": at})}


async def payment(tx: Tx, payment_id: UUID) -> Payment | None:
    """One payment as it is now."""
    rows = await tx.tuples(_sql.payment, {"id": payment_id})
    return Payment(*rows[0]) if rows else None


async def waiting_of(tx: Tx, party: UUID) -> list[UUID]:
    """Payments from or to somebody that wait to be finished, oldest first."""
    return [id_ for (id_,) in await tx.tuples(_sql.waiting_of, {"party": party})]


async def refunds_of(tx: Tx, payment_id: UUID, limit: int) -> list[Refund]:
    """Refunds of a payment, oldest first."""
    return [Refund(*row) for row in await tx.tuples(_sql.refunds_of, {"payment": payment_id, "limit": limit})]


async def write(tx: Tx, results: Sequence[Result]) -> None:
    """Everything that the results of a turn say; nothing is sent for kinds that do not occur."""
    await _insert(tx, _sql.add_payments, [result.new for result in results if result.new])
    await _insert(
        tx, _sql.change_payments, [result.changed for result in results if result.changed], _CHANGED
    )
    await _insert(tx, _sql.add_moves, [result.move for result in results if result.move])
    await _insert(tx, _sql.add_refunds, [result.refund for result in results if result.refund])
    await _insert(tx, _sql.keep_challenges, [result.challenge for result in results if result.challenge])
    await _insert(tx, _sql.add_rail_orders, [result.rail_order for result in results if result.rail_order])
    words = [result.rail_answer for result in results if result.rail_answer]
    if words:
        ids, accepted, answers = map(list, zip(*words, strict=True))
        await tx.run(
            _sql.settle_rail_attempts,
            {
                "ids": columns.uuids(ids),
                "accepted": columns.booleans(accepted),
                "answers": columns.texts(answers),
            },
        )
    go = [(result.rail_go, result.changed) for result in results if result.rail_go and result.changed]
    if go:
        at = max(changed.changed_at for _, changed in go)
        await tx.run(_sql.let_go_rail_orders, {"ids": columns.uuids([id_ for id_, _ in go]), "at": at})
    paid = [result.qr_paid for result in results if result.qr_paid]
    if paid:
        codes, payments = map(list, zip(*paid, strict=True))
        await tx.run(_sql.mark_qr_codes, {"ids": columns.uuids(codes), "payments": columns.uuids(payments)})
    freed = [result.qr_freed for result in results if result.qr_freed]
    if freed:
        await tx.run(_sql.free_qr_codes, {"payments": columns.uuids(freed)})
    for act in [result.act for result in results if result.act]:  # people's, so few
        await audit.append(tx, act.actor, act.action, act.subject, act.reason, act.origin)
    await outbox.publish(tx, [result.news for result in results if result.news])


_CHANGED: Final = ("id", "state", "fee", "captured", "refunded", "failure", "changed_at", "expires_at")
_PACKERS: Final = {
    UUID: columns.uuids,
    str: columns.texts,
    int: columns.bigints,
    bool: columns.booleans,
    bytes: columns.blobs,
    datetime: columns.times,
}


def _packers(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """How to pack each field of a value: by its annotation, without the None."""
    hints = get_type_hints(kind)
    return {
        name: _PACKERS[next(one for one in (get_args(hint) or (hint,)) if one is not type(None))]
        for name, hint in hints.items()
    }


_FIELDS: Final[dict[type[msgspec.Struct], dict[str, Any]]] = {
    kind: _packers(kind) for kind in (Payment, Move, Refund, Challenge, RailOrder)
}


async def _insert(
    tx: Tx, statement: Statement, values: Sequence[msgspec.Struct], fields: tuple[str, ...] | None = None
) -> None:
    if values:
        packers = _FIELDS[type(values[0])]
        names = fields or values[0].__struct_fields__
        await tx.run(statement, {name: packers[name](map(attrgetter(name), values)) for name in names})


async def add_sample(tx: Tx, sample: dict[str, Any]) -> None:
    """One second of the turn loop."""
    await tx.run(_sql.add_sample, sample)
