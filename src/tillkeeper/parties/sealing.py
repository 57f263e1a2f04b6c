"""Between people's data and the cells that hold them: the one place that knows how a customer is sealed."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from tillkeeper.parties.types import Customer, Newcomer
from tillkeeper.store import columns
from tillkeeper.vault import Sealed, SubjectKey, Vault, mask

TABLE: Final = "parties.customers"
COLUMNS: Final = {"name": "full_name", "phone": "phone", "id_number": "id_number"}
"""A customer's personal data, and the columns they are sealed in."""


def seal(vault: Vault, newcomers: Sequence[Newcomer]) -> dict[str, Any]:
    """The sealed columns of new customers, each with a key of their own, as parameters."""
    keys = [vault.new_key() for _ in newcomers]
    params: dict[str, Any] = {
        "ids": columns.uuids([each.id for each in newcomers]),
        "sealing_keys": columns.blobs([key.wrapped for key in keys]),
    }
    for name, column in COLUMNS.items():
        field = vault.field(TABLE, column)
        texts: list[str | None] = [getattr(each, name) for each in newcomers]
        params[f"{column}s"] = columns.blobs(
            [
                None if text is None else field.seal(key, each.id, text)
                for key, each, text in zip(keys, newcomers, texts, strict=True)
            ]
        )
        params[f"{column}_tags"] = columns.blobs(
            [None if text is None else field.tag(text) for text in texts]
        )
    return params


def tags(vault: Vault, name: str, text: str) -> dict[str, bytes]:
    """What to look for among the tags of a personal field, as parameters."""
    return vault.field(TABLE, COLUMNS[name]).tags(text)


def customer(vault: Vault, row: Sequence[Any]) -> Customer:
    """A row of `customers` and its like. A name that `till migrate` has yet to seal shows its mask too."""
    id_, in_the_clear, sealing_key, full_name, phone, id_number, state, reference, created_at = row
    if in_the_clear is not None:
        return Customer(id_, mask("name", in_the_clear), None, None, state, reference, created_at)
    key = vault.subject_key(sealing_key)
    name = _load(vault, "full_name", key, id_, full_name)
    assert name is not None  # the table's constraint: a customer has a name
    return Customer(
        id_,
        name,
        _load(vault, "phone", key, id_, phone),
        _load(vault, "id_number", key, id_, id_number),
        state,
        reference,
        created_at,
    )


def _load(vault: Vault, column: str, key: SubjectKey, row: UUID, cell: bytes | None) -> Sealed | None:
    return vault.field(TABLE, column).load(key, row, cell)
