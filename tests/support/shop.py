"""A small shop: a real till with rules of its own, people and shops in it, for tests that look at the outcome.

The rules are exact on purpose: ¥1,000 and more waits for a person, ¥500 and more asks for a code, ¥66.60 is refused.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper import parties
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import from_typeid, new_id
from tillkeeper.parties import Merchant, Newcomer
from tillkeeper.payments import QrCode, Till, add_qr_code, open_wallets
from tillkeeper.payments.commands import Context, Pay, RefundPayment, SettleRail, TopUp
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Store
from tillkeeper.vault import FileRoot, Vault

ZONE = "Asia/Shanghai"
HELD, ASKED, REFUSED, FINE = 100_000, 50_000, 6_660, 1_234

_RULES = """
reference = "CNY"
other = 100
[worth]
CNY = 100
[[rule]]
name = "very_large"
version = 1
outcome = "hold"
when = "amount >= 100_000"
reason.zh = "金额达 {amount}"
reason.en = "as much as {amount}"
[[rule]]
name = "large"
version = 1
outcome = "challenge"
when = "(amount >= 50_000) & (amount < 100_000)"
reason.zh = "金额较大：{amount}"
reason.en = "rather much: {amount}"
[[rule]]
name = "unlucky"
version = 1
outcome = "deny"
when = "amount == 6_660"
reason.zh = "不吉利的 {amount}"
reason.en = "an unlucky {amount}"
"""


class Shop:
    """The doors a test needs, each through the turn."""

    def __init__(self, store: Store, till: Till, vault: Vault) -> None:
        self.store, self.till, self.vault, self.clock = store, till, vault, SystemClock()

    async def customer(
        self,
        name: str,
        balance: int = 10_000_000,
        currency: str = "CNY",
        *,
        phone: str | None = None,
        id_number: str | None = None,
    ) -> UUID:
        """A customer with money from the bank."""
        id_ = new_id()
        async with self.store.tx("shop customer") as tx:
            newcomer = Newcomer(id_, name, f"crm-{id_.hex[-12:]}", phone, id_number)
            await parties.add_customer(tx, self.vault, newcomer, self.clock.now())
            await open_wallets(tx, id_, [currency], None, self.clock.now())
        if balance:
            answer = await self.till.submit(TopUp(id_, balance, currency))
            payment = from_typeid("pay", msgspec.json.decode(answer.body)["id"])
            async with self.store.tx("shop attempt") as tx:
                attempt = await tx.value(
                    b"SELECT id FROM payments.rail_attempts WHERE payment = %(payment)s", {"payment": payment}
                )
            await self.till.submit(SettleRail(attempt, payment, accepted=True))
        return id_

    async def merchant(self, name: str) -> UUID:
        """A merchant who pays one percent."""
        id_ = new_id()
        merchant = Merchant(id_, name, "cafe", "active", 100, 31.2, 121.5, f"ref-{name}", self.clock.now())
        async with self.store.tx("shop merchant") as tx:
            await parties.add_merchant(tx, merchant)
            await open_wallets(tx, id_, ["CNY"], None, self.clock.now())
        return id_

    async def qr_code(self, merchant: UUID, amount: int | None) -> UUID:
        """What the merchant shows."""
        code = QrCode(new_id(), merchant, "CNY", amount, None, self.clock.now(), None, None)
        async with self.store.tx("shop code") as tx:
            await add_qr_code(tx, code)
        return code.id

    async def pay(self, payer: UUID, merchant: UUID, amount: int = FINE, **more: Any) -> dict[str, Any]:
        """Pay; the payment as the API shows it."""
        context = Context(device="phone-1", ip="203.0.113.9", latitude=31.2, longitude=121.5)
        answer = await self.till.submit(Pay(payer, merchant, amount, "CNY", context=context, **more))
        return dict(msgspec.json.decode(answer.body))

    async def refund(self, payment: str, amount: int | None = None) -> None:
        """Give back."""
        await self.till.submit(RefundPayment(from_typeid("pay", payment), amount, "broken"))


@asynccontextmanager
async def open_shop(store: Store, folder: Path) -> AsyncIterator[Shop]:
    """A shop on a store; `folder` takes its rules file and its root key."""
    rules = folder / "rules.toml"
    rules.write_text(_RULES, "utf-8")
    clock = SystemClock()
    engine = await RiskEngine.open(store, rules, clock, ZONE)
    till = Till(store, engine, clock, ZONE)
    async with Vault.opened(store, FileRoot(folder / "keys" / "root.key"), clock) as vault:
        yield Shop(store, till, vault)
    await till.close()
