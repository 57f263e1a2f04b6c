"""What every column of every table is: read from the `columns.toml` of each package.

[customers]                        # a table of this package's schema
kept = "forever"                   # its rows: "P400D" (so many days), "forever", "used" (as long as they are used: their own flow
                                   # overwrites or removes them), or a table of ours whose rows they go with
why = "who was paid"               # for how long and not longer or shorter; of "used" and of what goes with others nothing is said
by = "partitions"                  # what deletes rows past their days; unset: the sweeper, by the statement of the table's name in
                                   # this package's retention.sql
row = "id"                         # the column that names a row (default: id)
subject = "id"                     # the column with the customer's id, where rows belong to a customer
key = "sealing_key"                # the column with the customer's wrapped key; only where the customer lives
keeper = "parties.customers"       # elsewhere: the table that has the key
since = "created_at"               # retention counts from here
public = ["state"]                 # may be known to everybody
internal = ["id", "created_at"]    # C1: says nothing about a person, and is nobody else's business
hashed = ["token_hash"]            # C3, kept only as a hash

[customers.sealed.name]            # a column that holds personal data or a secret, sealed (type bytea)
class = "C2"                       # C2 personal, C3 secret
purpose = "who we pay"
mask = "name"                      # one of masks.MASKS
search = "exact"                   # none (default), exact, beacon: the column `name_tag` holds the blind index
retention = "P5Y"                  # after that it is emptied; unset: kept as long as its row
erase = "subject"                  # goes when the customer is erased; "never" (default) says it stays

[decisions.unsealed.device]        # personal data or a secret in the clear, and why that must be
class = "C2"
purpose = "windows by device"
reason = "..."
erase = "subject"                  # becomes NULL when the customer is erased
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from tillkeeper.vault.errors import DeclarationError
from tillkeeper.vault.masks import MASKS

FILE: Final = "columns.toml"
TAG_SUFFIX: Final = "_tag"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_RETENTION: Final = re.compile(r"P\d{1,3}[YMD]")
_DAYS: Final = re.compile(r"P(\d{1,4})D")
FOREVER: Final = "forever"
USED: Final = "used"
_PLAIN: Final = ("public", "internal", "hashed")


class SealedColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a sealed column is treated."""

    class_: Literal["C2", "C3"] = msgspec.field(name="class")
    purpose: str
    mask: str
    search: Literal["none", "exact", "beacon"] = "none"
    retention: str | None = None
    erase: Literal["subject", "never"] = "never"


class UnsealedColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Personal data or a secret that is kept in the clear, and the reason."""

    class_: Literal["C2", "C3"] = msgspec.field(name="class")
    purpose: str
    reason: str
    retention: str | None = None
    erase: Literal["subject", "never"] = "never"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The columns of one table. See this module's head."""

    kept: str = ""
    why: str = ""
    by: str = ""
    row: str = "id"
    subject: str | None = None
    key: str | None = None
    keeper: str | None = None
    since: str | None = None
    public: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    sealed: dict[str, SealedColumn] = {}
    unsealed: dict[str, UnsealedColumn] = {}

    @property
    def days(self) -> int | None:
        """How many days its rows are kept; None where it is no number of days."""
        found = _DAYS.fullmatch(self.kept)
        return int(found[1]) if found else None

    @property
    def personal_key(self) -> bool:
        """Whether its cells are sealed with the key of a customer."""
        return self.key is not None or self.keeper is not None

    def columns(self) -> list[str]:
        """All declared columns, with the tags that come with searchable ones."""
        tags = [name + TAG_SUFFIX for name, column in self.sealed.items() if column.search != "none"]
        plain = [*self.public, *self.internal, *self.hashed]
        return [*plain, *self.sealed, *tags, *self.unsealed]


Catalogue = Mapping[str, Table]
"""Every table by "schema.table"."""


@cache
def catalogue() -> Catalogue:
    """The declarations of all packages. Raises DeclarationError."""
    folders = sorted(files("tillkeeper").iterdir(), key=lambda each: each.name)
    texts = {
        folder.name: file.read_text("utf-8")
        for folder in folders
        if folder.is_dir() and (file := folder.joinpath(FILE)).is_file()
    }
    return read(texts)


def read(texts: Mapping[str, str]) -> Catalogue:
    """The declarations in the texts of columns.toml files, by schema. Raises DeclarationError."""
    found: dict[str, Table] = {}
    for schema, text in texts.items():
        try:
            tables: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise DeclarationError(f"{schema}/{FILE}: {error}") from error
        for name, declared in tables.items():
            found[f"{schema}.{name}"] = _table(f"{schema}/{FILE}: {name}", declared)
    for name, table in found.items():
        if faults := list(_faults(table, found)):
            raise DeclarationError(f"{name}: {faults[0]}")
    return found


def _table(where: str, declared: Any) -> Table:
    try:
        return msgspec.convert(declared, Table)
    except msgspec.ValidationError as error:
        raise DeclarationError(f"{where}: {error}") from error


def _faults(table: Table, found: Catalogue) -> Iterable[str]:
    yield from _kept_faults(table, found)
    columns = table.columns()
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        yield f"{twice[0]} is declared twice"
    if strange := [name for name in columns if not _NAME.fullmatch(name)]:
        yield f"{strange[0]!r} is no name of a column"
    for role, name in (
        ("row", table.row),
        ("subject", table.subject),
        ("key", table.key),
        ("since", table.since),
    ):
        if name is not None and name not in columns and (table.sealed or role != "row"):
            yield f"{role} = {name!r} is not among its columns"
    if table.personal_key and table.subject is None:
        yield "a customer's key needs a subject"
    if table.keeper is not None and (table.key is not None or not _keeps(found.get(table.keeper))):
        yield f"keeper = {table.keeper!r}: the table that has the column with the customer's key"
    for name, column in table.sealed.items():
        yield from _column_faults(name, column, table)
    for name, unsealed in table.unsealed.items():
        if unsealed.erase == "subject" and table.subject is None:
            yield f"{name}: erase = 'subject' needs the table's subject"


def _kept_faults(table: Table, found: Catalogue) -> Iterable[str]:
    if table.days is None and table.kept not in {"", FOREVER, USED, *found}:
        yield f"kept = {table.kept!r}: days like P400D, {FOREVER!r}, {USED!r}, or the table whose rows they go with"
    if (table.days is not None or table.kept == FOREVER) and not table.why:
        yield f"kept = {table.kept!r} needs a `why`"


def _keeps(table: Table | None) -> bool:
    return table is not None and table.key is not None


def _column_faults(name: str, column: SealedColumn, table: Table) -> Iterable[str]:
    if column.mask not in MASKS:
        yield f"{name}: mask {column.mask!r} is none of {', '.join(MASKS)}"
    if column.retention is not None and not _RETENTION.fullmatch(column.retention):
        yield f"{name}: retention {column.retention!r} is not like P5Y, P6M or P90D"
    if column.retention is not None and table.since is None:
        yield f"{name}: a retention needs `since`, the column it counts from"
    if column.erase == "subject" and table.subject is None:
        yield f"{name}: erase = 'subject' needs the table's subject"
