"""What the doctor looks at in the upkeep: backups and their proof, the archive of the log, alerts, runs and reports."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

from tillkeeper import risk
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.cli.findings import Finding
from tillkeeper.maintenance import reports, runs
from tillkeeper.maintenance.backups import Backup, Backups, WalState, wal_state
from tillkeeper.monitoring import alerting
from tillkeeper.risk import EngineState
from tillkeeper.store import Store, leases

OLD_BACKUP: Final = timedelta(seconds=limits.PREFLIGHT_BACKUP_SECONDS)
OLD_DRILL: Final = timedelta(seconds=limits.PREFLIGHT_DRILL_SECONDS)


async def upkeep_findings(store: Store, chosen: Settings, clock: Clock) -> AsyncIterator[Finding]:
    """By the database of the settings, whose schema is up to date."""
    now, kept = clock.now(), Backups(store)
    yield place_finding(chosen)
    yield backup_finding(await kept.latest(), now)
    yield drill_finding(await kept.latest_good(), now)
    async with store.tx("cli doctor upkeep") as tx:
        archived = await wal_state(tx, chosen.home)
        firing = await alerting.browse.open_pages(tx)
        run = await runs.open_run(tx)
        unreviewed = await reports.count_unreviewed(tx)
        working = await leases.holder(tx, "agent") is not None
        engine = await risk.engine_state(tx)
    yield wal_finding(archived, now)
    yield alert_finding([each.rule for each in firing], working=working)
    yield run_finding(run)
    yield risk_finding(engine)
    if unreviewed:
        yield Finding("reports", "notice", f"{unreviewed} nobody has reviewed", "till report list")


def risk_finding(engine: EngineState | None) -> Finding:
    """Whether risk decides by what people put in force."""
    name = "risk in force"
    if engine is None:
        return Finding(name, "not assessed", "no api has run yet", "till up")
    if engine.faults:
        return Finding(
            name,
            "wrong",
            "\n".join(engine.faults),
            "propose or promote another; docs/operating/tuning-rules.md",
        )
    filling = f"; {engine.filling} features are filled from history" if engine.filling else ""
    return Finding(name, "fine", f"configuration {engine.configuration}, rule set {engine.rule_set}{filling}")


def place_finding(chosen: Settings) -> Finding:
    """Where backups go."""
    name, place = "backup place", chosen.backup_place
    if place.startswith("s3://"):
        return Finding(name, "fine", place)
    if chosen.backups:
        return Finding(name, "fine", f"{place}: on another disk than the database, one hopes")
    return Finding(name, "notice", f"{place}, on the database's own machine", "TILL_BACKUPS=s3://bucket/prefix, or a folder of another machine")  # fmt: skip


def backup_finding(latest: Backup | None, now: datetime) -> Finding:
    """How old the newest backup is."""
    name = "backup"
    if latest is None or latest.ended_at is None:
        return Finding(name, "notice", "there is none yet", "till backup now; the agent takes one a day")
    detail = f"{latest.kind}, {hours(now - latest.ended_at)} old"
    if now - latest.ended_at > OLD_BACKUP:
        return Finding(
            name, "wrong", detail, "till backup now, and see in the agent's log why the schedule does not"
        )
    return Finding(name, "fine", detail)


def drill_finding(good: Backup | None, now: datetime) -> Finding:
    """Whether a backup was ever restored, and when last."""
    name = "restore proof"
    if good is None or good.drill is None:
        return Finding(name, "notice", "no backup was restored yet: none counts as good", "till backup drill")
    proof = good.drill
    detail = (
        f"restored {hours(now - proof.ended_at)} ago: at most {proof.rpo_seconds:.0f} s of payments lost,"
        f" up again after {proof.rto_seconds:.0f} s"
    )
    if now - proof.ended_at > OLD_DRILL:
        return Finding(name, "wrong", detail, "till backup drill")
    return Finding(name, "fine", detail)


def wal_finding(state: WalState, now: datetime) -> Finding:
    """Whether the write-ahead log reaches the repository."""
    name = "log archive"
    if state.reached is None:
        return Finding(name, "not assessed", "nothing is archived yet", "the agent archives: till up")
    detail = f"reaches {(now - state.reached).total_seconds():.0f} s back"
    if state.waiting_bytes:
        detail += f", {state.waiting_bytes / 1e6:,.0f} MB waiting"
    if state.failing_since is not None:
        detail += f"; failing since {state.failing_since:%Y-%m-%d %H:%M} UTC: {state.said}"
        if state.hours_left is not None:
            detail += f"; nothing is dropped, and the disk lasts {state.hours_left:.0f} h"
        return Finding(name, "wrong", detail, "docs/operating/backups.md")
    return Finding(name, "fine", detail)


def alert_finding(firing: list[str], *, working: bool) -> Finding:
    """What pages somebody now. `working`: there is an agent, which looks."""
    if not working:
        return Finding(
            "alerts", "not assessed", "no agent runs, so nobody looks", "till up or till serve agent"
        )
    if not firing:
        return Finding("alerts", "fine", "nothing pages")
    return Finding(
        "alerts", "wrong", f"firing: {', '.join(firing)}", "till alerts list; docs/operating/alerts.md"
    )


def run_finding(run: runs.Run | None) -> Finding:
    """Whether maintenance is under way."""
    if run is None:
        return Finding("maintenance", "fine", "no run is under way")
    if run.state == "paused":
        return Finding("maintenance", "notice", f"{run.public} is paused", f"till run show {run.public}")
    return Finding("maintenance", "fine", f"{run.public} is {run.state}")


def hours(age: timedelta) -> str:
    """An age for people."""
    seconds = age.total_seconds()
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
