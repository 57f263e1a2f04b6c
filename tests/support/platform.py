"""The platform without its faces: a till with exact rules on a store, with a clock that the test moves.

Rules as in tests.support.shop: ¥1,000 and more waits for a person, ¥500 and more asks for a code, ¥66.60 is refused.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from tests.support.shop import _RULES, ASKED, FINE, HELD, REFUSED
from tillkeeper import ledger, parties, payments
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import from_typeid, new_id
from tillkeeper.parties import Merchant, Newcomer
from tillkeeper.payments import Payment, QrCode, Till
from tillkeeper.payments.commands import Pay, SettleRail, TopUp
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Answer, Key, Store
from tillkeeper.vault import FileRoot, Vault

__all__ = ["ASKED", "FINE", "HELD", "REFUSED", "ZONE", "Platform", "Said", "key", "opened"]
ZONE = "Asia/Shanghai"


class Said(NamedTuple):
    """An answer of the turn: its status, its JSON, and its bytes."""

    status: int
    body: dict[str, Any]
    raw: bytes

    @property
    def id(self) -> UUID:
        return from_typeid("pay", self.body["id"])

    @property
    def state(self) -> str:
        return str(self.body["state"])

    @property
    def code(self) -> str:
        """The problem's code, or the code of a declined payment."""
        return str(self.body.get("code") or (self.body.get("failure") or {}).get("code"))


_ANYBODY = new_id()


def key(text: str, of: object = "", principal: UUID = _ANYBODY) -> Key:
    """An idempotency key; `of` is what is asked with it."""
    return Key(principal, text, repr(of).encode())


class Platform:
    """People, shops and their payments, everything through the till."""

    def __init__(self, store: Store, till: Till, clock: Clock, vault: Vault) -> None:
        self.store, self.till, self.clock, self.vault = store, till, clock, vault

    async def ask(self, command: Any, with_key: Key | None = None, till: Till | None = None) -> Said:
        answer: Answer = await (till or self.till).submit(command, with_key)
        return Said(answer.status, msgspec.json.decode(answer.body), answer.body)

    async def pay(self, payer: UUID, merchant: UUID, amount: int = FINE, **more: Any) -> Said:
        return await self.ask(Pay(payer, merchant, amount, more.pop("currency", "CNY"), **more))

    async def customer(
        self, funds: int = 1_000_000, currencies: Sequence[str] = ("CNY",), day_limit: int | None = None
    ) -> UUID:
        """A customer with money from the bank in each currency."""
        who, now = new_id(), self.clock.now()
        async with self.store.tx("customer") as tx:
            await parties.add_customer(tx, self.vault, Newcomer(who, "Li"), now)
            await payments.open_wallets(tx, who, currencies, day_limit, now)
        for currency in currencies:
            if funds:
                said = await self.ask(TopUp(who, funds, currency))
                await self.settle(said.id, accepted=True)
        return who

    async def merchant(self, fee_bps: int = 60, currencies: Sequence[str] = ("CNY",)) -> UUID:
        who, now = new_id(), self.clock.now()
        async with self.store.tx("merchant") as tx:
            shop = Merchant(who, "Lao Jie", "cafe", "active", fee_bps, None, None, None, now)
            await parties.add_merchant(tx, shop)
            await payments.open_wallets(tx, who, currencies, None, now)
        return who

    async def attempt(self, payment: UUID) -> UUID:
        """The rail attempt of a payment."""
        async with self.store.tx("attempt") as tx:
            found: UUID = await tx.value(
                b"SELECT id FROM payments.rail_attempts WHERE payment = %(payment)s", {"payment": payment}
            )
        return found

    async def settle(self, payment: UUID, *, accepted: bool) -> Said:
        """The bank's word on a top-up or withdrawal."""
        return await self.ask(SettleRail(await self.attempt(payment), payment, accepted, "done"))

    async def qr(self, merchant: UUID, amount: int | None, **more: Any) -> UUID:
        code = QrCode(new_id(), merchant, "CNY", amount, None, self.clock.now(), more.get("expires_at"), None)
        async with self.store.tx("code") as tx:
            await payments.add_qr_code(tx, code)
        return code.id

    async def wallet(self, owner: UUID, currency: str = "CNY") -> ledger.Account:
        async with self.store.tx("wallet") as tx:
            found = await payments.wallets_with_accounts(tx, [owner])
        return next(account for wallet, account in found if wallet.currency == currency)

    async def payment(self, payment: UUID) -> Payment:
        async with self.store.tx("payment") as tx:
            found = await payments.payment(tx, payment)
        assert found is not None
        return found

    async def count(self, table: str) -> int:
        async with self.store.tx("count") as tx:
            return int(await tx.value(f"SELECT count(*) FROM {table}".encode()))

    async def balanced(self) -> bool:
        return (await ledger.verify(self.store)).balanced


@asynccontextmanager
async def opened(store: Store, clock: Clock, folder: Path) -> AsyncIterator[Platform]:
    """A platform on a store; `folder` takes its rules file and its root key."""
    rules = folder / "rules.toml"
    rules.write_text(_RULES, "utf-8")
    till = Till(store, await RiskEngine.open(store, rules, clock, ZONE), clock, ZONE)
    async with Vault.opened(store, FileRoot(folder / "keys" / "root.key"), clock) as vault:
        yield Platform(store, till, clock, vault)
    await till.close()
