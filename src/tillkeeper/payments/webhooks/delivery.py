"""Delivery: due messages are claimed, sent outside any transaction, and settled.

Order: of one subject, messages go out one after the other, and a failed one holds back the later ones for its first
WEBHOOK_ORDER_TRIES tries. Messages about different subjects go out side by side. A crash after the claim makes them due
again WEBHOOK_CLAIM_SECONDS later, so a receiver may get a message twice, with the same webhook-id.
"""

import asyncio
import contextlib
import logging
import random
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import to_typeid
from tillkeeper.payments.webhooks.endpoints import secret_of
from tillkeeper.payments.webhooks.fanout import DISABLED
from tillkeeper.payments.webhooks.sender import Message, Sender, Sent
from tillkeeper.store import News, Store, Tx, outbox, queries
from tillkeeper.vault import CellError, Vault

log = logging.getLogger(__name__)
_sql = queries(__package__, "queries.sql")


class Settled(msgspec.Struct, frozen=True):
    """What becomes of a message after a try, or after none was made (no answer)."""

    id: UUID
    state: str
    tries: int
    due_at: datetime
    answer: str


class _Claimed(msgspec.Struct, frozen=True):
    """A message that is ours for the moment; `tries` are those made before."""

    message: Message
    tries: int
    last_answer: str


def pause_after(failures: int) -> float:
    """Seconds to wait after a number of failures in a row."""
    quadrupled = limits.WEBHOOK_FIRST_RETRY_SECONDS * (1 << 2 * min(failures - 1, 16))
    return min(quadrupled, limits.WEBHOOK_MAX_RETRY_SECONDS)


def after_try(claimed: _Claimed, sent: Sent | None, now: datetime, jitter: float) -> Settled:
    """The next state of a message. `jitter` stretches the pause, 1 being just, so that not all come back at once."""
    message, tries = claimed.message.id, claimed.tries + 1
    if sent is None:
        return Settled(message, "due", claimed.tries, now, claimed.last_answer)
    if sent.delivered:
        return Settled(message, "delivered", tries, now, sent.answer)
    if tries >= limits.WEBHOOK_TRIES:
        return Settled(message, "failed", tries, now, sent.answer)
    return Settled(message, "due", tries, now + timedelta(seconds=pause_after(tries) * jitter), sent.answer)


class Deliverer:
    """The loop that sends messages."""

    def __init__(
        self, store: Store, vault: Vault, sender: Sender, clock: Clock, draw: random.Random | None = None
    ) -> None:
        self._store = store
        self._vault = vault
        self._sender = sender
        self._clock = clock
        self._draw = draw or random.Random()  # noqa: S311 - jitter
        self._busy: set[UUID] = set()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled. Raises what the store raises; sends under way are then dropped and made again."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._ended.clear()
                if not await self._start_due(group):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(limits.WEBHOOK_POLL_SECONDS):
                            await self._ended.wait()

    async def run_due(self) -> int:
        """Try once what is due now, wait for the answers, and say how many messages were claimed."""
        async with asyncio.TaskGroup() as group:
            return await self._start_due(group)

    async def _start_due(self, group: asyncio.TaskGroup) -> int:
        batches = await self._claim()
        for endpoint, claimed in batches.items():
            self._busy.add(endpoint)
            group.create_task(self._carry(endpoint, claimed))
        return sum(map(len, batches.values()))

    async def _claim(self) -> dict[UUID, list[_Claimed]]:
        now = self._clock.now()
        params = {
            "now": now,
            "claimed_until": now + timedelta(seconds=limits.WEBHOOK_CLAIM_SECONDS),
            "order_tries": limits.WEBHOOK_ORDER_TRIES,
            "batch": limits.WEBHOOK_BATCH,
            "busy": list(self._busy),
        }
        async with self._store.tx("claim_deliveries") as tx:
            rows = await tx.rows(_sql.claim_deliveries, params)
        batches: dict[UUID, list[_Claimed]] = defaultdict(list)
        secrets = {row.endpoint: await self._secret(row) for row in rows}
        for row in sorted(rows, key=lambda row: row.outbox_id):
            if secret := secrets[row.endpoint]:
                message = Message(row.id, row.url, secret, row.payload)
                batches[row.endpoint].append(_Claimed(message, row.tries, row.last_answer))
        return batches

    async def _secret(self, row: Any) -> str | None:
        """The signing secret of a message's endpoint. None if it does not open: nothing unsigned goes out, and the messages
        become due again.
        """
        if row.secret is not None:  # older than the vault
            return str(row.secret)
        sealed = secret_of(self._vault).load(None, row.endpoint, row.signing_secret)
        assert sealed is not None
        try:
            return await self._vault.open(sealed)
        except CellError:
            log.exception("the secret of %s does not open", to_typeid("whe", row.endpoint))
            return None

    async def _carry(self, endpoint: UUID, batch: Sequence[_Claimed]) -> None:
        try:
            answers = await self._send(batch)
            async with self._store.tx("settle_deliveries") as tx:
                await self._settle(tx, endpoint, batch, answers)
        except Exception:
            # One endpoint's trouble is not the others': its messages become due again.
            log.exception("messages to %s could not be dealt with", to_typeid("whe", endpoint))
        finally:
            self._busy.discard(endpoint)
            self._ended.set()

    async def _send(self, batch: Sequence[_Claimed]) -> dict[UUID, Sent]:
        """The answers. After the first failure, or when the claim runs out, no further send is begun."""
        todo = deque(batch)
        stop_at = self._clock.monotonic() + limits.WEBHOOK_CLAIM_SECONDS - 2 * limits.WEBHOOK_TIMEOUT_SECONDS
        answers: dict[UUID, Sent] = {}

        async def lane() -> None:
            while todo and self._clock.monotonic() < stop_at:
                message = todo.popleft().message
                answers[message.id] = sent = await self._sender.send(message, self._clock.now())
                if not sent.delivered:
                    todo.clear()

        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(limits.WEBHOOK_LANES, len(batch))):
                lanes.create_task(lane())
        return answers

    async def _settle(
        self, tx: Tx, endpoint: UUID, batch: Sequence[_Claimed], answers: dict[UUID, Sent]
    ) -> None:
        now = self._clock.now()
        sent = answers.values()
        gone = any(each.gone for each in sent)
        failed = None
        # The endpoint's row is locked before its messages', as in its deletion: the other way they would deadlock.
        if gone or (sent and not any(each.delivered for each in sent)):
            failed = await tx.row(_sql.endpoint_failed, {"id": endpoint})
        else:
            await tx.run(_sql.endpoint_answered, {"id": endpoint})
        settled = [after_try(each, answers.get(each.message.id), now, self._jitter()) for each in batch]
        await tx.run(_sql.settle_deliveries, _columns(settled))
        if failed is None:
            return
        if gone or failed.failures >= limits.WEBHOOK_DISABLE_AFTER:
            reason = "it answered 410 Gone" if gone else f"{failed.failures} tries in a row failed"
            await _disable(tx, endpoint, failed.url, reason, now)
        else:
            until = now + timedelta(seconds=pause_after(failed.failures) * self._jitter())
            await tx.run(_sql.pause_endpoint, {"id": endpoint, "until": until})

    def _jitter(self) -> float:
        return self._draw.uniform(0.8, 1.2)


async def _disable(tx: Tx, endpoint: UUID, url: str, reason: str, now: datetime) -> None:
    public_id = to_typeid("whe", endpoint)
    await tx.run(_sql.disable_endpoint, {"id": endpoint, "at": now})
    await tx.run(_sql.fail_waiting, {"endpoint": endpoint, "answer": DISABLED})
    await audit.append(tx, "system", "webhook_endpoint.disabled", public_id, reason)
    payload = msgspec.json.encode({"id": public_id, "url": url, "reason": reason}).decode()
    await outbox.publish(tx, [News(now, "webhook_endpoint.disabled", endpoint, payload)])


def _columns(settled: Sequence[Settled]) -> dict[str, Any]:
    return {
        "ids": [each.id for each in settled],
        "states": [each.state for each in settled],
        "tries": [each.tries for each in settled],
        "due_at": [each.due_at for each in settled],
        "answers": [each.answer for each in settled],
    }
