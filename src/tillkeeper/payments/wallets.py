"""Open wallets: ledger accounts bound to their owner, and the platform's own accounts of each currency."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from tillkeeper import ledger
from tillkeeper.base import limits
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import refuse
from tillkeeper.ledger import Account, NewAccount
from tillkeeper.payments import rows
from tillkeeper.payments.types import Wallet
from tillkeeper.store import Tx

# purpose, side, lower limit: what the bank has of ours may be anything, what we owe never less than nothing.
_HOUSE: Final = (("bank", "debit", None), ("fees", "credit", 0))


async def open_wallets(
    tx: Tx, owner: UUID, currencies: Sequence[str], day_limit: int | None, at: datetime
) -> list[Wallet]:
    """Open wallets, and the house accounts of their currencies. `day_limit`: what may leave one in a day, minor units.

    Refuses a currency that the owner has a wallet in (`wallet_exists`) and too many (`too_many_wallets`).
    """
    await rows.lock_owner(tx, owner)
    have = await rows.wallets_of(tx, [owner], limits.MAX_WALLETS)
    if taken := {wallet.currency for wallet in have} & set(currencies):
        raise refuse("wallet_exists", f"in {', '.join(sorted(taken))}", "currencies")
    if len(have) + len(currencies) > limits.MAX_WALLETS:
        raise refuse("too_many_wallets", f"{limits.MAX_WALLETS} are allowed", "currencies")
    for currency in sorted(currencies):  # in one order: who opens the same at the same moment waits
        await _open_house(tx, currency, at)
    wallets = [Wallet(owner, currency, "wallet", new_id()) for currency in currencies]
    bound = await rows.add_wallets(tx, wallets, at)
    if len(bound) < len(wallets):  # somebody opened the same one at the same moment
        raise refuse("wallet_exists", "it was opened just now", "currencies")
    new = [NewAccount(each.account, each.currency, "credit", "wallet", 0, day_limit) for each in wallets]
    await ledger.open_accounts(tx, new, at)
    return wallets


async def open_missing_wallets(tx: Tx, owners: Sequence[UUID], currency: str, at: datetime) -> None:
    """Have every owner have a wallet in the currency; new ones without a limit per day. No owner twice."""
    await _open_house(tx, currency, at)
    wanted = [Wallet(owner, currency, "wallet", new_id()) for owner in owners]
    bound = await rows.add_wallets(tx, wanted, at)
    new = [NewAccount(account, currency, "credit", "wallet", 0) for account in bound]
    if new:
        await ledger.open_accounts(tx, new, at)


async def _open_house(tx: Tx, currency: str, at: datetime) -> None:
    wanted = [Wallet(NIL, currency, purpose, new_id()) for purpose, _, _ in _HOUSE]
    bound = await rows.add_wallets(tx, wanted, at)
    new = [
        NewAccount(each.account, currency, side, purpose, lower_limit)
        for each, (purpose, side, lower_limit) in zip(wanted, _HOUSE, strict=True)
        if each.account in bound
    ]
    if new:
        await ledger.open_accounts(tx, new, at)


async def wallets_with_accounts(tx: Tx, owners: Sequence[UUID]) -> list[tuple[Wallet, Account]]:
    """Wallets of owners with their accounts as they are now."""
    wallets = await rows.wallets_of(tx, owners, limits.MAX_WALLETS * len(owners))
    accounts = await ledger.accounts(tx, [wallet.account for wallet in wallets])
    return [(wallet, accounts[wallet.account]) for wallet in wallets]
