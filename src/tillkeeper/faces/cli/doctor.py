"""`till doctor`: what is set, from where, and what is wrong."""

import os
import shutil
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.request import urlopen
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer

from tillkeeper import access, risk
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import ENVIRONMENT_PREFIX, Settings, shown
from tillkeeper.faces.cli.findings import Finding
from tillkeeper.faces.cli.opening import face_url, run, settings
from tillkeeper.faces.cli.output import FOUND, CliError, Json, say, say_json, say_table
from tillkeeper.faces.cli.serve import listen
from tillkeeper.faces.cli.strongroom import folder_finding, strongroom_findings
from tillkeeper.faces.cli.upkeep import upkeep_findings
from tillkeeper.monitoring import MEASURES, alerting
from tillkeeper.store import MigrationError, Store, StoreUnavailableError, pending
from tillkeeper.store.condition import Condition, condition
from tillkeeper.store.embedded import EmbeddedError
from tillkeeper.store.opening import database
from tillkeeper.store.private import PrivateFileError
from tillkeeper.store.transport import guarded, transport_of

app = typer.Typer(add_completion=False)

OLDEST_POSTGRESQL: Final = 16
LOW_DISK_BYTES: Final = 2 * 1024**3
# What happened stays as it happened: invariant 5 of DESIGN.md.
APPEND_ONLY: Final = (
    "ledger.transfers", "risk.decisions", "risk.labels", "audit.events", "audit.leaves", "audit.heads",
    "payments.moves", "parties.erasures", "maintenance.journal", "maintenance.drills",
)  # fmt: skip
_CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")


class Setting(msgspec.Struct, frozen=True):
    """A setting as it stands, and where it came from."""

    name: str
    value: str
    source: str


@app.command()
def doctor(*, json: Json = False) -> None:
    """Say what is set, from where, and what is wrong. Exit code 1 if anything is.

    The embedded PostgreSQL is started for the look if nothing runs, and only if there is a database yet.

    Example: till doctor --json
    """
    chosen = settings()
    listed = list(sources(chosen, os.environ))
    findings = [*local_findings(chosen), *run(_collect(chosen))]
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if json:
        say_json({"healthy": not wrong, "settings": listed, "findings": findings})
    else:
        _show(listed, findings)
        say(
            "Nothing is wrong."
            if not wrong
            else f"{len(wrong)} of {len(findings)} things looked at are wrong."
        )
    raise typer.Exit(FOUND if wrong else 0)


def _show(listed: list[Setting], findings: list[Finding]) -> None:
    say_table(["setting", "value", "from"], [[each.name, each.value, each.source] for each in listed])
    rows = [
        [each.name, each.state, f"{each.detail}\n-> {each.remedy}" if each.remedy else each.detail]
        for each in findings
    ]
    say_table(["looked at", "state", "found"], rows)


def sources(chosen: Settings, environment: Mapping[str, str]) -> Iterator[Setting]:
    """Every setting with its value, passwords masked, and its source."""
    file = environment.get("TILL_CONFIG")
    in_file = tomllib.loads(Path(file).read_text("utf-8")) if file else {}
    for name in Settings.__struct_fields__:
        variable = ENVIRONMENT_PREFIX + name.upper()
        source = (
            variable if environment.get(variable) else f"TILL_CONFIG {file}" if name in in_file else "default"
        )
        value = getattr(chosen, name)
        yield Setting(name, shown(name, value), source)


# -- what can be seen without the database


def local_findings(chosen: Settings) -> Iterator[Finding]:
    """The home, its disk, the time zone, the rules, the ports, the browser."""
    yield _home(chosen.home)
    yield folder_finding(chosen)
    yield _disk(chosen.home)
    yield _timezone(chosen.timezone)
    yield _rules(chosen)
    yield _policies()
    yield _rule_book(chosen)
    yield _channels(chosen)
    yield _port("api port", chosen, chosen.api_port)
    yield _port("console port", chosen, chosen.console_port)
    yield _port("status port", chosen, chosen.status_port)
    yield _served(chosen)
    yield _database_way(chosen)
    yield _chromium(shutil.which)


def _home(home: Path) -> Finding:
    place = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding("home", "wrong", f"{place} cannot be written", "set TILL_HOME to a folder of yours")
    made = "" if home.exists() else " (made at the first start)"
    return Finding("home", "fine", f"{home.absolute()}{made}")


def _disk(home: Path) -> Finding:
    place = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / 1024**3:.1f} GiB free"
    if free < limits.EMBEDDED_FREE_BYTES:
        return Finding("disk", "wrong", detail, "make room, or set TILL_HOME to a folder on a larger disk")
    if free < LOW_DISK_BYTES:
        return Finding("disk", "notice", detail, "a million payments take about 2 GiB: make room soon")
    return Finding("disk", "fine", detail)


def _timezone(name: str) -> Finding:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return Finding(
            "time zone", "wrong", f"{name} is not known", "set TILL_TIMEZONE to a name like Asia/Shanghai"
        )
    return Finding(
        "time zone", "fine", f"a customer's day ends at midnight in {name}; all times are stored as UTC"
    )


def _rules(chosen: Settings) -> Finding:
    try:
        rules = risk.load_rules(chosen.rules_file)
    except (OSError, risk.BadRulesError) as error:
        return Finding("risk rules", "wrong", str(error), "mend the file, or unset TILL_RULES_FILE")
    return Finding(
        "risk rules", "fine", f"{len(rules.rules)} rules from {chosen.rules_file or 'the package'}"
    )


def _policies() -> Finding:
    try:
        found = access.policies()
    except access.PolicyError as error:
        return Finding("policies", "wrong", str(error), "mend src/tillkeeper/access/policies")
    return Finding("policies", "fine", f"{len(found.names)} of them, SHA-256 {found.digest}")


def _rule_book(chosen: Settings) -> Finding:
    try:
        book = alerting.read_book(chosen.objectives_file, MEASURES)
    except alerting.BadBookError as error:
        return Finding("alert rules", "wrong", str(error), "till alerts check FILE; docs/operating/alerts.md")
    return Finding("alert rules", "fine", f"{len(book.rules)} rules, {len(book.objectives)} objectives")


def _channels(chosen: Settings) -> Finding:
    try:
        channels = alerting.read_channels(chosen.alert_channels)
    except (alerting.ChannelError, PrivateFileError) as error:
        return Finding("alert channels", "wrong", str(error), "docs/operating/alerts.md")
    if not channels:
        return Finding(
            "alert channels", "notice", "none: alerts stand in the console only", "TILL_ALERT_CHANNELS"
        )
    return Finding("alert channels", "fine", ", ".join(each.name for each in channels))


def _port(name: str, chosen: Settings, port: int) -> Finding:
    try:
        listen(chosen.host, port).close()
    except CliError as error:
        if _is_ours(f"{face_url(chosen, port)}/"):
            return Finding(name, "fine", f"{port}: Tillkeeper runs there")
        return Finding(name, "wrong", str(error), error.remedy)
    return Finding(name, "fine", f"{port} is free")


def _is_ours(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - our own http address
            return "tillkeeper" in answer.read(65536).decode(errors="replace").lower()
    except (OSError, ValueError):
        return False


def _served(chosen: Settings) -> Finding:
    name = "transport to api and console"
    if chosen.tls and chosen.tls_certificate:
        return Finding(name, "fine", f"TLS with {chosen.tls_certificate}")
    if chosen.tls:
        return Finding(
            name,
            "notice",
            "TLS by the development CA",
            "browsers and clients trust it only by hand: get a certificate",
        )
    if transport_of(f"host={chosen.host}") == "local":
        return Finding(name, "notice", f"not encrypted, but {chosen.host} is only this machine", "till up --tls, or TLS in front")  # fmt: skip
    return Finding(name, "wrong", f"not encrypted on {chosen.host}: keys, cookies and names can be read on the way", "set TILL_TLS=true and a certificate, or listen on 127.0.0.1 behind a proxy that speaks TLS")  # fmt: skip


def _database_way(chosen: Settings) -> Finding:
    name = "transport to the database"
    if chosen.database_url is None:
        return Finding(name, "fine", "a socket file of this machine")
    for url in filter(None, (chosen.database_url, chosen.admin_database_url)):
        if transport_of(guarded(url)) == "open":
            return Finding(name, "wrong", "the server need not prove who it is", "put sslmode=verify-full (and sslrootcert) into the URL")  # fmt: skip
    local = transport_of(chosen.database_url) == "local"
    return Finding(
        name, "fine", "this machine" if local else "encrypted, the server's certificate is checked"
    )


def _chromium(which: Callable[[str], str | None]) -> Finding:
    found = next(filter(None, map(which, _CHROMIUM)), None)
    if found is None:
        remedy = "only for the project's own browser tests: install Debian's package chromium"
        return Finding("chromium", "notice", "not installed", remedy)
    return Finding("chromium", "fine", found)


# -- the database


async def _collect(chosen: Settings) -> list[Finding]:
    return [finding async for finding in database_findings(chosen)]


async def database_findings(chosen: Settings) -> AsyncIterator[Finding]:
    """Reachable, recent enough, durable, migrated, the application's role with no more rights than it should have; then
    keys, audit trail, people and upkeep.
    """
    if chosen.database_url is None and not (chosen.home / "postgres").exists():
        yield Finding("database", "not assessed", "there is none yet", "till up makes one")
        return
    try:
        async with database(chosen) as urls:
            missing = await pending(urls.admin)
            async with Store.opened(urls.app, size=2) as store:
                async with store.tx("cli doctor") as tx:
                    found = await condition(tx, APPEND_ONLY)
                for finding in judged(found, missing):
                    yield finding
                if not missing:
                    async for finding in strongroom_findings(store, chosen, SystemClock()):
                        yield finding
                    async for finding in upkeep_findings(store, chosen, SystemClock()):
                        yield finding
    except (EmbeddedError, StoreUnavailableError, MigrationError) as error:
        yield Finding(
            "database", "wrong", str(error), "mend that first; the rest of the database was not assessed"
        )


def judged(found: Condition, missing: list[str]) -> Iterator[Finding]:
    """What the database's condition means."""
    if found.major < OLDEST_POSTGRESQL:
        yield Finding("database", "wrong", f"PostgreSQL {found.version}", f"use {OLDEST_POSTGRESQL} or newer")
    else:
        yield Finding("database", "fine", f"PostgreSQL {found.version}")
    if found.off:
        yield Finding("durability", "wrong", f"off: {', '.join(found.off)}", "a crash would lose acknowledged payments: ALTER SYSTEM RESET, then restart")  # fmt: skip
    else:
        yield Finding("durability", "fine", "what is acknowledged is on disk")
    if missing:
        yield Finding(
            "schema", "wrong", f"{len(missing)} migrations are missing ({missing[0]} …)", "till migrate"
        )
    else:
        yield Finding("schema", "fine", "up to date")
    yield _rights(found)


def _rights(found: Condition) -> Finding:
    name = f"role {found.role}"
    if found.mighty or found.owned:
        what = "it is a superuser or nearly one" if found.mighty else f"it owns {found.owned} relations"
        return Finding(
            name,
            "wrong",
            what,
            "let TILL_DATABASE_URL name a role that may SET ROLE till_app and owns nothing",
        )
    if found.changeable:
        remedy = "REVOKE UPDATE, DELETE, TRUNCATE on them FROM till_app"
        return Finding(name, "wrong", f"it could change the past: {', '.join(found.changeable)}", remedy)
    return Finding(name, "fine", "owns nothing and cannot change transfers, decisions or audit rows")
