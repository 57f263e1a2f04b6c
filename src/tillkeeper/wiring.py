"""The roof: reads the settings once, builds everything, knows everybody."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from litestar.types import ASGIApp

from tillkeeper import access, audit, monitoring, parties
from tillkeeper.access import KeyRing
from tillkeeper.access.entrance import Entrance, Provider
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, SystemClock
from tillkeeper.base.settings import Settings, SettingsError, fingerprint
from tillkeeper.faces.agent import Agent, Loop, Proofs, loops_of
from tillkeeper.faces.api import Counter, create_api
from tillkeeper.faces.console.app import create_console
from tillkeeper.faces.console.sites import Sites
from tillkeeper.faces.status import Keeper, create_status
from tillkeeper.maintenance import backups
from tillkeeper.maintenance.notices import Herald
from tillkeeper.maintenance.plans import Rehearser, read_calendar
from tillkeeper.maintenance.reports import Writer
from tillkeeper.maintenance.runs import CalendarGate, Worker
from tillkeeper.maintenance.steps import KINDS, Site
from tillkeeper.monitoring import MEASURES, Books, alerting
from tillkeeper.parties import Register
from tillkeeper.payments import Till, rails, webhooks
from tillkeeper.risk import RiskEngine, backtest, cases, warning
from tillkeeper.store import Store, processes, sole
from tillkeeper.store.opening import opened, visited
from tillkeeper.store.private import read_private
from tillkeeper.vault import Sweeper, Vault, root_of, swept_tables

PROFILES = "risk profiles"
"""The job that only one process does: until profiles are shared, one worker takes payments."""


@asynccontextmanager
async def till_with_risk(settings: Settings) -> AsyncIterator[Counter]:
    """The counter that takes payments. Raises TakenError where another process keeps the risk profiles."""
    clock = SystemClock()
    async with (
        opened(settings, by_index=True) as (store, urls),
        sole.sole(urls.app, PROFILES, _stop),
        Vault.opened(store, root_of(settings), clock) as vault,
    ):
        await parties.replay(store, Register(settings.key_folder))
        engine = await RiskEngine.open(store, settings.rules_file, clock, settings.timezone)
        till = Till(store, engine, clock, settings.timezone)
        yield Counter(store, clock, settings, till, engine, KeyRing(store, clock), vault)
        await till.close()


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[ASGIApp]:
    """The public API as an application."""
    async with till_with_risk(settings) as counter:
        yield create_api(counter)


@asynccontextmanager
async def console(settings: Settings) -> AsyncIterator[ASGIApp]:
    """The console as an application. Its till takes no payments, only people's verdicts on them."""
    clock = SystemClock()
    async with (
        opened(settings) as (store, _),
        Vault.opened(store, root_of(settings), clock) as vault,
        processes.present(store, "console"),
    ):
        await parties.replay(store, Register(settings.key_folder))
        till = Till(store, None, clock, settings.timezone)
        entrance = Entrance(
            store.hasty(limits.PAGE_WAIT_SECONDS), clock, _Keeper(vault), _provider(settings, clock)
        )
        yield create_console(
            store,
            clock,
            settings.timezone,
            till,
            vault,
            entrance,
            sites=Sites(settings.console_url, settings.host),
            four_eyes_amount=settings.four_eyes_amount,
            register=Register(settings.key_folder),
            book=_book(settings),
        )
        entrance.close()
        await till.close()


async def agent(settings: Settings) -> None:
    """The agent, until cancelled. Its till takes no payments, only what banks, clocks and people say of them."""
    clock = SystemClock()
    settings.home.mkdir(parents=True, exist_ok=True)
    root = root_of(settings)
    async with (
        opened(settings) as (store, urls),
        Vault.opened(store, root, clock) as vault,
        webhooks.Sender(private_targets=settings.allow_private_webhooks) as sender,
        processes.present(store, "agent"),
    ):
        till = Till(store, None, clock, settings.timezone)
        bank = rails.SandboxBank(clock, settings.home / "sandbox-bank.jsonl")
        anchors = audit.anchors_of(settings.key_folder, settings.audit_anchors.split())
        sealer = audit.Sealer(store, settings.key_folder, anchors, clock)
        loops = loops_of(store, vault, {rails.SANDBOX: bank}, till.submit, sender, sealer, clock)
        site = Site(store, urls.admin, clock, settings, vault, root, production=True)
        gate = CalendarGate(site, read_calendar(settings.calendar_file))
        loops |= {
            "runs": Worker(site, KINDS, gate, Books(store, clock, share=limits.BOOKS_RUN_SHARE)).run,
            "rehearsals": Rehearser(store, clock).run,
            "notices": Herald(store, clock).run,
            "reports": Writer(store, settings, clock).run,
            "backtests": backtest.Examiner(store, clock).run,
            "early warning": warning.Watchman(store, clock).run,
            "cases": cases.Clerk(store, clock).run,
            "neighbours": cases.Binder(store, clock).run,
            "sweeping": Sweeper(store, swept_tables(vault.tables), clock, settings.timezone).run,
            **_watching(store, settings, clock),
            **backups.loops(settings, store, urls, clock),
        }
        await _note_settings(store, settings)
        try:
            await Agent(store, loops, clock).run()
        finally:
            await bank.close()
            await till.close()


@asynccontextmanager
async def status(settings: Settings) -> AsyncIterator[ASGIApp]:
    """The status page as an application. It neither needs the database nor keeps it running."""
    clock, book = SystemClock(), _book(settings)
    keeper = Keeper(settings.home, book, lambda: visited(settings), clock)
    yield create_status(keeper, book, clock, settings.timezone)


def _watching(store: Store, settings: Settings, clock: Clock) -> dict[str, Loop]:
    """The agent's loops that measure and watch, and tell people."""
    oneself = monitoring.Oneself("agent", store)
    platform = monitoring.Platform(settings.home, clock, Books(store, clock))
    proofs = Proofs(store, settings.home, clock)
    sampled = [*oneself.sources(), *platform.sources(), proofs.source()]
    book = _book(settings)
    watch = alerting.Watch(store, book, alerting.sources(clock, platform.money.last), clock)
    try:
        channels = alerting.read_channels(settings.alert_channels)
    except alerting.ChannelError as error:
        raise SettingsError(str(error)) from error
    teller = alerting.Teller(store, book, channels, f"{settings.console_address}/alerts", clock)
    return {
        "event loop": oneself.watch_loop,
        "samples": monitoring.Sampler(store, sampled, clock).run,
        "roll-ups": partial(monitoring.keep_rolling, store, clock),
        "alerts": watch.run,
        "alert notices": teller.run,
    }


def _book(settings: Settings) -> alerting.RuleBook:
    """What is watched. Raises SettingsError."""
    try:
        return alerting.read_book(settings.objectives_file, MEASURES)
    except alerting.BadBookError as error:
        raise SettingsError(str(error)) from error


async def _note_settings(store: Store, settings: Settings) -> None:
    """On record: the settings and policies that are not what they were when an agent started last."""
    async with store.tx("settings") as tx:
        for name in Settings.__struct_fields__:
            now, usual = fingerprint(settings, name), fingerprint(Settings(), name)
            await audit.note_change(tx, "setting.changed", f"setting:{name}", now, usual)
        await audit.note_change(tx, "policies.changed", "policies", access.policies().digest[:12], "")


class _Keeper:
    """Keeps the secrets of authenticator apps in the vault, for access, which knows no vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._field = vault.field("access.totp", "secret")

    def seal(self, row: str, text: str) -> bytes:
        return self._field.seal(None, row, text)

    async def open(self, row: str, cell: bytes) -> str:
        sealed = self._field.load(None, row, cell)
        assert sealed is not None
        return await self._vault.open(sealed)


def _provider(settings: Settings, clock: Clock) -> Provider | None:
    """The identity provider that the settings name."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret
    if settings.oidc_client_secret_file is not None:
        kept = read_private(settings.oidc_client_secret_file)
        if kept is None:
            raise SettingsError(
                f"TILL_OIDC_CLIENT_SECRET_FILE: {settings.oidc_client_secret_file} is not there"
            )
        secret = kept.decode().strip()
    return Provider(settings.oidc_issuer, settings.oidc_client_id, secret, clock)


async def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
