"""What the doctor looks at in the strongroom: keys, their versions and ages, the seal of the audit trail, people."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tillkeeper import access, audit, vault
from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.findings import Finding
from tillkeeper.faces.cli.trail import anchor_findings
from tillkeeper.store import Store, leases
from tillkeeper.store.private import PrivateFileError

OLD_KEY: Final = timedelta(days=365)
"""A key so old should be rotated: PCI DSS 3.7.4 leaves the cryptoperiod to its owner, a year is NIST SP 800-57's figure."""
OLD_SWEEP: Final = timedelta(days=3)
"""Rows past their time for so long: two nights were missed."""
_NAMED: Final = 5  # people, before it is "and so many more"


def folder_finding(chosen: Settings) -> Finding:
    """Where the key files lie, seen without the database."""
    folder, home = chosen.key_folder.absolute(), chosen.home.absolute()
    if folder == home or home in folder.parents:
        return Finding("key folder", "wrong", f"{folder} lies within the data: a copy of these has the keys too", "move it, and set TILL_KEYS to the new place")  # fmt: skip
    if not folder.exists():
        return Finding("key folder", "fine", f"{folder} (made at the first start)")
    if folder.stat().st_mode & 0o077:
        return Finding("key folder", "wrong", f"others may look into {folder}", f"chmod 700 {folder}")
    return Finding("key folder", "fine", f"{folder}: keep a copy of it elsewhere, never beside the backups")


async def strongroom_findings(store: Store, chosen: Settings, clock: Clock) -> AsyncIterator[Finding]:
    """Keys, seal and people, by the database of the settings, whose schema is up to date."""
    async with store.tx("cli doctor strongroom") as tx:
        keys = await vault.keys(tx)
        standing = await audit.standing(tx)
        unprotected = await access.people_without_second_factor(tx)
        agent = await leases.holder(tx, "agent")
        swept = await vault.sweeps(tx)
    yield await _root(store, chosen, keys, clock)
    for finding in key_findings(keys, clock.now()):
        yield finding
    yield seal_finding(standing, working=agent is not None)
    yield _signer(chosen.key_folder, standing)
    async for finding in anchor_findings(chosen, standing):
        yield finding
    yield factor_finding(unprotected)
    yield sweep_finding(swept, clock.now())


def sweep_finding(swept: Sequence[vault.Sweep], now: datetime) -> Finding:
    """Whether rows past their time are deleted."""
    name = "retention"
    deleted = f"{sum(each.rows for each in swept):,} rows deleted so far"
    late = [each.name for each in swept if each.done_at is None or now - each.done_at > OLD_SWEEP]
    if not swept:
        return Finding(name, "not assessed", "the agent looks at night", "till vault kept")
    if late:
        detail = f"{deleted}; not up to date for days: {', '.join(late)}"
        return Finding(name, "notice", detail, "till vault retention, or an agent that runs at night")
    return Finding(name, "fine", f"{deleted}; no row is past its time")


async def _root(store: Store, chosen: Settings, keys: Sequence[vault.KeyInfo], clock: Clock) -> Finding:
    try:
        root = vault.root_of(chosen)
        if not keys:  # opening would make the first ones
            return Finding("root key", "not assessed", f"{root.name}: nothing is sealed yet")
        async with vault.Vault.opened(store, root, clock):
            return Finding("root key", "fine", f"{root.name} opens every key of the database")
    except vault.RootKeyError as error:
        return Finding("root key", "wrong", str(error), "docs/operating/keys.md")


def key_findings(keys: Sequence[vault.KeyInfo], now: datetime) -> Iterator[Finding]:
    """The live versions of each class key, with their ages."""
    live = [key for key in keys if key.state != "destroyed"]
    for kind in dict.fromkeys((key.class_, key.purpose) for key in live):
        versions = [key for key in live if (key.class_, key.purpose) == kind]
        name = f"key {kind[0]} {kind[1]}"
        detail = ", ".join(
            f"version {key.version} {key.state}, {(now - key.made_at).days} days old" for key in versions
        )
        active = next((key for key in versions if key.state == "active"), None)
        if active is None:
            yield Finding(name, "wrong", f"{detail}: nothing can be sealed", f"till keys rotate {kind[1]}")
        elif len(versions) > 1:
            yield Finding(name, "notice", f"{detail}: a rotation is under way, or was left", f"if none runs: till keys rotate {kind[1]} goes on")  # fmt: skip
        elif now - active.made_at > OLD_KEY:
            yield Finding(name, "notice", detail, f"till keys rotate {kind[1]}")
        else:
            yield Finding(name, "fine", detail)


def seal_finding(standing: audit.Standing, *, working: bool = True) -> Finding:
    """How far the audit trail is sealed and anchored. `working`: there is an agent, whose work it is."""
    name = "audit trail"
    sealed = f"{standing.head.size:,} events sealed" if standing.head else "nothing sealed yet"
    detail = f"{sealed}, {standing.waiting:,} waiting for {standing.lag:.1f} s"
    if standing.failing:
        return Finding(name, "wrong", f"{detail}; cannot be anchored: {', '.join(standing.failing)}", "make room or mend the place; the agent's log says what failed")  # fmt: skip
    if standing.behind and working:
        return Finding(name, "wrong", detail, "the agent's log says what is in its way")
    if standing.behind:
        return Finding(name, "notice", detail, "no agent runs: till up or till serve agent seals")
    return Finding(name, "fine", detail)


def _signer(folder: Path, standing: audit.Standing) -> Finding:
    name = "audit key"
    try:
        ring = audit.find_ring(folder)
    except PrivateFileError as error:
        return Finding(name, "wrong", str(error), "docs/operating/keys.md")
    if ring is None and standing.head is not None:
        return Finding(name, "wrong", f"{folder} has none, and the trail is signed", "put audit.key back: docs/operating/keys.md")  # fmt: skip
    if ring is None:
        return Finding(name, "not assessed", "made at the agent's first start")
    return Finding(name, "fine", f"{ring.current.id} since {ring.current.since:%Y-%m-%d}")


def factor_finding(unprotected: Sequence[str]) -> Finding:
    """Who signs in with less than two factors."""
    name = "second factors"
    if not unprotected:
        return Finding(name, "fine", "everybody with a role has a passkey or an authenticator")
    more = f" and {len(unprotected) - _NAMED} more" if len(unprotected) > _NAMED else ""
    return Finding(name, "notice", f"without one: {', '.join(unprotected[:_NAMED])}{more}", "they add a passkey in the console under their own name")  # fmt: skip
