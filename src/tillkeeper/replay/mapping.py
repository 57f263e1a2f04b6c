"""A mapping: which column of a file means what, and how it is written. TOML; docs/operating/replay.md explains it."""

import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from tillkeeper.base.forbidden import forbidden_name
from tillkeeper.base.money import MoneyError, exponent
from tillkeeper.replay.types import ReplayError

_MANUAL: Final = "docs/operating/replay.md explains mappings"
_READY: Final = ("handbook.toml",)
_SHOWN_COLUMNS: Final = 30


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of the file's columns. Without `id`, a row is known by its number; without `fraud`, nothing is judged."""

    time: str
    payer: str
    payee: str
    amount: str
    id: str | None = None
    fraud: str | None = None
    currency: str | None = None
    payee_name: str | None = None
    device: str | None = None
    ip: str | None = None
    latitude: str | None = None
    longitude: str | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read a file.

    `currency`: of all rows, where no column says it. `time`: "iso", "epoch" (seconds), "epoch_ms", or a strptime format.
    `zone`: of times that name none (IANA). `amounts`: "major" (12.34) or "minor" units (1234). `payees`: whether money
    goes to merchants or to other customers. `fraud_values`: what the label column says of a fraud, where that is not a
    plain yes or no. `rules`: a rule set of the package, made for this kind of data.
    """

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,29}$")]
    columns: Columns
    currency: str | None = None
    time: str = "iso"
    zone: str = "UTC"
    amounts: Literal["major", "minor"] = "major"
    payees: Literal["merchants", "customers"] = "merchants"
    fraud_values: tuple[str, ...] = ()
    rules: str | None = None

    @property
    def wanted(self) -> dict[str, str]:
        """Column of the file by meaning, for the meanings that are mapped."""
        return {
            meaning: column
            for meaning, column in msgspec.structs.asdict(self.columns).items()
            if column is not None
        }

    @property
    def digest(self) -> str:
        """Differs when anything in the mapping does."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def read_mapping(path: Path) -> Mapping:
    """Read and check a mapping. Raises ReplayError naming the key at fault."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ReplayError(f"the mapping {path} cannot be read: {error.strerror}", "check the path") from error
    return _checked(source, str(path))


def ready_mapping(columns: Sequence[str]) -> Mapping:
    """The mapping that comes with the package for files with these columns. Raises ReplayError when there is none."""
    for each in (_checked(_resource(name), name) for name in _READY):
        if set(each.wanted.values()) <= set(columns):
            return each
    raise ReplayError(
        f"no ready mapping fits the columns {_listed(columns)}", f"give one with --map; {_MANUAL}"
    )


def check_columns(mapping: Mapping, columns: Sequence[str]) -> None:
    """Raises ReplayError when the file lacks a column that the mapping names."""
    missing = [
        f"{column!r} (columns.{meaning})"
        for meaning, column in mapping.wanted.items()
        if column not in columns
    ]
    if missing:
        raise ReplayError(
            f"the file has no column {', '.join(missing)}; it has {_listed(columns)}",
            f"correct the names under [columns] of the mapping {mapping.name!r}",
        )


def _resource(name: str) -> bytes:
    return files(__package__).joinpath("mappings", name).read_bytes()


def _checked(source: bytes, name: str) -> Mapping:
    try:
        mapping = msgspec.toml.decode(source, type=Mapping)
    except msgspec.ValidationError as error:
        said = re.sub(r" - at `\$\.?(.*)`$", r" (at \1)", str(error))
        raise ReplayError(f"{name}: {said}", _MANUAL) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReplayError(f"{name} is not TOML: {error}", _MANUAL) from error
    for meaning, column in mapping.wanted.items():
        if forbidden_name(column):
            raise ReplayError(
                f"{name}: columns.{meaning}: {column!r} is never stored", "leave card data out of the file"
            )
    if (mapping.currency is None) == (mapping.columns.currency is None):
        raise ReplayError(f"{name}: give either currency or columns.currency", _MANUAL)
    if mapping.currency is not None:
        try:
            exponent(mapping.currency)
        except MoneyError as error:
            raise ReplayError(f"{name}: currency: {error}", "write its ISO 4217 code, as in EUR") from error
    try:
        ZoneInfo(mapping.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ReplayError(
            f"{name}: zone: {mapping.zone!r} is no time zone", "write it as in Europe/Paris"
        ) from error
    return mapping


def _listed(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
    return ", ".join(column[:60] for column in columns[:_SHOWN_COLUMNS]) + more
