"""A customer leaves for good: only when nothing is owed either way. The erasure itself is parties'."""

from typing import Any
from uuid import UUID

import msgspec

from tillkeeper import access, audit, parties
from tillkeeper.access import Approval
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import from_typeid, to_typeid
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

    Commit at once: see parties.erase, and no payment goes on until then.
    """
    await rows.stop_turns(tx)
    if (refusal := await may_leave(tx, customer)) is not None:
        await audit.append(
            tx, actor, "customer.erased", to_typeid("cus", customer), refusal.code, origin, "refused"
        )
        return refusal
    return await parties.erase(tx, register, customer, reason, clock, actor=actor, origin=origin)


class Leaving(msgspec.Struct, frozen=True):
    """Terms: destroy everything that names a customer."""

    customer: str
    reason: str


def erasure(register: Register, clock: Clock) -> access.approvals.Deed:
    """Erasing a customer, as soon as a second person agrees."""

    async def carry_out(tx: Tx, approval: Approval, terms: Leaving) -> Refusal | None:
        """After a crash in between the customer is erased, and this says so."""
        why = f"{terms.reason} ({access.approvals.approval_id(approval)}, asked by {approval.asked_by})"
        by, customer = approval.decided_by or "", from_typeid("cus", terms.customer)
        done = await erase_customer(tx, register, customer, why, clock, actor=by, origin=approval.origin)
        return done if isinstance(done, Refusal) else None

    return access.approvals.Deed("customer.erase", Leaving, _present, carry_out)


async def _present(tx: Tx, terms: Leaving) -> Any:
    """Whoever may leave may do so later too, unless something comes in between; then the deed itself says no."""
    return await may_leave(tx, from_typeid("cus", terms.customer))
