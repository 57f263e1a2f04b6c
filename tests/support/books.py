"""Small ledgers for tests: a bank, wallets, entries without ceremony."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from tillkeeper import ledger
from tillkeeper.base.ids import new_id
from tillkeeper.ledger import Entry, NewAccount, Op, Outcome
from tillkeeper.store import Store

NOON = datetime(2026, 4, 15, 12, tzinfo=UTC)
TODAY = date(2026, 4, 15)
FAR = datetime(2027, 1, 1, tzinfo=UTC)


def account(
    side: str = "credit", lower_limit: int | None = 0, day_limit: int | None = None, currency: str = "CNY"
) -> NewAccount:
    return NewAccount(new_id(), currency, side, "wallet", lower_limit, day_limit)


def bank(currency: str = "CNY") -> NewAccount:
    return account("debit", None, currency=currency)


def entry(op: Op, debit: NewAccount | UUID, credit: NewAccount | UUID, amount: int, **more: Any) -> Entry:
    """An entry of today's noon with an id and a payment of its own."""
    ids = [each.id if isinstance(each, NewAccount) else each for each in (debit, credit)]
    more.setdefault("event_at", NOON)
    if op is Op.HOLD:
        more.setdefault("expires_at", FAR)
    return Entry(more.pop("id", None) or new_id(), op, ids[0], ids[1], amount, "test", new_id(), **more)


def pay(debit: NewAccount | UUID, credit: NewAccount | UUID, amount: int, **more: Any) -> Entry:
    return entry(Op.POST, debit, credit, amount, **more)


def hold(debit: NewAccount | UUID, credit: NewAccount | UUID, amount: int, **more: Any) -> Entry:
    return entry(Op.HOLD, debit, credit, amount, **more)


def close(op: Op, of: Entry, amount: int = 0, **more: Any) -> Entry:
    """Capture, settle, void or expire a hold."""
    return entry(op, of.debit, of.credit, amount, hold=of.id, **more)


class Books:
    """A store's ledger, posted to with a time of booking that goes on by a second each batch."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.booked_at = NOON

    async def open(self, *accounts: NewAccount) -> None:
        async with self.store.tx("open") as tx:
            await ledger.open_accounts(tx, accounts, NOON)

    async def fund(self, *wallets: NewAccount, amount: int = 1000) -> None:
        """Money for wallets, from a bank of their own."""
        for wallet in wallets:
            source = bank(wallet.currency)
            await self.open(source)
            assert await self.post(pay(source, wallet, amount)) == [Outcome.OK]

    async def post(self, *entries: Entry) -> list[Outcome]:
        self.booked_at += timedelta(seconds=1)
        async with self.store.tx("post") as tx:
            return await ledger.post(tx, entries, self.booked_at)

    async def one(self, each: Entry) -> Outcome:
        return (await self.post(each))[0]

    async def state(self, of: NewAccount) -> ledger.Account:
        return (await self.states([of]))[of.id]

    async def states(self, of: Sequence[NewAccount]) -> dict[UUID, ledger.Account]:
        async with self.store.tx("accounts") as tx:
            return await ledger.accounts(tx, [each.id for each in of])

    async def holds_of(self, payment: UUID) -> list[ledger.Hold]:
        async with self.store.tx("holds") as tx:
            return await ledger.holds_of(tx, payment)
