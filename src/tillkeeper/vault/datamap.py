"""The data map: every column of every table and how it is treated, from the declarations. Pure."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from tillkeeper.vault.declarations import TAG_SUFFIX, Catalogue, SealedColumn, Table

Kept = Literal["sealed", "blind index", "hash", "clear"]


class Treatment(msgspec.Struct, frozen=True):
    """A column: its class (C3 secret, C2 personal, C1 internal, public), how it is kept, and for what.

    `retention`: an ISO 8601 period, or "row": as long as its row. `erase`: "subject": goes when the customer is erased.
    `reason`: why something personal or secret is kept in the clear.
    """

    table: str
    column: str
    class_: str = msgspec.field(name="class")
    kept: Kept
    purpose: str = ""
    mask: str = ""
    search: str = ""
    retention: str = "row"
    erase: str = "never"
    reason: str = ""


def treatments(tables: Catalogue) -> Iterator[Treatment]:
    """Every column, by table."""
    for name, table in sorted(tables.items()):
        yield from _plain(name, table)
        for column, declared in table.sealed.items():
            yield from _sealed(name, column, declared)
        for column, open_ in table.unsealed.items():
            yield Treatment(
                name,
                column,
                open_.class_,
                "clear",
                open_.purpose,
                retention=open_.retention or "row",
                erase=open_.erase,
                reason=open_.reason,
            )


def _plain(name: str, table: Table) -> Iterator[Treatment]:
    for column in table.public:
        yield Treatment(name, column, "public", "clear")
    for column in table.internal:
        erase = "subject" if column == table.key else "never"
        yield Treatment(name, column, "C1", "clear", erase=erase)
    for column in table.hashed:
        yield Treatment(name, column, "C3", "hash")


def _sealed(name: str, column: str, declared: SealedColumn) -> Iterator[Treatment]:
    retention = declared.retention or "row"
    yield Treatment(
        name,
        column,
        declared.class_,
        "sealed",
        declared.purpose,
        declared.mask,
        declared.search,
        retention,
        declared.erase,
    )
    if declared.search != "none":
        yield Treatment(
            name,
            column + TAG_SUFFIX,
            declared.class_,
            "blind index",
            f"finds {column}",
            search=declared.search,
            retention=retention,
            erase=declared.erase,
        )
