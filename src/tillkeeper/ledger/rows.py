"""The ledger's statements, run."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tillkeeper.base.limits import MAX_TRANSFERS_PER_POST, PAGE_MAX
from tillkeeper.ledger.types import Account, Entry, Hold, Line, NewAccount, Outcome, Total, Transfer
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")
_OUTCOMES = list(Outcome)


async def open_accounts(tx: Tx, accounts: Sequence[NewAccount], at: datetime) -> None:
    """Open accounts. An id that exists already fails the transaction."""
    await tx.run(
        _sql.open,
        {
            "ids": columns.uuids([account.id for account in accounts]),
            "currencies": columns.texts([account.currency for account in accounts]),
            "sides": columns.texts([account.side for account in accounts]),
            "purposes": columns.texts([account.purpose for account in accounts]),
            "lower_limits": columns.bigints([account.lower_limit for account in accounts]),
            "day_limits": columns.bigints([account.day_limit for account in accounts]),
            "opened": at,
        },
    )


async def limit_day(tx: Tx, account: UUID, limit: int | None) -> bool:
    """Set what may leave an account in a day (minor units, None for no limit); False if there is no such account."""
    return bool(await tx.value(_sql.limit_day, {"account": account, "limit": limit}))


async def post(tx: Tx, entries: Sequence[Entry], booked_at: datetime) -> list[Outcome]:
    """Post a batch in one round trip: an outcome per entry, in order; entries see the effects of those before.

    The accounts stay locked until the transaction ends. An id posted before fails the transaction. Raises
    ValueError for more than MAX_TRANSFERS_PER_POST entries.
    """
    if not entries:
        return []
    if len(entries) > MAX_TRANSFERS_PER_POST:
        raise ValueError(f"{len(entries)} entries in one batch; {MAX_TRANSFERS_PER_POST} are allowed")
    # Sorted here, in the order PostgreSQL sorts uuids, so that post_v1 need not look places up.
    # By their numbers, which Python hashes and compares in C, and UUIDs not.
    accounts = {entry.debit.int: entry.debit for entry in entries}
    accounts |= {entry.credit.int: entry.credit for entry in entries}
    place = {number: index for index, number in enumerate(sorted(accounts), 1)}
    outcomes = await tx.value(
        _sql.post,
        {
            "accounts": columns.uuids([accounts[number] for number in place]),
            "ids": columns.uuids([entry.id for entry in entries]),
            "ops": columns.smallints([entry.op for entry in entries]),
            "debits": columns.integers([place[entry.debit.int] for entry in entries]),
            "credits": columns.integers([place[entry.credit.int] for entry in entries]),
            "amounts": columns.bigints([entry.amount for entry in entries]),
            "kinds": columns.texts([entry.kind for entry in entries]),
            "payments": columns.uuids([entry.payment for entry in entries]),
            "holds": columns.uuids([entry.hold for entry in entries]),
            "reverses": columns.uuids([entry.reverses for entry in entries]),
            "linked": columns.booleans([entry.linked for entry in entries]),
            "events": columns.times([entry.event_at for entry in entries]),
            "expires": columns.times([entry.expires_at for entry in entries]),
            "days": columns.dates([entry.day for entry in entries]),
            "booked": booked_at,
        },
    )
    return [_OUTCOMES[outcome] for outcome in outcomes]


async def accounts(tx: Tx, ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Accounts as they are now, by id; unknown ids are left out."""
    return {row[0]: Account(*row) for row in await tx.tuples(_sql.accounts, {"ids": columns.uuids(ids)})}


async def balance_booked_by(tx: Tx, account: UUID, at: datetime) -> int:
    """The balance as the books stood at a moment (booking time)."""
    return await tx.value(_sql.balance_booked_by, {"account": account, "at": at}) or 0


async def balance_by_event(tx: Tx, account: Account, at: datetime) -> int:
    """The balance from everything that happened up to a moment (event time), however late it was booked."""
    net: int = await tx.value(_sql.credits_less_debits_by_event, {"account": account.id, "at": at})
    return net if account.side == "credit" else -net


async def statement(tx: Tx, account: UUID, before: int | None = None, limit: int = PAGE_MAX) -> list[Line]:
    """An account's transfers, newest first; `before` is the version of the last line already seen."""
    rows = await tx.tuples(
        _sql.statement, {"account": account, "before": 2**62 if before is None else before, "limit": limit}
    )
    return [Line(*row) for row in rows]


async def transfers_of(tx: Tx, payment: UUID) -> list[Transfer]:
    """All transfers of a payment, oldest first."""
    return [Transfer(*row) for row in await tx.tuples(_sql.transfers_of, {"payment": payment})]


async def holds_of(tx: Tx, payment: UUID) -> list[Hold]:
    """All holds of a payment, oldest first."""
    return [Hold(*row) for row in await tx.tuples(_sql.holds_of, {"payment": payment})]


async def totals(tx: Tx) -> list[Total]:
    """What each currency's accounts add up to, from the stored balances: cheap, and enough to see an imbalance."""
    return [Total(*row) for row in await tx.tuples(_sql.totals)]
