"""A force made of what is stored: rules read, models opened, lists at hand. What cannot be used leaves what was there.

Reading is quick and stays in the event loop; parsing and opening take seconds and leave it.
"""

import asyncio
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from tillkeeper.risk import declared, inforce, models
from tillkeeper.risk.features import Catalogue
from tillkeeper.risk.force import Force, Model, columns_of
from tillkeeper.risk.rulefile import BadRulesError, read_rules
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Activation, Listing, Mute
from tillkeeper.store import Store, Tx

FALLBACKS: Final = 4
"""So many rule sets and models of a role are tried, the last one first."""


class Stored(msgspec.Struct, frozen=True):
    """What the database says is in force. `blobs`: of models not open yet.

    `champions`, `anomalies`: versions to try, the wanted one first, then who rightly decided before; empty: none is wanted.
    """

    revision: tuple[int, ...]
    activations: list[Activation]
    champions: tuple[int, ...]
    challengers: tuple[int, ...]
    anomalies: tuple[int, ...]
    blobs: dict[int, bytes]
    listings: list[Listing]
    mutes: list[Mute]
    catalogue: Catalogue


class Loaded(msgspec.Struct, frozen=True):
    """A force, what of the wanted could not be taken, and the revision it was made from."""

    force: Force
    faults: tuple[str, ...]
    revision: tuple[int, ...]


async def load(store: Store, before: Force | None, now: datetime) -> Loaded:
    """What is in force by the database. `before`: what is in force here, None at a start.

    Raises BadRulesError at a start when none of the last rule sets can be read by this release.
    """
    async with store.tx("risk force") as tx:
        stored = await _stored(tx, before, now)
    force, faults = await asyncio.to_thread(_made, stored, before, stored.catalogue)
    kept = (force.rule_set, _version(force.champion), _version(force.anomaly), force.columns)
    if before is None or kept != (
        before.rule_set,
        _version(before.champion),
        _version(before.anomaly),
        before.columns,
    ):
        async with store.tx("risk configuration") as tx:
            version = await inforce.configuration(tx, *kept, now)
    else:
        version = before.version
    return Loaded(msgspec.structs.replace(force, version=version), tuple(faults), stored.revision)


async def _stored(tx: Tx, before: Force | None, now: datetime) -> Stored:
    revision = await inforce.revision(tx)  # first: what changes meanwhile is read again
    wanted = await models.in_force(tx)
    catalogue = await declared.catalogue(tx)
    opened = _opened(before, catalogue)
    champions = await _candidates(tx, "champion", wanted.champion, opened)
    anomalies = await _candidates(tx, "anomaly", wanted.anomaly, opened)
    blobs = {}
    for version in sorted({*champions, *wanted.challengers, *anomalies} - opened.keys()):
        try:
            blobs[version] = await models.registry.load(tx, version)
        except models.BadModelError:
            continue  # said when it is to be opened
    return Stored(
        revision[:-1],
        await inforce.activations(tx, FALLBACKS if before is None else 1),
        champions,
        wanted.challengers,
        anomalies,
        blobs,
        await inforce.listings(tx, now),
        await inforce.mutes(tx, now),
        catalogue,
    )


async def _candidates(tx: Tx, role: str, wanted: int | None, opened: Container[int]) -> tuple[int, ...]:
    """Whom to try for a role, up to the first that is open already. Never one that people took back: they saw it do harm."""
    if wanted is None:
        return ()
    found = dict.fromkeys([wanted, *await models.reigns(tx, role, FALLBACKS)])
    versions = list(found)[:FALLBACKS]
    last = next((n for n, version in enumerate(versions) if version in opened), len(versions))
    return tuple(versions[: last + 1])


def _made(stored: Stored, before: Force | None, catalogue: Catalogue) -> tuple[Force, list[str]]:
    faults: list[str] = []
    opened = _opened(before, catalogue)
    rules, rule_set = _rules(stored.activations, before, catalogue, faults)
    champion = _decider(stored.champions, opened, stored.blobs, catalogue, faults)
    anomaly = _decider(stored.anomalies, opened, stored.blobs, catalogue, faults)
    challengers = [
        _first((version,), opened, stored.blobs, catalogue, faults) for version in stored.challengers
    ]
    force = Force(
        rules,
        columns_of(rules, champion, anomaly, catalogue),
        catalogue,
        champion,
        anomaly,
        tuple(each for each in challengers if each is not None),
        inforce.as_listed(stored.listings),
        inforce.as_mutes(stored.mutes),
        rule_set=rule_set,
    )
    return force, faults


def _rules(
    activations: Sequence[Activation],
    before: Force | None,
    catalogue: Catalogue,
    faults: list[str],
) -> tuple[RuleSet, int]:
    """The rule set in force, or else what was in force here, or at a start what was before it."""
    first: BadRulesError | None = None
    for each in activations:
        if before is not None and each.rule_set == before.rule_set and catalogue == before.catalogue:
            return before.rules, before.rule_set
        try:
            return read_rules(each.source, f"rule set {each.rule_set}", catalogue), each.rule_set
        except BadRulesError as error:
            first = first or error
            faults.append(f"rule set {each.rule_set} cannot be used: {str(error).splitlines()[0]}")
    if before is None:
        raise first or BadRulesError("no rules", [])
    return before.rules, before.rule_set


def _decider(
    versions: Sequence[int],
    opened: Mapping[int, Model],
    blobs: Mapping[int, bytes],
    catalogue: Catalogue,
    faults: list[str],
) -> Model | None:
    """Who decides in a role; where it is not the wanted one, the faults say who does in its place."""
    found = _first(versions, opened, blobs, catalogue, faults)
    if versions and _version(found) != versions[0]:
        instead = f"model {found.id} decides" if found else "no model decides, rules alone do"
        faults.append(f"in place of model {versions[0]} {instead}: promote another one, or undo")
    return found


def _first(
    versions: Sequence[int],
    opened: Mapping[int, Model],
    blobs: Mapping[int, bytes],
    catalogue: Catalogue,
    faults: list[str],
) -> Model | None:
    """The first of these models that opens; None when none does, or none is wanted."""
    for version in versions:
        if version in opened:
            return opened[version]
        try:
            return _open(version, blobs[version], catalogue)
        except KeyError:
            faults.append(f"model {version} is not stored: promote another one")
        except models.BadModelError as error:
            faults.append(f"model {version}: {error}")
    return None


def _open(version: int, blob: bytes, catalogue: Catalogue) -> Model:
    scorer = models.open_model(blob, catalogue)
    # The first call compiles or loads machine code: no turn is to wait for it.
    nothing = np.full((1, len(scorer.features)), np.nan)
    scorer.score(nothing)
    return Model(version, scorer)


def _opened(force: Force | None, catalogue: Catalogue) -> dict[int, Model]:
    """The models that are open, as long as all they read is declared as it was."""
    if force is None:
        return {}
    open_ = [each for each in (force.champion, force.anomaly, *force.challengers) if each]
    if force.catalogue == catalogue:
        return {each.id: each for each in open_}
    same = {one.name for one in set(force.catalogue.declarations) & set(catalogue.declarations)}
    return {each.id: each for each in open_ if force.catalogue.reading(each.scorer.features) <= same}


def _version(model: Model | None) -> int | None:
    return None if model is None else model.id
