"""A customer leaves for good: only when nothing is owed either way. The erasure itself is parties'."""

from uuid import UUID

from tillkeeper import audit, parties
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.money import format_money
from tillkeeper.base.results import Refusal
from tillkeeper.parties import Erasure, Register
from tillkeeper.payments import rows
from tillkeeper.payments.wallets import wallets_with_accounts
from tillkeeper.store import Tx


async def may_leave(tx: Tx, customer: UUID) -> Refusal | None:
    """Why a customer cannot be erased now: unknown_customer, customer_erased, legal_hold, payments_open, money_in_wallets.

    Money that is left could be paid out to nobody afterwards, and a payment under way could not be given back.
    """
    if (refusal := await parties.may_erase(tx, customer)) is not None:
        return refusal
    if under_way := await rows.waiting_of(tx, customer):
        first = to_typeid("pay", under_way[0])
        return Refusal("payments_open", f"{len(under_way)} wait to be finished, {first} the first")
    for wallet, account in await wallets_with_accounts(tx, [customer]):
        if account.balance or account.held:
            left = format_money(account.balance, wallet.currency, "en")
            return Refusal("money_in_wallets", f"{left} must be withdrawn or sent first")
    return None


async def erase_customer(
    tx: Tx, register: Register, customer: UUID, reason: str, clock: Clock, *, actor: str, origin: str = ""
) -> Erasure | Refusal:
    """Erase a customer who may leave; otherwise the refusal, as `may_leave` gives it, which is on record too.

    Commit at once: see parties.erase.
    """
    if (refusal := await may_leave(tx, customer)) is not None:
        await audit.append(
            tx, actor, "customer.erased", to_typeid("cus", customer), refusal.code, origin, "refused"
        )
        return refusal
    return await parties.erase(tx, register, customer, reason, clock, actor=actor, origin=origin)
