"""Looking at the money, every second if need be, while payments go on.

A look reads only what is new to it: transfers and payments that the look before could not see, by their transactions'
numbers, so that nothing is missed that commits late. Each such payment is compared with the books, and a few old ones in
turn. All accounts are summed up (sum per currency, fingerprint, limits) as often as a share of one core allows: at 100,000
accounts every second, at a million every few seconds, which is then the time until a balance changed by hand is found.
A mismatch is looked at again over all transfers before it is called a fault.
"""

from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper import ledger
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, SystemClock
from tillkeeper.base.ids import NIL, first_id_at
from tillkeeper.ledger import Booked, Snapshot
from tillkeeper.monitoring import money
from tillkeeper.monitoring.types import MoneyFault, MoneyLook
from tillkeeper.payments import watch
from tillkeeper.store import Store, Tx, guards, took_too_long

# What keeps one key to one effect, one transfer to one place, one reversal to one transfer.
_UNIQUE: Final = (
    "store.idempotency_pkey",
    "ledger.accounts_pkey",
    "ledger.transfers_pkey",
    "ledger.transfers_by_debit",
    "ledger.transfers_by_credit",
    "ledger.transfers_by_reversed",
    "ledger.holds_pkey",
    "payments.payments_pkey",
    "payments.refunds_pkey",
)
_CHECKS: Final = (("ledger.accounts", "within_limit"),)


class _Seen(msgspec.Struct):
    """How far the transfers are added up."""

    snapshot: Snapshot
    at: datetime
    fingerprint: int


class Books:
    """Looks at the books; keeps from look to look how far it came. `share`: of one core, for summing up all accounts."""

    def __init__(
        self, store: Store, clock: Clock | None = None, *, share: float = limits.BOOKS_SHARE
    ) -> None:
        self._store = store
        self._clock = clock or SystemClock()
        self._share = share
        self._seen: _Seen | None = None
        self._sum_due = 0.0
        self._accounts: list[MoneyFault] = []
        self._suspects: dict[UUID, list[MoneyFault]] = {}
        self._due: set[UUID] = set()
        self._walked = NIL
        self._mismatch = 0
        self._changed = 0
        self.nets: dict[str, int] = {}
        self.below = 0

    def sum_up_next(self) -> None:
        """Have the next look sum up all accounts, whatever that costs."""
        self._sum_due = 0.0

    async def look(self) -> MoneyLook:
        """What cannot be right, of one moment. Raises what the store raises: then nothing is known."""
        began = self._clock.monotonic()
        async with self._store.tx("money look") as tx:
            now = await ledger.begin_watch(tx)
            checked = await self._read_on(tx, now)
            checked += await self._compare(tx)
            if self._clock.monotonic() >= self._sum_due:
                checked += await self._sum_up(tx)
            missing = await guards.missing(tx, _UNIQUE, _CHECKS)
        faults = [*money.of_guards(missing), *self._accounts]
        faults += [fault for found in self._suspects.values() for fault in found]
        return MoneyLook(tuple(faults), (self._clock.monotonic() - began) * 1000, checked)

    async def _read_on(self, tx: Tx, now: Snapshot) -> int:
        """Add up the transfers since the last look, and note whose payments they are."""
        at = self._clock.now()
        if self._seen is None:
            self._changed = await ledger.changed_transfers(tx)
            moved = await ledger.moved_ever(tx)
            self._seen = _Seen(now, at, moved.fingerprint)
            return moved.transfers
        lower = _since(self._seen.at, limits.BOOKS_LATE_SECONDS)
        moved = await ledger.moved_since(tx, self._seen.snapshot, now, lower)
        self._due.update(moved.payments)
        self._due.update(await watch.touched_since(tx, self._seen.snapshot, now, lower))
        self._seen = _Seen(now, at, self._seen.fingerprint + moved.fingerprint)
        return moved.transfers

    async def _compare(self, tx: Tx) -> int:
        """Payments with something new, those that looked wrong before, and the next few of all."""
        walk = await watch.next_payments(tx, self._walked, limits.BOOKS_WALK)
        self._walked = walk[-1] if len(walk) == limits.BOOKS_WALK else NIL
        some = list(islice(self._due, limits.BOOKS_PAYMENTS))
        payments = list({*some, *walk, *self._suspects})
        claims = await watch.claims(tx, payments)
        booked = await ledger.booked_for(tx, payments)
        judged = {each: money.of_payment(claims.get(each), booked.get(each, Booked())) for each in payments}
        wrong = ((each, faults) for each, faults in judged.items() if faults)
        # What a bad script did to every payment is known by some of them; the walk finds the others when these are mended.
        self._suspects = dict(islice(wrong, limits.BOOKS_SUSPECTS))
        self._due.difference_update(some)
        return len(payments)

    async def _sum_up(self, tx: Tx) -> int:
        began = self._clock.monotonic()
        standing = await ledger.standing(tx)
        self.nets = {each.currency: each.net for each in standing}
        self.below = sum(each.below for each in standing)
        mismatch = await self._mismatch_of(tx, sum(each.fingerprint for each in standing))
        self._accounts = money.of_currencies(standing)
        if mismatch:
            self._accounts += money.of_displaced(await self._displaced())
        took = self._clock.monotonic() - began
        self._sum_due = began + took / self._share
        return sum(each.accounts for each in standing)

    async def _mismatch_of(self, tx: Tx, balances: int) -> int:
        """By how much balances and transfers differ. A difference that is new, and transfers that were changed, have all
        transfers read again.
        """
        assert self._seen is not None
        mismatch = balances - self._seen.fingerprint
        changed = await ledger.changed_transfers(tx)
        if mismatch not in (0, self._mismatch) or changed != self._changed:
            self._seen.fingerprint = (await ledger.moved_ever(tx)).fingerprint
            mismatch = balances - self._seen.fingerprint
        self._mismatch, self._changed = mismatch, changed
        return mismatch

    async def _displaced(self) -> list[ledger.Displaced]:
        """Which accounts it is; none where that takes too long to find out."""
        try:
            async with self._store.tx("displaced accounts") as tx:
                return await ledger.displaced(tx, limits.BOOKS_NAMED)
        except Exception as error:
            if not took_too_long(error):
                raise
            return []


def _since(moment: datetime, margin: float) -> UUID:
    return first_id_at(moment - timedelta(seconds=margin))
