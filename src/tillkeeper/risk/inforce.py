"""What people put in force: rule sets and proposals of them, lists, mutes. Each change is a row, and on record."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, from_us, to_us
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.base.results import refuse
from tillkeeper.risk import declared
from tillkeeper.risk.breaker import Trip
from tillkeeper.risk.features import KINDS, Feature
from tillkeeper.risk.force import Listed, Mutes
from tillkeeper.risk.rulefile import read_rules
from tillkeeper.risk.rules import RuleSet
from tillkeeper.risk.types import Activation, Listing, Mute, Proposal
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "inforce.sql")

LISTS: Final = ("block", "trust", "watch")
PROPOSAL_PREFIX: Final = "rpr"
ENGINE: Final = "api"
"""The name under which the process that decides says what it has in force."""
_FOREVER: Final = 2**62


class EngineState(msgspec.Struct, frozen=True):
    """What the process that decides has in force since when, when it said so last, and what it could not take.

    `filling`: features it still fills from history. `behind_since`: when the oldest label was written that it has not learnt.
    """

    configuration: int
    rule_set: int | None
    champion: int | None
    anomaly: int | None
    faults: tuple[str, ...]
    filling: int
    since: datetime
    at: datetime
    behind_since: datetime | None


class Noted(NamedTuple):
    """What the process that decides says of itself: see the table risk.engines."""

    configuration: int
    faults: tuple[str, ...]
    label: int
    filling: int


# -- rule sets


async def add_rule_set(tx: Tx, rules: RuleSet, at: datetime) -> int:
    """Keep a rule set; its version. The same one is kept once."""
    # The features are part of the identity: they gave the bytes of receipts their meaning before configurations did.
    digest = sha256("\0".join([rules.source, *rules.features]).encode()).digest()
    kept = {"sha256": digest, "source": rules.source, "features": list(rules.features), "at": at}
    await tx.run(_sql.add_rule_set, kept)
    version: int = await tx.value(_sql.rule_set_version, {"sha256": digest})
    return version


async def activate(
    tx: Tx,
    version: int,
    at: datetime,
    origin: str,
    author: str = "system",
    proposal: UUID | None = None,
) -> bool:
    """Put a rule set in force, on record; False when it is already, when this proposal came into force before, or when
    another rule set is in force than the one that it was made from: of two proposals agreed to at once one wins.
    """
    await tx.run(_sql.one_at_a_time)
    row = {"version": version, "at": at, "origin": origin, "proposal": proposal, "author": author}
    if await tx.value(_sql.activate, row) is None:
        return False
    why = f"version {version}, from {origin}" + (f" {proposal_id(proposal)}" if proposal else "")
    await audit.append(tx, author, "rules.activated", "rules", why)
    return True


async def install(tx: Tx, rules: RuleSet, origin: str, at: datetime) -> None:
    """Put the package's rules or those of the settings' file in force at a start; what people agreed to stays.

    A file's text that never decided is news and goes before everything. The package's rules give way to people's.
    """
    await tx.run(_sql.one_at_a_time)
    last = await activations(tx, 1)
    by_people = bool(last) and last[0].origin == "people"
    if by_people and (origin == "package" or await tx.value(_sql.was_active, {"source": rules.source})):
        return
    await activate(tx, await add_rule_set(tx, rules, at), at, origin)


async def activations(tx: Tx, limit: int) -> list[Activation]:
    """The rule sets that came into force, the last one first."""
    rows = await tx.rows(_sql.last_activations, {"limit": limit})
    return [msgspec.convert(row._asdict(), Activation) for row in rows]


async def propose(
    tx: Tx,
    source: str,
    author: str,
    reason: str,
    clock: Clock,
    catalogue: Mapping[str, Feature] | None = None,
) -> Proposal:
    """Keep a rule set that somebody would like to see in force. It takes a second person to activate it.

    `catalogue`: what rules may read, unset: all that this installation has.

    Raises BadRulesError, and Refused (invalid_value) when exactly these rules are in force.
    """
    known = await declared.catalogue(tx) if catalogue is None else catalogue
    rules, now = read_rules(source, "the proposal", known), clock.now()
    await tx.run(_sql.one_at_a_time)
    last = await activations(tx, 1)
    if last and last[0].source == source:
        raise refuse("invalid_value", "exactly these rules are in force", "rules")
    version, id_ = await add_rule_set(tx, rules, now), new_id()
    base = last[0].rule_set if last else None
    row = {"id": id_, "rule_set": version, "base": base, "author": author, "reason": reason, "at": now}
    await tx.run(_sql.add_proposal, row)
    await audit.append(tx, author, "rules.proposed", proposal_id(id_), f"version {version} {reason}".strip())
    found = await proposal(tx, id_)
    assert found is not None
    return found


async def proposals(tx: Tx, limit: int = limits.PROPOSALS_SHOWN) -> list[Proposal]:
    """What was proposed, the newest first."""
    rows = await tx.rows(_sql.proposals, {"id": None, "limit": limit})
    return [msgspec.convert(row._asdict(), Proposal) for row in rows]


async def proposal(tx: Tx, id_: UUID) -> Proposal | None:
    """One proposal."""
    row = await tx.row(_sql.proposals, {"id": id_, "limit": 1})
    return None if row is None else msgspec.convert(row._asdict(), Proposal)


async def has_history(tx: Tx) -> bool:
    """Whether anything was ever decided, so that rules can be tried on it."""
    found: bool = await tx.value(_sql.has_history)
    return found


def proposal_id(id_: UUID) -> str:
    """A proposal's public id."""
    return to_typeid(PROPOSAL_PREFIX, id_)


# -- lists and mutes


async def put_on_list(tx: Tx, entry: Listing, clock: Clock) -> None:
    """Put one on a list, in place of what the list said before. Raises Refused (invalid_value)."""
    _check_key(entry.entity, entry.key, KINDS)
    if entry.list not in LISTS:
        raise refuse("invalid_value", f"one of {', '.join(LISTS)}", "list")
    _check_until(entry.until, clock.now(), trusting=entry.list == "trust")
    await tx.run(_sql.one_at_a_time)
    if await tx.value(_sql.count_listings, {"at": clock.now()}) >= limits.LIST_ENTRIES:
        raise refuse("invalid_value", f"{limits.LIST_ENTRIES} entries are in force; end some first", "list")
    await _write_listing(tx, entry, "list.added")


async def take_off_list(
    tx: Tx, list_: str, entity: str, key: str, author: str, reason: str, clock: Clock
) -> bool:
    """End an entry; False when there is none in force."""
    await tx.run(_sql.one_at_a_time)
    now = clock.now()
    found = [each for each in await listings_of(tx, entity, key) if each.list == list_][:1]
    if not found or found[0].ended or (found[0].until is not None and found[0].until <= now):
        return False
    ended = msgspec.structs.replace(found[0], ended=True, author=author, reason=reason, at=now)
    await _write_listing(tx, ended, "list.ended")
    return True


async def listings(tx: Tx, at: datetime) -> list[Listing]:
    """The entries in force at a moment, the newest first."""
    rows = await tx.tuples(_sql.listings, {"at": at, "limit": limits.LIST_ENTRIES})
    return [Listing(*row) for row in rows]


async def listings_of(tx: Tx, entity: str, key: str) -> list[Listing]:
    """What was ever said of one, the newest first."""
    params = {"entity": entity, "key": key, "limit": limits.PAGE_MAX}
    return [Listing(*row) for row in await tx.tuples(_sql.listings_of, params)]


async def mute(tx: Tx, wanted: Mute, clock: Clock) -> None:
    """Silence a rule until a moment, for everybody or for one: its hits stay on the receipts. Raises Refused."""
    if wanted.entity or wanted.key:
        _check_key(wanted.entity, wanted.key, KINDS)
    _check_until(wanted.until, clock.now(), trusting=True)
    await tx.run(_sql.one_at_a_time)
    if len(await mutes(tx, clock.now())) >= limits.MUTES:
        raise refuse(
            "invalid_value", f"{limits.MUTES} mutes are in force; end some, or change the rules", "rule"
        )
    await _write_mute(tx, wanted, "rule.muted")


async def unmute(tx: Tx, rule: str, entity: str, key: str, author: str, reason: str, clock: Clock) -> bool:
    """Let a rule speak again; False when it is not silent."""
    await tx.run(_sql.one_at_a_time)
    now = clock.now()
    for found in await mutes(tx, now):
        if (found.rule, found.entity, found.key) == (rule, entity, key):
            ended = msgspec.structs.replace(found, ended=True, author=author, reason=reason, at=now)
            await _write_mute(tx, ended, "rule.unmuted")
            return True
    return False


async def mutes(tx: Tx, at: datetime) -> list[Mute]:
    """The rules that are silent at a moment, the newest first."""
    return [Mute(*row) for row in await tx.tuples(_sql.mutes, {"at": at, "limit": limits.MUTES})]


async def _write_listing(tx: Tx, entry: Listing, action: str) -> None:
    await tx.run(_sql.write_listing, msgspec.structs.asdict(entry))
    # Reason and subject hold no values: what the key is stands in the list.
    await audit.append(tx, entry.author, action, f"{entry.list}:{entry.entity}", entry.reason)


async def _write_mute(tx: Tx, wanted: Mute, action: str) -> None:
    await tx.run(_sql.write_mute, msgspec.structs.asdict(wanted))
    await audit.append(tx, wanted.author, action, f"rule:{wanted.rule}", wanted.reason)


def _check_key(entity: str, key: str, known: Sequence[str]) -> None:
    if entity not in known:
        raise refuse("invalid_value", f"one of {', '.join(known)}", "entity")
    if not 0 < len(key) <= limits.LIST_KEY:
        raise refuse("invalid_value", f"1 to {limits.LIST_KEY} characters", "key")
    if entity in ("customer", "payee"):
        try:
            UUID(key)
        except ValueError:
            raise refuse("invalid_value", "a customer's or merchant's id", "key") from None


def _check_until(until: datetime | None, now: datetime, *, trusting: bool) -> None:
    longest = timedelta(seconds=limits.TRUST_SECONDS)
    if until is not None and until <= now:
        raise refuse("invalid_value", "a moment to come", "until")
    if trusting and (until is None or until > now + longest):
        raise refuse(
            "invalid_value",
            f"trust and silence end by themselves, after {longest.days} days at most",
            "until",
        )


def as_listed(entries: Sequence[Listing]) -> Listed:
    """Entries as payments are compared with them."""
    found: dict[str, dict[str, dict[Any, int]]] = {name: {} for name in LISTS}
    for each in entries:
        end = _FOREVER if each.until is None else to_us(each.until)
        found[each.list].setdefault(each.entity, {})[_key(each.entity, each.key)] = end
    return Listed(**found)


def as_mutes(silenced: Sequence[Mute]) -> Mutes:
    """Mutes as hits are compared with them."""
    found: dict[str, dict[tuple[str, Any], int]] = {}
    for each in silenced:
        found.setdefault(each.rule, {})[each.entity, _key(each.entity, each.key)] = to_us(each.until)
    return found


def _key(entity: str, key: str) -> Any:
    return UUID(key).int if entity in ("customer", "payee") else key


# -- what the process that decides says of itself


async def revision(tx: Tx) -> tuple[int, ...]:
    """What tells whether anything in force has changed; last of it the number of the last label."""
    return (await tx.tuples(_sql.revision))[0]


async def configuration(
    tx: Tx, rule_set: int, champion: int | None, anomaly: int | None, names: Sequence[str], at: datetime
) -> int:
    """The version of a configuration; the same one is kept once."""
    parts = [rule_set, champion, anomaly, *names]
    row = {
        "sha256": sha256(msgspec.json.encode(parts)).digest(),
        "rule_set": rule_set,
        "champion": champion,
        "anomaly": anomaly,
        "columns": list(names),
        "at": at,
    }
    await tx.run(_sql.add_configuration, row)
    version: int = await tx.value(_sql.configuration_version, {"sha256": row["sha256"]})
    return version


async def note_engine(tx: Tx, state: Noted, since: datetime, at: datetime) -> None:
    """Say what is in force here."""
    row = {**state._asdict(), "faults": list(state.faults), "name": ENGINE, "since": since, "at": at}
    await tx.run(_sql.note_engine, row)


async def engine_state(tx: Tx) -> EngineState | None:
    """What the process that decides said last; None: none ever did."""
    row = await tx.row(_sql.engine, {"name": ENGINE})
    return None if row is None else msgspec.convert(row._asdict(), EngineState)


async def note_trips(tx: Tx, rule_set: int, found: Sequence[Trip]) -> None:
    """Keep that circuit breakers opened, on record."""
    await tx.run(
        _sql.add_trips,
        {
            "rules": columns.texts([each.rule for each in found]),
            "rule_set": rule_set,
            "hits": columns.integers([each.hits for each in found]),
            "at_most": columns.integers([each.at_most for each in found]),
            "within_s": columns.integers([each.within_us // 1_000_000 for each in found]),
            "ats": columns.times([from_us(each.at_us) for each in found]),
        },
    )


async def trips(tx: Tx, limit: int = limits.PAGE_DEFAULT) -> list[tuple[Trip, int]]:
    """Circuit breakers that opened, with the rule set's version, the newest first."""
    return [
        (Trip(rule, hits, at_most, within * 1_000_000, to_us(at)), rule_set)
        for rule, rule_set, hits, at_most, within, at in await tx.tuples(_sql.trips, {"limit": limit})
    ]
