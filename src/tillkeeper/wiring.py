"""The roof: reads the settings once, builds everything, knows everybody."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar.types import ASGIApp

from tillkeeper import audit
from tillkeeper.access import KeyRing
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.settings import Settings
from tillkeeper.faces.agent import Agent, loops_of
from tillkeeper.faces.api import Counter, create_api
from tillkeeper.faces.console.app import create_console
from tillkeeper.payments import Till, rails, webhooks
from tillkeeper.risk import RiskEngine
from tillkeeper.store import sole
from tillkeeper.store.opening import opened
from tillkeeper.vault import Vault, root_of

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
    async with opened(settings) as (store, _), Vault.opened(store, root_of(settings), clock) as vault:
        till = Till(store, None, clock, settings.timezone)
        yield create_console(
            store, clock, settings.timezone, till, vault, four_eyes_amount=settings.four_eyes_amount
        )
        await till.close()


async def agent(settings: Settings) -> None:
    """The agent, until cancelled. Its till takes no payments, only what banks, clocks and people say of them."""
    clock = SystemClock()
    settings.home.mkdir(parents=True, exist_ok=True)
    async with (
        opened(settings) as (store, _),
        Vault.opened(store, root_of(settings), clock) as vault,
        webhooks.Sender(private_targets=settings.allow_private_webhooks) as sender,
    ):
        till = Till(store, None, clock, settings.timezone)
        bank = rails.SandboxBank(clock, settings.home / "sandbox-bank.jsonl")
        anchors = audit.anchors_of(settings.key_folder, settings.audit_anchors.split())
        sealer = audit.Sealer(store, settings.key_folder, anchors, clock)
        loops = loops_of(store, vault, {rails.SANDBOX: bank}, till.submit, sender, sealer, clock)
        try:
            await Agent(store, loops, clock).run()
        finally:
            await bank.close()
            await till.close()


async def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
