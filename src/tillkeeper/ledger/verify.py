"""Recompute the books from their transfers and say what differs. An auditor: it trusts nothing that post_v1 stored."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper.store import Statement, Store, Tx, queries

_sql = queries(__package__, "verify.sql")

MAX_DIFFERENCES = 1000
"""How many differences of one kind are listed; a book with more is not a matter of listing them."""


class Difference(msgspec.Struct, frozen=True):
    """One fault: `kind` of check, the account and currency it concerns, what is stored and what it should be."""

    kind: str
    currency: str
    account: UUID | None
    what: str
    stored: int
    expected: int


class CurrencyTotal(msgspec.Struct, frozen=True):
    """Both sides of a currency, as stored and as recomputed from transfers. Minor units."""

    currency: str
    accounts: int
    debit_side: int
    credit_side: int
    recomputed_debit_side: int
    recomputed_credit_side: int

    @property
    def balanced(self) -> bool:
        """Whether both sides agree, stored and recomputed."""
        sides = {self.debit_side, self.credit_side, self.recomputed_debit_side, self.recomputed_credit_side}
        return len(sides) == 1


class Report(msgspec.Struct, frozen=True):
    """What a verification found."""

    transfers: int
    totals: list[CurrencyTotal]
    differences: list[Difference]

    @property
    def balanced(self) -> bool:
        """Whether nothing at all differs."""
        return not self.differences and all(total.balanced for total in self.totals)


async def verify(store: Store) -> Report:
    """Recompute everything in one snapshot, while payments go on."""
    async with store.tx("ledger.verify") as tx:
        await tx.run(_sql.one_snapshot)
        await tx.run(_sql.long_statements)
        differences = [each for check in _CHECKS for each in await check(tx)]
        totals = [CurrencyTotal(*row) for row in await tx.tuples(_sql.recomputed_totals)]
        return Report(await tx.value(_sql.count_transfers), totals, differences)


async def sides_before(store: Store, at: datetime) -> dict[str, tuple[int, int]]:
    """By currency: the debit and the credit side as they were before a moment, recomputed from transfers; minor units."""
    async with store.tx("ledger.sides_before") as tx:
        await tx.run(_sql.long_statements)
        return {row[0]: (row[1], row[2]) for row in await tx.tuples(_sql.sides_before, {"at": at})}


async def _listed(tx: Tx, statement: Statement) -> list[tuple[Any, ...]]:
    return await tx.tuples(statement, {"limit": MAX_DIFFERENCES})


async def _accounts(tx: Tx) -> list[Difference]:
    found = []
    for account, currency, balance, expected, version, transfers in await _listed(
        tx, _sql.account_differences
    ):
        if balance != expected:
            what = "balance is not the sum of its transfers"
            found.append(Difference("balance", currency, account, what, balance, expected))
        if version != transfers:
            what = "version is not the number of its transfers"
            found.append(Difference("version", currency, account, what, version, transfers))
    return found


async def _chains(tx: Tx) -> list[Difference]:
    found = []
    rows = await _listed(tx, _sql.chain_differences)
    for account, currency, transfer, balance, expected, version, place in rows:
        if balance != expected:
            what = f"running balance of transfer {transfer}"
            found.append(Difference("running_balance", currency, account, what, balance, expected))
        if version != place:
            what = f"place of transfer {transfer} in the account"
            found.append(Difference("gap", currency, account, what, version, place))
    return found


async def _orphans(tx: Tx) -> list[Difference]:
    return [
        Difference(
            "orphan" if missing else "currencies",
            currency,
            None,
            f"transfer {transfer} "
            + ("is on an account that does not exist" if missing else "joins two currencies"),
            1,
            0,
        )
        for transfer, currency, missing in await _listed(tx, _sql.orphan_transfers)
    ]


async def _held(tx: Tx) -> list[Difference]:
    return [
        Difference(
            "held", currency, account, "reserved amount is not the sum of its open holds", held, expected
        )
        for account, currency, held, expected in await _listed(tx, _sql.held_differences)
    ]


async def _holds(tx: Tx) -> list[Difference]:
    return [
        Difference("captured", currency, account, f"captured amount of hold {hold}", captured, moved)
        for account, currency, hold, captured, moved in await _listed(tx, _sql.hold_differences)
    ]


async def _limits(tx: Tx) -> list[Difference]:
    return [
        Difference("limit", currency, account, "available balance is below its lower limit", available, limit)
        for account, currency, available, limit in await _listed(tx, _sql.limit_breaches)
    ]


async def _days(tx: Tx) -> list[Difference]:
    return [
        Difference("day_spent", currency, account, "counted spending of its newest day", spent, expected)
        for account, currency, spent, expected in await _listed(tx, _sql.day_differences)
    ]


_CHECKS = (_accounts, _chains, _orphans, _held, _holds, _limits, _days)
