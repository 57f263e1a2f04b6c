"""Erasure: a customer's key, cells and index tags are destroyed; the ledger keeps a number that leads to nobody.

A restored database would bring the destroyed back. So each erasure is written down twice: in the table parties.erasures,
and before the transaction commits in a file outside the database, from which `replay` erases again.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.base.results import Refusal
from tillkeeper.parties.holds import held, hold_on, unfit
from tillkeeper.parties.types import Erasure
from tillkeeper.store import Store, Tx, columns, queries
from tillkeeper.store.private import PrivateFileError, append_private, read_private
from tillkeeper.vault import catalogue, erase_subjects

log = logging.getLogger(__name__)
_sql = queries(__package__, "queries.sql")

FILE: Final = "erasures.jsonl"
REPLAYED: Final = "customer.erased_again"


class RegisterError(PrivateFileError):
    """The register of erasures cannot be read. The message says which line, and what to do."""


class _Line(msgspec.Struct, frozen=True):
    customer: str
    erased_at: datetime
    actor: str
    reason: str


class Register:
    """The file outside the database: one JSON object an erasure, only ever added to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    async def add(self, erasures: Sequence[Erasure]) -> None:
        """Write erasures down; they are on the disk when this returns. Raises PrivateFileError."""
        lines = [
            _Line(to_typeid("cus", each.customer), each.erased_at, each.actor, each.reason)
            for each in erasures
        ]
        for line in lines:
            await asyncio.to_thread(append_private, self.path, msgspec.json.encode(line))

    def read(self) -> list[Erasure]:
        """All of them. Raises RegisterError for a damaged line, PrivateFileError for a file that cannot be read.

        What a crash left of the last line is no erasure: it did not commit.
        """
        whole = (read_private(self.path) or b"").rpartition(b"\n")[0]
        return [self._read(number, line) for number, line in enumerate(whole.splitlines(), 1)]

    def _read(self, number: int, line: bytes) -> Erasure:
        try:
            read = msgspec.json.decode(line, type=_Line)
            return Erasure(from_typeid("cus", read.customer), read.actor, read.reason, read.erased_at)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise RegisterError(
                f"{self.path}, line {number}: damaged, so nobody knows who was erased; put the file back from your copy"
            ) from error


async def may_erase(tx: Tx, customer: UUID) -> Refusal | None:
    """Why a customer cannot be erased: unknown_customer, customer_erased, legal_hold. The row is locked meanwhile."""
    state = await tx.value(_sql.lock_customer, {"id": customer})
    if (refusal := unfit(state)) is not None:
        return refusal
    hold = await hold_on(tx, customer)
    return held(hold) if hold else None


async def erase(
    tx: Tx, register: Register, customer: UUID, reason: str, clock: Clock, *, actor: str, origin: str = ""
) -> Erasure:
    """Destroy a customer's key, cells and tags. Call `may_erase` in the same transaction first, and commit at once:
    the file outside knows of it from here on, and what fails now is done at the next start.
    """
    erasure = Erasure(customer, actor, reason, clock.now())
    await register.add([erasure])
    await _destroy(tx, [erasure])
    await audit.append(tx, actor, "customer.erased", to_typeid("cus", customer), reason, origin)
    return erasure


async def erasure_of(tx: Tx, customer: UUID) -> Erasure | None:
    """How and when a customer was erased."""
    rows = await tx.tuples(_sql.erasure_of, {"customer": customer})
    return Erasure(*rows[0]) if rows else None


async def replay(store: Store, register: Register) -> list[UUID]:
    """Erase again whoever the file says was erased and this database still knows; who that was.

    A database that was restored from an older copy needs it; for any other it is two look-ups. Erasures that the file lacks
    are added to it. Raises RegisterError and PrivateFileError.
    """
    outside = await asyncio.to_thread(register.read)
    async with store.tx("erasures") as tx:
        inside = [Erasure(*row) for row in await tx.tuples(_sql.erasures)]
    known = {each.customer for each in inside}
    missing = {each.customer: each for each in outside if each.customer not in known}
    again = list(missing.values())
    for first in range(0, len(again), limits.ERASURE_BATCH):
        await _erase_again(store, again[first : first + limits.ERASURE_BATCH])
    there = {each.customer for each in outside}
    await register.add([each for each in inside if each.customer not in there])
    return list(missing)


async def _erase_again(store: Store, batch: Sequence[Erasure]) -> None:
    async with store.tx("erase again") as tx:
        await _destroy(tx, batch)
        for each in batch:
            reason = f"as of {each.erased_at:%Y-%m-%d}, after a restore"
            await audit.append(tx, "system", REPLAYED, to_typeid("cus", each.customer), reason)
    log.warning(
        "%d customers were erased again: this database is older than the register of erasures", len(batch)
    )


async def _destroy(tx: Tx, erasures: Sequence[Erasure]) -> None:
    ids = [each.customer for each in erasures]
    await tx.run(_sql.erase_customers, {"ids": columns.uuids(ids)})
    await erase_subjects(tx, catalogue(), ids)
    await tx.run(
        _sql.add_erasures,
        {
            "customers": columns.uuids(ids),
            "actors": columns.texts([each.actor for each in erasures]),
            "reasons": columns.texts([each.reason for each in erasures]),
            "times": columns.times([each.erased_at for each in erasures]),
        },
    )
