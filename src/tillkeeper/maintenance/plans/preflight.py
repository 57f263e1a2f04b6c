"""What stands in the way of a run, looked at just before it: disk, backups, replicas, load, people, certificates, alerts.

What cannot be looked at is a finding of its own that is not fine: nobody begins blindly.
"""

import asyncio
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography import x509

from tillkeeper import access
from tillkeeper.base import limits
from tillkeeper.maintenance.backups import Backups
from tillkeeper.maintenance.plans import filing
from tillkeeper.maintenance.plans.checking import parameters
from tillkeeper.maintenance.plans.exceptions import expected_seconds
from tillkeeper.maintenance.plans.types import Plan, Rehearsal
from tillkeeper.maintenance.steps import Finding, Kind, Site
from tillkeeper.monitoring.alerting import browse as alerts
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "preflight.sql")
_ON_DUTY: Final = frozenset({"operator", "system_admin"})
_DAY: Final = 86400
_MB: Final = 1_000_000


async def preflight(
    site: Site, plan_id: UUID, plan: Plan, kinds: Mapping[str, Kind] | None = None
) -> tuple[Finding, ...]:
    """Everything that was looked at; with `kinds` also what the first step says before it begins."""
    now = site.clock.now()
    async with site.store.tx("preflight") as tx:
        rehearsal = await filing.rehearsal_of(tx, plan.digest)
        ends = now + timedelta(seconds=expected_seconds(plan, rehearsal))
        found = [
            _rehearsed(rehearsal, now),
            *await _database(tx),
            await _people(tx, site),
            await _keys(tx, now, ends),
            await _alerts(tx, now),
            await _alone(tx, plan_id),
        ]
    found += [*await _backups(site, now), _disk(site, rehearsal), await _certificate(site, ends)]
    if kinds:  # what comes later may need what the first step makes; the run asks each when its turn comes
        first = plan.steps[0]
        found += await kinds[first.kind].preflight(site, parameters(first, kinds))
    return tuple(found)


def _rehearsed(rehearsal: Rehearsal | None, now: datetime) -> Finding:
    if rehearsal is None or not rehearsal.passed:
        return Finding("not_rehearsed", "no rehearsal of exactly this plan has passed: till plan rehearse")
    age = (now - rehearsal.at).total_seconds()
    said = f"it was rehearsed {_ago(age)} ago"
    if age > limits.PLAN_REHEARSAL_SECONDS:
        return Finding("rehearsal_old", f"{said}, on another database than today's: rehearse it again")
    return Finding("rehearsal", said, ok=True)


async def _database(tx: Tx) -> list[Finding]:
    """How PostgreSQL is: transactions that would stand in a lock's way, connections left, replicas behind."""
    sees, oldest, used, most = (await tx.tuples(_sql.load))[0]
    if not sees:
        said = "what others do in the database cannot be seen: GRANT pg_monitor TO till_app"
        return [Finding("database_unseen", said)]
    return [
        Finding(
            "long_transactions",
            f"the longest transaction is {oldest:.0f} s old"
            + (
                ""
                if oldest <= limits.PREFLIGHT_TRANSACTION_SECONDS
                else ": end it first, locks would wait for it"
            ),
            ok=oldest <= limits.PREFLIGHT_TRANSACTION_SECONDS,
        ),
        Finding(
            "connections",
            f"{used} of {most} connections are in use",
            ok=100 * used <= limits.PREFLIGHT_CONNECTIONS_PERCENT * most,
        ),
        _replicas(await tx.tuples(_sql.replicas)),
    ]


def _replicas(rows: list[tuple[str, float | None]]) -> Finding:
    if not rows:
        return Finding("replicas", "there is no replica", ok=True)
    unknown = [name for name, lag in rows if lag is None]
    if unknown:
        return Finding("replicas_unknown", f"how far {', '.join(unknown)} is behind cannot be seen")
    name, lag = max(rows, key=lambda row: row[1] or 0.0)
    ok = (lag or 0.0) <= limits.PREFLIGHT_REPLICA_SECONDS
    return Finding(
        "replicas", f"{name} is {lag:.1f} s behind" + ("" if ok else ": wait until it has caught up"), ok=ok
    )


async def _people(tx: Tx, site: Site) -> Finding:
    """Who would see it and could act: operators whose browser did something lately."""
    since = site.clock.now() - timedelta(seconds=limits.PREFLIGHT_SEEN_SECONDS)
    here = {
        each.person
        for each in await access.list_sessions(tx, site.clock)
        if each.roles & _ON_DUTY and each.seen_at >= since
    }
    if here:
        return Finding("people", f"on duty: {', '.join(sorted(here))}", ok=True)
    minutes = limits.PREFLIGHT_SEEN_SECONDS // 60
    return Finding(
        "nobody_there", f"no operator used the console in the last {minutes} minutes: have one sign in"
    )


async def _keys(tx: Tx, now: datetime, ends: datetime) -> Finding:
    """A key that ends while the run is on would look like damage done by it."""
    near = [
        each.name
        for each in await access.list_keys(tx)
        if each.revoked_at is None and each.expires_at is not None and now < each.expires_at <= ends
    ]
    if near:
        return Finding("keys_expire", f"API keys expire meanwhile: {', '.join(near)}; till keys renew")
    return Finding("keys", "no API key expires meanwhile", ok=True)


async def _alerts(tx: Tx, now: datetime) -> Finding:
    found = await alerts.troubled(tx)
    if found:
        names = ", ".join(sorted({each.rule for each in found}))
        return Finding("alerts_open", f"critical alerts are open: {names}; see to them first")
    if await alerts.is_unseen(tx, now):
        return Finding("alerts_unseen", "nobody has looked for alerts lately: is the agent at work?")
    return Finding("alerts", "no critical alert is open", ok=True)


async def _alone(tx: Tx, plan: UUID) -> Finding:
    if await tx.value(_sql.other_runs, {"plan": plan}):
        return Finding("other_run", "another run is under way: wait until it has ended")
    return Finding("alone", "no other run is under way", ok=True)


async def _backups(site: Site, now: datetime) -> list[Finding]:
    kept = Backups(site.store)
    latest, good = await kept.latest(), await kept.latest_good()
    if latest is None or latest.ended_at is None:
        return [Finding("no_backup", "there is no backup: till backup now")]
    age = (now - latest.ended_at).total_seconds()
    found = [
        Finding(
            "backup",
            f"the latest backup is {_ago(age)} old"
            + ("" if age <= limits.PREFLIGHT_BACKUP_SECONDS else ": till backup now"),
            ok=age <= limits.PREFLIGHT_BACKUP_SECONDS,
        )
    ]
    if good is None or good.drill is None:
        return [*found, Finding("no_drill", "no backup was proved by a restore: till backup drill")]
    age = (now - good.drill.ended_at).total_seconds()
    ok = age <= limits.PREFLIGHT_DRILL_SECONDS
    said = f"a restore was proved {_ago(age)} ago" + ("" if ok else ": till backup drill")
    return [*found, Finding("drill", said, ok=ok)]


def _disk(site: Site, rehearsal: Rehearsal | None) -> Finding:
    """Twice what the rehearsal grew by (the table and its log), and room to breathe."""
    if site.settings.database_url is not None:
        return Finding("disk", "the database's disk is its own server's business", ok=True)
    grown = sum(step.size_change_bytes or 0 for step in rehearsal.evidence.steps) if rehearsal else 0
    need = 2 * max(grown, 0) + limits.PREFLIGHT_DISK_BYTES
    free = shutil.disk_usage(site.settings.home).free
    said = f"{free // _MB:,} MB of disk are free, {need // _MB:,} MB are needed"
    return Finding("disk" if free >= need else "disk_too_small", said, ok=free >= need)


async def _certificate(site: Site, ends: datetime) -> Finding:
    file = site.settings.tls_certificate
    if file is None:
        return Finding("certificate", "no certificate of your own to expire", ok=True)
    try:
        until = await asyncio.to_thread(_until, file)
    except (OSError, ValueError) as error:
        return Finding("certificate_unreadable", f"{file.name} cannot be read: {error}")
    soon = ends + timedelta(seconds=limits.PREFLIGHT_CERTIFICATE_SECONDS)
    said = f"{file.name} is valid until {until:%Y-%m-%d %H:%M} UTC"
    return Finding("certificate" if until > soon else "certificate_expires", said, ok=until > soon)


def _until(file: Path) -> datetime:
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(file.read_bytes()))


def _ago(seconds: float) -> str:
    """A duration for people, in its largest unit."""
    for unit, name in ((_DAY, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} seconds"
