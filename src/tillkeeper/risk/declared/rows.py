"""Features that the installation declares: kept as they were written, computed until they are retired."""

from collections.abc import Collection
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.results import refuse
from tillkeeper.risk.declarations import (
    ONLY_BUILT_IN,
    BadDeclarationsError,
    Declaration,
    as_json,
    from_json,
    read_declarations,
)
from tillkeeper.risk.features import FEATURES, Catalogue
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")
_EVER: Final = 10 * limits.DECLARED_FEATURES


class Declared(msgspec.Struct, frozen=True):
    """A feature of the installation, with who declared it and what was done with it last."""

    number: int
    name: str
    source: str
    author: str
    at: datetime
    act: str
    act_author: str
    reason: str
    act_at: datetime

    @property
    def computed(self) -> bool:
        """Whether it is computed; otherwise it was retired."""
        return self.act == "add"


async def revision(tx: Tx) -> int:
    """A number that grows whenever a feature is declared or retired."""
    found: int = await tx.value(_sql.revision)
    return found


async def declared(tx: Tx) -> list[Declared]:
    """Everything the installation ever declared, in the order of the matrix's columns."""
    rows = await tx.rows(_sql.features, {"limit": _EVER})
    return [msgspec.convert(row._asdict(), Declared) for row in rows]


async def catalogue(tx: Tx) -> Catalogue:
    """The package's features and the installation's on top. What this release cannot read any more is left out."""
    return catalogue_of(await declared(tx))


def catalogue_of(found: Collection[Declared]) -> Catalogue:
    """The catalogue that these make."""
    made: list[Declaration] = []
    for one in found:
        if one.computed and one.name not in FEATURES:
            made += from_json(one.source, one.name, (*FEATURES, *(each.name for each in made)))
    return FEATURES.with_(made)


async def add(tx: Tx, source: str, file: str, author: str, at: datetime) -> tuple[Declaration, ...]:
    """Declare what a file of declarations says; each is computed from now on, on record.

    What was retired comes back if it is declared just as it was. Raises BadDeclarationsError, and Refused
    (invalid_value) for a name that was something else before, or too many.
    """
    await tx.run(_sql.one_at_a_time)
    found = {one.name: one for one in await declared(tx)}
    known = catalogue_of(found.values())
    made = read_declarations(source, file, tuple(known))
    if faults := [fault for one in made for fault in _never_known(one, known)]:
        raise BadDeclarationsError(file, faults)
    if len(known) - len(FEATURES) + len(made) > limits.DECLARED_FEATURES or len(found) + len(made) > _EVER:
        raise refuse(
            "invalid_value", f"{limits.DECLARED_FEATURES} features are computed; retire some first", "feature"
        )
    for one in made:
        await _add(tx, one, found.get(one.name), author, at)
    return made


def _never_known(one: Declaration, known: Catalogue) -> list[str]:
    """Why nobody would ever compute it live: it would stand there as unknown for ever."""
    if one.aggregate in ONLY_BUILT_IN:
        instead = [each.name for each in FEATURES.declarations if each.aggregate == one.aggregate]
        remedy = f"read {' or '.join(instead)} in a value"
        return [
            f"{one.name}: aggregate: {one.aggregate} is kept for what comes with the package only; {remedy}"
        ]
    late = [name for name in one.reads() if name in known and _by_engine(known[name].declaration)]
    return [
        f"{one.name}: value: {name} is known only after all features; let a rule compare it" for name in late
    ]


def _by_engine(one: Declaration | None) -> bool:
    return one is not None and not one.aggregate and one.value is None


async def _add(tx: Tx, one: Declaration, before: Declared | None, author: str, at: datetime) -> None:
    kept = as_json(one)
    if len(kept) > limits.DECLARATION_CHARS:
        raise refuse(
            "invalid_value", f"{one.name} is longer than {limits.DECLARATION_CHARS} characters", "feature"
        )
    if before is not None and before.source != kept:
        words = f"{one.name} was declared differently on {before.at:%Y-%m-%d}: what changes its meaning changes its name"
        raise refuse("invalid_value", words, "name")
    number = before.number if before else None
    if number is None:
        digest = sha256(kept.encode()).digest()
        row = {"name": one.name, "source": kept, "sha256": digest, "author": author, "at": at}
        number = await tx.value(_sql.add, row)
    await _act(tx, number, "add", author, "", at)
    await audit.append(tx, author, "feature.declared", f"feature:{one.name}")


async def retire(
    tx: Tx, name: str, author: str, reason: str, at: datetime, used: Collection[str] = ()
) -> None:
    """Compute a feature no longer. `used`: features that rules or models in force read.

    Raises Refused (invalid_value) when it comes with the package, is not computed, or is read.
    """
    await tx.run(_sql.one_at_a_time)
    if name in FEATURES:
        raise refuse(
            "invalid_value", "comes with the package; only what was declared here is retired", "name"
        )
    found = {one.name: one for one in await declared(tx)}
    if name not in found or not found[name].computed:
        raise refuse("invalid_value", f"no feature {name} is computed", "name")
    known = catalogue_of(found.values())
    if name in known.reading(used):
        raise refuse("invalid_value", "rules or models in force read it; change these first", "name")
    readers = [one.name for one in known.declarations if name in one.reads()]
    if readers:
        raise refuse(
            "invalid_value", f"{', '.join(readers[:5])} is computed from it; retire that first", "name"
        )
    await _act(tx, found[name].number, "retire", author, reason, at)
    await audit.append(tx, author, "feature.retired", f"feature:{name}", reason)


async def _act(tx: Tx, feature: int, act: str, author: str, reason: str, at: datetime) -> None:
    row = {"feature": feature, "act": act, "author": author, "reason": reason, "at": at}
    await tx.run(_sql.act, row)
