"""What the agent does: webhooks, rails, expiries, the seal of the audit trail, housekeeping. Each loop stands on its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tillkeeper import access, audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.payments import Settlement, expire_due, forget_samples, rails, webhooks
from tillkeeper.store import Answer, Store, processes
from tillkeeper.vault import Vault, empty_overdue

Loop = Callable[[], Awaitable[None]]
"""Works until cancelled, or raises; then it is started again."""

Submit = Callable[[Any], Awaitable[Answer]]
"""Carries a command through the turn."""


def loops_of(
    store: Store,
    vault: Vault,
    banks: Mapping[str, rails.Rail],
    submit: Submit,
    sender: webhooks.Sender,
    sealer: audit.Sealer,
    clock: Clock,
) -> dict[str, Loop]:
    """The agent's loops by name. `banks` are the rails by the name that attempts carry."""
    settlement = Settlement(store, banks, submit, clock)
    deliverer = webhooks.Deliverer(store, vault, sender, clock)
    fan_out = partial(webhooks.fan_out, store, clock)
    expire = partial(expire_due, store, submit, clock)
    return {
        "webhook fan-out": lambda: repeat(fan_out, limits.OUTBOX_BATCH, limits.WEBHOOK_POLL_SECONDS),
        "webhook delivery": deliverer.run,
        "rails": settlement.run,
        "expiries": lambda: repeat(expire, limits.EXPIRY_BATCH, limits.EXPIRY_POLL_SECONDS),
        "seal": sealer.run,
        "housekeeping": lambda: _keep_house(store, clock),
        "retention": lambda: _empty_overdue(store, vault, clock),
    }


async def repeat(step: Callable[[], Awaitable[int]], full: int, pause: float) -> None:
    """Take a step again and again: at once while each does as much as it may (`full`), else after `pause` seconds."""
    while True:
        if await step() < full:
            await asyncio.sleep(pause)


async def _keep_house(store: Store, clock: Clock) -> None:
    while True:
        async with store.tx("housekeeping") as tx:
            await access.forget_dead(tx, clock)
            await access.approvals.forget_late(tx, clock)
            await forget_samples(tx, clock)
            await processes.forget_old(tx)
            deleted = await webhooks.forget_old(tx, clock)
        if deleted < limits.HOUSEKEEPING_BATCH:
            await asyncio.sleep(limits.HOUSEKEEPING_SECONDS)


async def _empty_overdue(store: Store, vault: Vault, clock: Clock) -> None:
    while True:
        emptied = await empty_overdue(store, vault.tables, clock, "agent")
        if max(emptied.values(), default=0) < limits.RETENTION_BATCH:
            await asyncio.sleep(limits.RETENTION_SECONDS)
