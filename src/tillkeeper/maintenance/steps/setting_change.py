"""`setting.change`: change a setting of PostgreSQL, by reload or restart; the old value is kept."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from tillkeeper.base import limits
from tillkeeper.maintenance.steps.common import as_step, catalogue, judged, ok
from tillkeeper.maintenance.steps.types import Attempt, Evidence, Finding, LockRisk, Site, StepError
from tillkeeper.store import Owner, quoted, quoted_text
from tillkeeper.store.embedded import EmbeddedError, EmbeddedServer

_LOOK_SECONDS: Final = 0.05

# What would give up acknowledged payments or the log that is not archived yet, run programs, or lock everybody out: no plan may.
_NEVER: Final = re.compile(
    r"fsync|full_page_writes|synchronous_commit|wal_level|zero_damaged_pages|ignore_.*|allow_system_table_mods"
    r"|.*_command|.*_library|.*_libraries|.*_file|.*_directory|.*_directories|listen_addresses|port|ssl.*|unix_.*"
    r"|dynamic_library_path|extension_control_path|jit_provider|wal_sync_method|data_sync_retry"
    r"|max_slot_wal_keep_size|idle_replication_slot_timeout"
    r"|log_.*|debug_.*|default_transaction_read_only|session_replication_role|row_security|restore_.*|recovery_.*"
)


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Change a setting of PostgreSQL for everybody. Undone by putting back what it was, or nothing if it was not set."""

    name: Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_.]{0,62}$", examples=["work_mem"])]
    value: Annotated[str, Meta(max_length=200, description="as ALTER SYSTEM takes it", examples=["32MB"])]
    apply: Annotated[
        Literal["reload", "restart"], Meta(description="a restart breaks all connections for a moment")
    ] = "reload"

    def __post_init__(self) -> None:
        """Refuse settings that no plan may touch."""
        if _NEVER.fullmatch(self.name):
            raise ValueError(f"name: {self.name} is not changed by plans; it guards what was acknowledged")


class SettingChange:
    """See Parameters."""

    name = "setting.change"
    parameters: type[msgspec.Struct] = Parameters
    reversible = True
    lock_risk: LockRisk = "none"
    money_risk = False

    async def preflight(self, site: Site, given: Parameters) -> Sequence[Finding]:
        now, _ = await _standing(site, given.name)
        if now is None:
            return [Finding("no_setting", f"PostgreSQL has no setting {given.name}")]
        findings = [ok("setting", f"{given.name} is {now.shown}, from {now.source}")]
        if now.context == "internal":
            findings.append(Finding("fixed_setting", f"{given.name} was fixed when the data folder was made"))
        if now.context == "postmaster" and given.apply != "restart":
            findings.append(Finding("needs_restart", f'{given.name} takes a restart: apply = "restart"'))
        if given.apply == "restart" and site.settings.database_url is not None:
            said = "the server is not ours to restart: choose reload, and restart it where it is kept"
            findings.append(Finding("foreign_server", said))
        return findings

    async def run(self, site: Site, given: Parameters, attempt: Attempt) -> Evidence:
        now, ours = await _standing(site, given.name)
        if now is None:
            raise StepError(f"PostgreSQL has no setting {given.name}")
        if not (kept := dict(attempt.saved)):
            kept = {"was": now.shown, "was_ours": ours.value if ours else None}
            await attempt.save(kept)
        await _change(site, given, given.value, kept["was_ours"])
        now, _ = await _standing(site, given.name)
        return kept | {"name": given.name, "now": now.shown if now else None}

    async def verify(self, site: Site, given: Parameters, evidence: Evidence) -> Sequence[Finding]:
        now, ours = await _standing(site, given.name)
        if ours is None or now is None or ours.value != given.value:
            return [
                Finding("setting_lost", f"{given.name} is not set to {given.value} in postgresql.auto.conf")
            ]
        if ours.fault is not None and not now.pending_restart:
            return [Finding("setting_refused", f"the server does not take it: {ours.fault}")]
        said = f"{given.name} is {now.shown}" + (" until the next restart" if now.pending_restart else "")
        return [judged("setting_in_force", not now.pending_restart, said)]

    async def undo(self, site: Site, given: Parameters, evidence: Evidence, attempt: Attempt) -> Evidence:
        if not evidence:
            return {"now": None}  # nothing was changed
        await _change(site, given, evidence["was_ours"], evidence["was_ours"])
        now, ours = await _standing(site, given.name)
        if now is None or now.pending_restart or (ours.value if ours else None) != evidence["was_ours"]:
            raise StepError(f"{given.name} is not as it was, {evidence['was']}: set it by hand")
        return {"name": given.name, "now": now.shown}


async def _standing(site: Site, name: str) -> tuple[Any | None, Any | None]:
    """A setting as the server has it, and as ALTER SYSTEM left it (None if it did not set it)."""
    async with as_step(site, "setting") as db:
        params = {"name": name}
        return await db.row(catalogue.setting_named, params), await db.row(catalogue.setting_of_ours, params)


async def _change(site: Site, given: Parameters, value: str | None, was: str | None) -> None:
    """Set the value, None: to nothing of ours, and have the server take it. One that does not start with it gets what `was`,
    which the file itself no longer tells where a killed agent had written the new value already.
    """
    async with as_step(site, "setting") as db:
        if given.apply == "restart":
            await _write(db, given.name, was)
        before = await db.value("SELECT pg_read_file('postgresql.auto.conf')")
        await _write(db, given.name, value)
        if given.apply == "reload":
            await _reload(site, db)
            return
        await db.run("CHECKPOINT")  # now, while everybody works, rather than while nobody can
    try:
        await EmbeddedServer(site.settings.home).restart(before)
    except EmbeddedError as error:
        raise StepError(
            f"PostgreSQL did not start with it and has its old settings again: {error}"
        ) from error


async def _write(db: Owner, name: str, value: str | None) -> None:
    setting = ".".join(quoted(part) for part in name.split("."))
    if value is None:
        await db.run(f"ALTER SYSTEM RESET {setting}")
    else:
        await db.run(f"ALTER SYSTEM SET {setting} = {quoted_text(value)}")


async def _reload(site: Site, db: Owner) -> None:
    """Have the server read its settings again, and wait until it has: a new connection sees when."""
    loaded = await db.value("SELECT pg_conf_load_time()")
    await db.run("SELECT pg_reload_conf()")
    deadline = site.clock.monotonic() + limits.STEP_RELOAD_SECONDS
    while site.clock.monotonic() < deadline:
        async with as_step(site, "setting") as fresh:
            if await fresh.value("SELECT pg_conf_load_time()") > loaded:
                return
        await asyncio.sleep(_LOOK_SECONDS)
    raise StepError(
        "PostgreSQL did not read its settings again: is there a fault in its configuration files?"
    )
