"""The vault: seals texts into cells, finds them by tags, and is the only one that opens them."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Store
from tillkeeper.vault import cells
from tillkeeper.vault.cells import RowId
from tillkeeper.vault.declarations import Catalogue, SealedColumn, Table, catalogue
from tillkeeper.vault.errors import CellError, ErasedError, UnknownVersionError
from tillkeeper.vault.keyset import DATA, INDEX, Keyset, make_first
from tillkeeper.vault.masks import HIDDEN, mask
from tillkeeper.vault.roots import RootKey
from tillkeeper.vault.sealed import ERASED, Sealed

log = logging.getLogger(__name__)

_SUBJECTS = "C2"  # the class whose data key wraps the customers' keys


class SubjectKey:
    """A customer's key: `wrapped` is what the customer's row keeps. Empty or None: it was destroyed.

    It is unwrapped when first needed, and remembered: use one for all cells of a row.
    """

    __slots__ = ("_ciphers", "_secret", "wrapped")

    def __init__(self, wrapped: bytes | None, secret: bytes | None = None) -> None:
        self.wrapped = wrapped
        self._secret = secret
        self._ciphers: dict[tuple[str, int], AESGCM] = {}

    def cipher(self, keyset: Keyset, class_: str, version: int) -> AESGCM:
        """What seals and opens the customer's cells of a class and version. Raises CellError."""
        found = self._ciphers.get((class_, version))
        if found is None:
            found = cells.cell_key(keyset.secret(class_, DATA, version), self.secret(keyset))
            self._ciphers[class_, version] = found
        return found

    def secret(self, keyset: Keyset) -> bytes:
        """The key itself. Raises CellError."""
        if not self.wrapped:
            raise ErasedError("the customer's key was destroyed")
        if self._secret is None:
            version = cells.version_of(self.wrapped)
            self._secret = cells.unwrap(keyset.secret(_SUBJECTS, DATA, version), self.wrapped)
        return self._secret


class Field:
    """A sealed column: how its cells are made and read. Declared in the columns.toml of its package."""

    def __init__(
        self, keyset: Keyset, table_name: str, name: str, table: Table, declared: SealedColumn
    ) -> None:
        self.column: Final = f"{table_name}.{name}"
        """schema.table.column"""
        self._keyset = keyset
        self._declared = declared
        self._class = declared.class_
        self._personal = table.personal_key
        # Where a cell stands; with its key version after it, its associated data. Only a row's id may hold a bar, and
        # what follows it has a fixed length, so no two places read alike.
        self._place = f"{self.column}|%b|{declared.class_}".encode()
        self._row = f"{table_name}|%b".encode()
        self._name = self.column.encode()
        self._tag_bytes = cells.EXACT_BYTES if declared.search == "exact" else cells.BEACON_BYTES

    def seal(self, key: SubjectKey | None, row: RowId, text: str) -> bytes:
        """A cell for this column of the row.

        `key` is the customer's, None in tables without. Raises StaleKeysError, and ErasedError for a destroyed key.
        """
        version = self._keyset.active(self._class, DATA).version
        raw = cells.row_bytes(row)
        return cells.seal(self._cipher(key, raw, version), version, self._place % raw, text.encode())

    def load(self, key: SubjectKey | None, row: RowId, cell: bytes | None) -> Sealed | None:
        """The value of a cell as it travels: its mask. None stays None; an emptied cell or key gives an erased one.

        A cell that does not open is shown hidden and told to the log; `Vault.open` says why.
        """
        if cell is None:
            return None
        if not cell or (key is not None and not key.wrapped):
            return Sealed(ERASED, self.column, row, b"")
        wrapped = None if key is None else key.wrapped
        try:
            shown = mask(self._declared.mask, self.unseal(key, row, cell))
        except CellError as error:
            log.log(
                logging.WARNING if isinstance(error, UnknownVersionError) else logging.ERROR,
                "%s of row %s does not open: %s",
                self.column,
                cells.row_text(row),
                error,
            )
            shown = HIDDEN
        return Sealed(shown, self.column, row, cell, wrapped)

    def tag(self, text: str) -> bytes:
        """The blind index to write beside a cell, in the column `<name>_tag`. Raises StaleKeysError."""
        version, class_key = self._keyset.active(self._class, INDEX)
        return self.tag_of(version, class_key, text)

    def tags(self, text: str) -> dict[str, bytes]:
        """What to look for: `WHERE <name>_tag IN (%(tag)b, %(other_tag)b)`. During a rotation they differ.

        Two values rather than an array: PostgreSQL keeps the plan of the one, and plans the other anew each time. A beacon
        is shared by a few rows: open them and compare.
        """
        keys = self._keyset.readable(self._class, INDEX)
        tag = self.tag_of(*keys[0], text)
        return {"tag": tag, "other_tag": tag if len(keys) == 1 else self.tag_of(*keys[-1], text)}

    def tag_of(self, version: int, class_key: bytes, text: str) -> bytes:
        """The blind index under an index key. Raises ValueError for a column that is not searched."""
        if self._declared.search == "none":
            raise ValueError(f"{self.column} is declared without a search")
        return cells.tag(cells.index_key(class_key, self._name), version, text, self._tag_bytes)

    def unseal(self, key: SubjectKey | None, row: RowId, cell: bytes) -> str:
        """What a cell holds, for this package only. Raises CellError."""
        raw = cells.row_bytes(row)
        cipher = self._cipher(key, raw, cells.version_of(cell))
        return cells.unseal(cipher, self._place % raw, cell).decode()

    def resealed(self, key: SubjectKey | None, row: RowId, cell: bytes) -> bytes:
        """The same, sealed with the key that is active now, for rotation. Raises CellError and StaleKeysError."""
        old, new = cells.version_of(cell), self._keyset.active(self._class, DATA).version
        raw = cells.row_bytes(row)
        place = self._place % raw
        plain = cells.unseal(self._cipher(key, raw, old), place, cell)
        return cells.seal(self._cipher(key, raw, new), new, place, plain)

    def _cipher(self, key: SubjectKey | None, row: bytes, version: int) -> AESGCM:
        if not self._personal:
            return cells.cell_key(self._keyset.secret(self._class, DATA, version), self._row % row)
        if key is None:
            raise ValueError(f"{self.column} is sealed with the customer's key: hand it in")
        return key.cipher(self._keyset, self._class, version)


class Vault:
    """The keys, and the fields that use them."""

    def __init__(self, keyset: Keyset, tables: Catalogue) -> None:
        self.tables = tables
        self._keyset = keyset
        self._fields: dict[str, Field] = {}

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, store: Store, root: RootKey, clock: Clock, tables: Catalogue | None = None
    ) -> AsyncIterator["Vault"]:
        """A vault on a store; its keys are read again every VAULT_REFRESH_SECONDS. `tables`: those of the packages.

        The first on a new database makes the keys. Raises RootKeyError when the root key is missing or another.
        """
        await make_first(store, root, clock)
        keyset = Keyset(store, root)
        await keyset.read()
        renewing = asyncio.create_task(_renew(keyset))
        try:
            yield cls(keyset, tables or catalogue())
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    def field(self, table: str, column: str) -> Field:
        """A sealed column of a table "schema.table". Raises KeyError for one that is not declared as sealed."""
        name = f"{table}.{column}"
        if name not in self._fields:
            declared = self.tables[table]
            self._fields[name] = Field(self._keyset, table, column, declared, declared.sealed[column])
        return self._fields[name]

    def new_key(self) -> SubjectKey:
        """A new customer's key; keep its `wrapped` in the customer's row. Raises StaleKeysError."""
        version, class_key = self._keyset.active(_SUBJECTS, DATA)
        secret = cells.new_secret()
        return SubjectKey(cells.wrap(class_key, version, secret), secret)

    def subject_key(self, wrapped: bytes | None) -> SubjectKey:
        """A customer's key from the customer's row; None or empty is a destroyed one. It is never written back."""
        return SubjectKey(wrapped)

    def rewrapped(self, key: SubjectKey) -> bytes:
        """A customer's key as the active version wraps it. Raises CellError and StaleKeysError."""
        version, class_key = self._keyset.active(_SUBJECTS, DATA)
        return cells.wrap(class_key, version, key.secret(self._keyset))

    async def refresh(self, age: float = 0.0) -> None:
        """Read the keys now, unless that was done in the last `age` seconds."""
        await self._keyset.read_since(time.monotonic() - age)

    async def open(self, sealed: Sealed) -> str:
        """The plaintext. Whoever calls this has asked who may see it, and has written down that they did.

        A version that is not known is looked for at once. Raises CellError.
        """
        return (await self.open_all([sealed]))[0]

    async def open_all(self, values: Sequence[Sealed]) -> list[str]:
        """The plaintexts of many, as `open`."""
        asked_at = time.monotonic()
        try:
            return [self._open(value) for value in values]
        except UnknownVersionError:
            await self._keyset.read_since(asked_at)
            return [self._open(value) for value in values]

    def is_text(self, sealed: Sealed, text: str) -> bool:
        """Whether a sealed value is a text, read as searches read them: a beacon's finds are sorted out with this.

        Only yes or no comes out. What does not open is not the text.
        """
        try:
            return hmac.compare_digest(cells.normal(self._open(sealed)).encode(), cells.normal(text).encode())
        except CellError:
            return False

    def _open(self, sealed: Sealed) -> str:
        if sealed.erased:
            raise ErasedError(f"{sealed.column} of row {cells.row_text(sealed.row)} was erased")
        table, _, column = sealed.column.rpartition(".")
        key = None if sealed.wrapped_key is None else SubjectKey(sealed.wrapped_key)
        try:
            return self.field(table, column).unseal(key, sealed.row, sealed.cell)
        except CellError as error:
            error.add_note(f"{sealed.column} of row {cells.row_text(sealed.row)}")
            raise


async def _renew(keyset: Keyset) -> None:
    while True:
        await asyncio.sleep(limits.VAULT_REFRESH_SECONDS)
        try:
            await keyset.read()
        except Exception as error:  # noqa: BLE001 - what is known stays good for VAULT_TRUST_SECONDS; then sealing stops
            log.warning("the keys were not read again: %s", error)
