"""After a storm: is every promise kept, is there nothing but promises, do the books balance?"""

from collections import Counter
from typing import Any

from tests.support.api import uuid_of
from tests.support.storm import Promise, Storm, changed, created
from tillkeeper import ledger
from tillkeeper.base.ids import NIL
from tillkeeper.payments import MOVES
from tillkeeper.store import Store


async def broken_promises(storm: Storm, store: Store, before: dict[str, int]) -> list[str]:
    """Everything that is not as it was promised. `before`: the counts of rows when the storm began."""
    promises = list(storm.promises.values())
    async with store.tx("aftermath") as tx:
        payments = await tx.rows(b"SELECT * FROM payments.payments")
        moves = await tx.rows(b"SELECT * FROM payments.moves")
        refunds = await tx.rows(b"SELECT * FROM payments.refunds")
        keys = [row.key for row in await tx.rows(b"SELECT key FROM store.idempotency")]
        held = {row.id for row in await tx.rows(b"SELECT id FROM ledger.holds WHERE state = 'open'")}
        decisions = [row.id for row in await tx.rows(b"SELECT id FROM risk.decisions")]
    now = await counts(store)
    report = await ledger.verify(store)
    by_id = {payment.id: payment for payment in payments}
    unkept = [each for each in promises if each.key not in keys]
    return [
        *map(str, unkept[:3]),
        *storm.faults,
        *_payments(promises, by_id),
        *_counted("payments", now["payments.payments"] - before["payments.payments"], created(promises)),
        *_counted("moves", now["payments.moves"] - before["payments.moves"], changed(promises)),
        *_news(now, before),
        *_moves(moves),
        *_refunds(promises, refunds),
        *_same(
            "idempotency keys",
            Counter(key for key in keys if key.startswith("storm-")),
            Counter(list(storm.promises)),
        ),
        *_same("decisions", Counter(decisions), Counter(each.id for each in payments if each.risk)),
        *_same("holds", held, {each.hold for each in payments if each.hold and _waits(each)}),
        *map(str, report.differences),
        *([] if report.balanced else [f"the books do not balance: {report.totals}"]),
    ]


async def counts(store: Store) -> dict[str, int]:
    """Rows of what every effect leaves behind."""
    async with store.tx("counts") as tx:
        return {
            table: await tx.value(f"SELECT count(*) FROM {table}".encode())
            for table in ("payments.payments", "payments.moves", "store.outbox")
        }


def _waits(payment: Any) -> bool:
    return payment.state in {"pending", "challenged", "in_review", "authorized"}


def _payments(promises: list[Promise], by_id: dict[Any, Any]) -> list[str]:
    """Each acknowledged payment is there with the acknowledged content, and has gone on as acknowledged."""
    found, last, ids = list[str](), dict[Any, Promise](), Counter[str]()
    for promise in created(promises):
        said = promise.said
        ids[said["id"]] += 1
        stored = by_id.get(uuid_of(said["id"]))
        if stored is None:
            found.append(f"payment {said['id']} was acknowledged and is lost")
            continue
        who = [uuid_of(said[side]) if said[side] else NIL for side in ("payer", "payee")]
        if (stored.amount, stored.currency, stored.kind, [stored.payer, stored.payee]) != (
            said["amount"],
            said["currency"],
            said["kind"],
            who,
        ):
            found.append(f"payment {said['id']} was acknowledged as {said} and is {stored}")
        if promise.body["amount"] != stored.amount:
            found.append(f"payment {said['id']} is not of the amount that was asked")
        last[stored.id] = promise
    found += [f"payment {each} was acknowledged to {count} keys" for each, count in ids.items() if count > 1]
    for promise in changed(promises):
        payment = uuid_of(promise.said["id"])
        if _progress(promise.said) >= _progress(last[payment].said):
            last[payment] = promise
    for payment, promise in last.items():
        stored, said = by_id[payment], promise.said
        if (stored.state, stored.captured, stored.refunded) != (
            said["state"],
            said["captured"],
            said["refunded"],
        ):
            found.append(f"payment {said['id']} was last said to be {said['state']} and is {stored.state}")
    return found


def _progress(said: dict[str, Any]) -> tuple[int, int]:
    waiting = said["state"] in {"pending", "challenged", "in_review", "authorized"}
    return (0 if waiting else 1, said["refunded"])


def _counted(name: str, count: int, promises: list[Promise]) -> list[str]:
    return [] if count == len(promises) else [f"{count} {name} were made, {len(promises)} were acknowledged"]


def _news(now: dict[str, int], before: dict[str, int]) -> list[str]:
    new = {table: now[table] - before[table] for table in now}
    effects = new["payments.payments"] + new["payments.moves"]
    return [] if new["store.outbox"] == effects else [f"{new['store.outbox']} news of {effects} effects"]


def _moves(moves: list[Any]) -> list[str]:
    return [
        f"{move.payment} moved from {move.from_state} to {move.to_state}"
        for move in moves
        if move.to_state not in MOVES[move.from_state]
    ]


def _refunds(promises: list[Promise], refunds: list[Any]) -> list[str]:
    said = [each.said["refund"] for each in changed(promises) if each.said["refund"]]
    return _same(
        "refunds",
        Counter((uuid_of(each["id"]), each["amount"], each["fee_returned"]) for each in said),
        Counter((each.id, each.amount, each.fee_returned) for each in refunds),
    )


def _same(name: str, found: Any, expected: Any) -> list[str]:
    if found == expected:
        return []
    return [f"{name}: {found - expected} more, {expected - found} less than there should be"]
