"""Customers and merchants made as they appear in a file, found again by reference in a later run."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from tillkeeper import parties, payments
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.parties import Newcomer
from tillkeeper.replay.mapping import Mapping
from tillkeeper.replay.types import Record
from tillkeeper.store import Store, Tx
from tillkeeper.vault import Vault

_CATEGORY: Final = "replayed"
# What a shop paid elsewhere is not in the file, and a fee that nobody agreed to would falsify its statement.
_FEE_BPS: Final = 0


class People:
    """Who the file's ids are. A file's own names for payers and payees are apart, unless payees are customers."""

    def __init__(self, store: Store, vault: Vault, mapping: Mapping, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._mapping = mapping
        self._clock = clock
        self.customers: dict[str, UUID] = {}
        self.merchants: dict[str, UUID] = {}
        self._wallets: set[tuple[UUID, str]] = set()

    def payee(self, record: Record) -> UUID:
        """Who is paid; known after `prepare`."""
        return (self.merchants if self._pays_merchants else self.customers)[record.payee]

    async def prepare(self, records: Iterable[Record]) -> None:
        """Have everybody in these records exist, with a wallet in the record's currency."""
        missing = [record for record in records if not self._ready(record)]
        if not missing:
            return
        async with self._store.tx("replay people") as tx:
            customers = {record.payer: "" for record in missing}
            merchants = {record.payee: record.payee_name or "" for record in missing}
            if not self._pays_merchants:
                customers |= merchants
                merchants = {}
            await self._find_or_add(tx, customers, merchants)
            await self._open_wallets(tx, missing)

    @property
    def _pays_merchants(self) -> bool:
        return self._mapping.payees == "merchants"

    def _ready(self, record: Record) -> bool:
        payer = self.customers.get(record.payer)
        payee = (self.merchants if self._pays_merchants else self.customers).get(record.payee)
        wallets = self._wallets
        return (payer, record.currency) in wallets and (payee, record.currency) in wallets

    async def _find_or_add(self, tx: Tx, customers: dict[str, str], merchants: dict[str, str]) -> None:
        found = await parties.customers_by_references(tx, [self._reference(name) for name in customers])
        new = self._newcomers(customers, found, "payer")
        await parties.add_customers(tx, self._vault, new, self._clock.now())
        self.customers |= self._by_name(customers, found, new)
        found = await parties.merchants_by_references(tx, [self._reference(name) for name in merchants])
        new = self._newcomers(merchants, found, "payee")
        await parties.add_merchants(tx, new, _CATEGORY, _FEE_BPS, self._clock.now())
        self.merchants |= self._by_name(merchants, found, new)

    def _reference(self, name: str) -> str:
        return f"{self._mapping.name}:{name}"

    def _newcomers(self, names: dict[str, str], found: dict[str, UUID], role: str) -> list[Newcomer]:
        return [
            Newcomer(new_id(), shown or f"{self._mapping.name} {role} {name}", self._reference(name))
            for name, shown in names.items()
            if self._reference(name) not in found
        ]

    def _by_name(self, names: dict[str, str], found: dict[str, UUID], new: list[Newcomer]) -> dict[str, UUID]:
        ids = found | {each.reference: each.id for each in new}
        return {name: ids[self._reference(name)] for name in names}

    async def _open_wallets(self, tx: Tx, records: list[Record]) -> None:
        wanted: dict[str, dict[UUID, None]] = {}
        for record in records:
            owners = wanted.setdefault(record.currency, {})
            owners[self.customers[record.payer]] = owners[self.payee(record)] = None
        for currency, owners in wanted.items():
            await payments.open_missing_wallets(tx, list(owners), currency, self._clock.now())
            self._wallets |= {(owner, currency) for owner in owners}
