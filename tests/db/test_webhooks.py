"""Webhooks in the database: fan-out, delivery in order, failures, replay; the receiver is on loopback or played."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.receiver import Receiver, receiving, status
from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, ManualClock, SystemClock
from tillkeeper.base.ids import from_typeid, to_typeid
from tillkeeper.base.results import Refused
from tillkeeper.payments import webhooks
from tillkeeper.payments.webhooks import Deliverer, Delivery, Endpoint, Sender, fan_out
from tillkeeper.payments.webhooks.sender import Message, Sent
from tillkeeper.store import News, Store, outbox
from tillkeeper.vault import Vault

YES = Sent(delivered=True, answer="200")
NO = Sent(delivered=False, answer="500")
GONE = Sent(delivered=False, answer="410", gone=True)


class PlayedSender:
    """Plays the endpoints: `judge` says how a message fares; keeps who got what in which order."""

    def __init__(self) -> None:
        self.judge: Callable[[Message], Sent] = lambda _: YES
        self.sent: list[Message] = []
        self.now: dict[str, int] = defaultdict(int)
        self.most_at_once: dict[str, int] = defaultdict(int)
        self.delay = 0.0

    async def send(self, message: Message, _at: datetime) -> Sent:
        self.sent.append(message)
        self.now[message.url] += 1
        self.most_at_once[message.url] = max(self.most_at_once[message.url], self.now[message.url])
        await asyncio.sleep(self.delay)
        self.now[message.url] -= 1
        return self.judge(message)

    def ids(self) -> list[UUID]:
        return [message.id for message in self.sent]


class Post:
    """A store, a played outside, and the loops between."""

    def __init__(self, store: Store, vault: Vault, clock: ManualClock) -> None:
        self.store, self.vault, self.clock = store, vault, clock
        self.sender = PlayedSender()
        self.deliverer = self.restarted()

    def restarted(self) -> Deliverer:
        """What a new process would build."""
        return Deliverer(self.store, self.vault, cast("Sender", self.sender), self.clock)

    async def endpoint(self, name: str = "a", topics: Iterable[str] = ("*",)) -> Endpoint:
        async with self.store.tx("test") as tx:
            made, _ = await webhooks.create_endpoint(
                tx,
                self.vault,
                f"http://127.0.0.1/{name}",
                list(topics),
                self.clock,
                private_targets=True,
                actor="wang",
            )
        return made

    async def news(self, *subjects: UUID, topic: str = "payment.succeeded") -> None:
        """Something happened to each subject, and the messages are written."""
        await publish(self.store, self.clock, *subjects, topic=topic)
        await fan_all_out(self.store, self.clock)

    async def deliveries(self, endpoint: Endpoint) -> list[Delivery]:
        """The endpoint's messages, oldest first."""
        async with self.store.tx("test") as tx:
            return (await webhooks.deliveries_of(tx, endpoint.id, limit=10_000))[::-1]

    async def states(self, endpoint: Endpoint) -> list[str]:
        return [each.state for each in await self.deliveries(endpoint)]

    async def find(self, endpoint: Endpoint) -> Endpoint:
        async with self.store.tx("test") as tx:
            return await webhooks.find_endpoint(tx, endpoint.id)

    async def work(self, seconds: float, step: float = 60.0) -> None:
        """Let time pass, sending what is due."""
        for _ in range(round(seconds / step)):
            while await self.deliverer.run_due():
                pass
            self.clock.advance(step)


async def publish(store: Store, clock: Clock, *subjects: UUID, topic: str = "payment.succeeded") -> None:
    async with store.tx("test") as tx:
        await outbox.publish(tx, [News(clock.now(), topic, subject, '{"a":1}') for subject in subjects])


async def fan_all_out(store: Store, clock: Clock, *, limit: int = limits.OUTBOX_BATCH) -> int:
    """Fan out until nothing is left: a transaction in another test's database can hold news back for a moment."""
    count = 0
    async with asyncio.timeout(60):
        while True:
            count += await fan_out(store, clock, limit)
            async with store.tx("test") as tx:
                if (await outbox.lag(tx, "webhooks"))[0] == 0:
                    return count


def subjects(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


@pytest.fixture
def post(store: Store, vault: Vault, clock: ManualClock) -> Post:
    return Post(store, vault, clock)


# -- endpoints


async def test_an_endpoint_is_made_listed_and_deleted_with_its_messages(post: Post) -> None:
    one, other = await post.endpoint("one"), await post.endpoint("other", ["payment.*", "payment.*"])
    assert other.topics == ("payment.*",)
    await post.news(*subjects(3))
    async with post.store.tx("test") as tx:
        assert await webhooks.list_endpoints(tx) == [other, one]
        await webhooks.delete_endpoint(tx, one.id, actor="wang")
    async with post.store.tx("test") as tx:
        assert await webhooks.list_endpoints(tx) == [other]
        events = await audit.of(tx, to_typeid("whe", one.id))
    assert [event.action for event in events] == ["webhook_endpoint.deleted", "webhook_endpoint.created"]
    assert await post.deliveries(one) == []
    assert len(await post.deliveries(other)) == 3


async def test_unknown_endpoints_and_deliveries_are_refused(post: Post) -> None:
    async with post.store.tx("test") as tx:
        for wrong in (
            webhooks.find_endpoint(tx, uuid4()),
            webhooks.delete_endpoint(tx, uuid4(), actor="wang"),
            webhooks.enable_endpoint(tx, uuid4(), actor="wang"),
        ):
            with pytest.raises(Refused, match="unknown_endpoint"):
                await cast("Any", wrong)
        with pytest.raises(Refused, match="unknown_delivery"):
            await webhooks.replay(tx, uuid4(), post.clock, actor="wang")


@pytest.mark.parametrize(
    ("url", "topics", "code"),
    [
        ("https://127.0.0.1/", ["*"], "webhook_url_refused"),
        ("https://shop.example/", [], "invalid_value"),
        ("https://shop.example/", ["Payment.*"], "invalid_value"),
        ("https://shop.example/", ["payment"], "invalid_value"),
        (
            "https://shop.example/",
            [f"payment.{letter * 3}" for letter in "abcdefghijklmnopqrstuvwxyz_" * 2],
            None,
        ),
        ("https://shop.example/", [f"payment.a{'b' * n}" for n in range(33)], "invalid_value"),
    ],
)
async def test_a_senseless_endpoint_is_refused(
    post: Post, url: str, topics: list[str], code: str | None
) -> None:
    async def make() -> None:
        async with post.store.tx("test") as tx:
            await webhooks.create_endpoint(
                tx, post.vault, url, topics, post.clock, private_targets=False, actor="wang"
            )

    if code is None:
        await make()
        return
    with pytest.raises(Refused, match=code):
        await make()


async def test_endpoints_are_bounded(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WEBHOOK_ENDPOINTS", 2)
    await post.endpoint()
    await post.endpoint()
    with pytest.raises(Refused, match="too_many_endpoints"):
        await post.endpoint()


# -- fan-out


async def test_each_endpoint_gets_what_it_asked_for(post: Post) -> None:
    everything, refunds = await post.endpoint("all"), await post.endpoint("refunds", ["refund.*"])
    paid, refunded = subjects(2)
    await post.news(paid)
    await post.news(refunded, topic="refund.succeeded")
    assert [each.subject for each in await post.deliveries(everything)] == [paid, refunded]
    assert [each.subject for each in await post.deliveries(refunds)] == [refunded]


async def test_news_read_twice_makes_one_message(post: Post, admin: psycopg.AsyncConnection) -> None:
    endpoint = await post.endpoint()
    await post.news(*subjects(5))
    await admin.execute("UPDATE store.cursors SET xid = '0', id = 0")
    assert await fan_all_out(post.store, post.clock) == 5
    assert len(await post.deliveries(endpoint)) == 5


async def test_two_processes_fanning_out_make_one_message_each(post: Post) -> None:
    endpoint = await post.endpoint()
    await publish(post.store, post.clock, *subjects(50))
    read = await asyncio.gather(*(fan_all_out(post.store, post.clock, limit=20) for _ in range(3)))
    assert sum(read) == 50
    assert len(await post.deliveries(endpoint)) == 50


async def test_news_without_listeners_is_passed_by(post: Post) -> None:
    await post.news(*subjects(3))
    endpoint = await post.endpoint()
    await post.news(*subjects(2))
    assert len(await post.deliveries(endpoint)) == 2


# -- delivery


async def test_a_real_receiver_gets_and_verifies_everything(store: Store, vault: Vault) -> None:
    clock = SystemClock()
    async with receiving() as receiver, Sender(private_targets=True) as sender:
        async with store.tx("test") as tx:
            _, secret = await webhooks.create_endpoint(
                tx, vault, receiver.url(), ["*"], clock, private_targets=True, actor="wang"
            )
        wanted = subjects(30)
        await publish(store, clock, *wanted)
        await fan_all_out(store, clock)
        running = asyncio.create_task(Deliverer(store, vault, sender, clock).run())
        async with asyncio.timeout(20):
            await receiver.received(30)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        bodies = [Webhook(secret).verify(each.body, each.headers) for each in receiver.requests]
        assert {body["type"] for body in bodies} == {"payment.succeeded"}
        assert len(set(receiver.ids)) == 30


async def test_what_was_delivered_is_not_sent_again(post: Post) -> None:
    endpoint = await post.endpoint()
    await post.news(*subjects(7))
    assert await post.deliverer.run_due() == 7
    assert await post.deliverer.run_due() == 0
    assert await post.states(endpoint) == ["delivered"] * 7
    assert len(set(post.sender.ids())) == 7


async def test_a_subjects_messages_keep_their_order_and_others_go_side_by_side(post: Post) -> None:
    await post.endpoint()
    payments = subjects(limits.WEBHOOK_LANES + 2)
    for topic in ("payment.created", "payment.succeeded", "payment.refunded"):
        await post.news(*payments, topic=topic)
    post.sender.delay = 0.02
    while await post.deliverer.run_due():
        pass
    async with post.store.tx("test") as tx:
        for payment in payments:
            order = [each.id for each in await webhooks.deliveries_about(tx, payment)]
            assert sorted(order, key=post.sender.ids().index) == order
            assert len(order) == 3
    assert 1 < max(post.sender.most_at_once.values()) <= limits.WEBHOOK_LANES


async def test_a_failed_message_holds_back_its_subject_but_only_for_a_while(post: Post) -> None:
    endpoint = await post.endpoint()
    stuck, free = subjects(2)
    await post.news(stuck, free, stuck)
    first = (await post.deliveries(endpoint))[0].id
    post.sender.judge = lambda message: NO if message.id == first else YES
    await post.deliverer.run_due()
    post.clock.advance(1)
    await post.work(30, 1)
    states = await post.states(endpoint)
    assert states == ["due", "delivered", "due"]
    await post.work(3600)
    assert await post.states(endpoint) == ["due", "delivered", "delivered"]
    await post.work(40 * 3600, 600)
    deliveries = await post.deliveries(endpoint)
    assert [each.state for each in deliveries] == ["failed", "delivered", "delivered"]
    assert (deliveries[0].tries, deliveries[0].last_answer) == (limits.WEBHOOK_TRIES, "500")
    assert (await post.find(endpoint)).disabled_at is None


async def test_a_dead_endpoint_is_only_probed_and_hinders_nobody(post: Post) -> None:
    dead, alive = await post.endpoint("dead"), await post.endpoint("alive")
    post.sender.judge = lambda message: NO if message.url == dead.url else YES
    await post.news(*subjects(50))
    await post.deliverer.run_due()
    assert await post.states(alive) == ["delivered"] * 50
    tried = [message for message in post.sender.sent if message.url == dead.url]
    assert 1 <= len(tried) <= limits.WEBHOOK_LANES  # those under way when the first failed
    assert (await post.find(dead)).failures == 1
    post.sender.sent.clear()
    assert await post.deliverer.run_due() == 0  # it rests
    post.clock.advance(limits.WEBHOOK_FIRST_RETRY_SECONDS * 1.3)
    assert await post.deliverer.run_due() == 1
    assert (await post.find(dead)).failures == 2
    post.sender.judge = lambda _: YES
    await post.work(600)
    assert (await post.find(dead)).failures == 0
    assert await post.states(dead) == ["delivered"] * 50


async def test_an_endpoint_that_keeps_failing_is_disabled_told_of_and_enabled_again(post: Post) -> None:
    dead, watcher = await post.endpoint("dead"), await post.endpoint("watcher", ["webhook_endpoint.*"])
    post.sender.judge = lambda message: NO if message.url == dead.url else YES
    await post.news(*subjects(5))
    begun = post.clock.now()
    for _ in range(limits.WEBHOOK_DISABLE_AFTER):
        while not await post.deliverer.run_due():
            post.clock.advance(600)
    found = await post.find(dead)
    assert found.disabled_at is not None
    assert found.disabled_at - begun > timedelta(days=1)
    assert found.failures == limits.WEBHOOK_DISABLE_AFTER
    assert set(await post.states(dead)) == {"failed"}
    assert len(post.sender.sent) == 5 + limits.WEBHOOK_DISABLE_AFTER - 1  # all at once, then one at a time
    post.sender.sent.clear()

    missed = subjects(2)
    await post.news(*missed)
    await post.work(24 * 3600, 3600)
    assert {message.url for message in post.sender.sent} == {watcher.url}  # the news that it is disabled
    assert [each.topic for each in await post.deliveries(watcher)] == ["webhook_endpoint.disabled"]
    async with post.store.tx("test") as tx:
        assert [event.action for event in await audit.of(tx, to_typeid("whe", dead.id))] == [
            "webhook_endpoint.disabled",
            "webhook_endpoint.created",
        ]
        enabled = await webhooks.enable_endpoint(tx, dead.id, actor="wang")
    assert (enabled.failures, enabled.disabled_at, enabled.paused_until) == (0, None, None)

    post.sender.judge = lambda _: YES
    await post.news(*subjects(1))
    await post.deliverer.run_due()
    assert await post.states(dead) == ["failed"] * 8 + ["delivered"]
    async with post.store.tx("test") as tx:
        assert await webhooks.replay_since(tx, dead.id, begun, post.clock, actor="wang") == 9
    await post.work(60)
    assert await post.states(dead) == ["delivered"] * 9


async def test_gone_disables_at_once(post: Post) -> None:
    endpoint = await post.endpoint()
    await post.news(*subjects(1))
    post.sender.judge = lambda _: GONE
    await post.deliverer.run_due()
    assert (await post.find(endpoint)).disabled_at is not None


async def test_a_replayed_message_is_the_same_message(post: Post) -> None:
    endpoint = await post.endpoint()
    await post.news(*subjects(2))
    await post.deliverer.run_due()
    chosen = (await post.deliveries(endpoint))[0]
    async with post.store.tx("test") as tx:
        await webhooks.replay(tx, chosen.id, post.clock, actor="wang")
    await post.deliverer.run_due()
    assert post.sender.sent[-1] == next(message for message in post.sender.sent if message.id == chosen.id)
    assert len(post.sender.sent) == 3
    async with post.store.tx("test") as tx:
        (event,) = await audit.of(tx, to_typeid("whd", chosen.id))
    assert (event.actor, event.action) == ("wang", "webhook_delivery.replayed")


async def test_replay_since_takes_what_is_younger(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOUSEKEEPING_BATCH", 2)  # several rounds
    endpoint = await post.endpoint()
    await post.news(*subjects(3))
    await post.work(60)
    since = post.clock.now()
    await post.news(*subjects(5))
    await post.work(60)
    async with post.store.tx("test") as tx:
        assert await webhooks.replay_since(tx, endpoint.id, since, post.clock, actor="wang") == 5
    await post.work(60)
    assert len(post.sender.sent) == 13


# -- crashes


async def test_a_crash_after_the_claim_delays_but_loses_nothing(post: Post) -> None:
    endpoint = await post.endpoint()
    await post.news(*subjects(10))
    await post.deliverer._claim()
    post.deliverer = post.restarted()
    assert await post.deliverer.run_due() == 0
    post.clock.advance(limits.WEBHOOK_CLAIM_SECONDS)
    assert await post.deliverer.run_due() == 10
    assert await post.states(endpoint) == ["delivered"] * 10


async def test_a_crash_after_the_sending_repeats_with_the_same_id(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await post.endpoint()
    await post.news(*subjects(3))

    async def die(*_: Any) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(post.deliverer, "_settle", die)
        await post.deliverer.run_due()
    post.clock.advance(limits.WEBHOOK_CLAIM_SECONDS)
    await post.deliverer.run_due()
    assert await post.states(endpoint) == ["delivered"] * 3
    assert sorted(post.sender.ids()[:3]) == sorted(post.sender.ids()[3:])


async def test_two_processes_send_each_message_once(post: Post) -> None:
    await post.endpoint("one")
    await post.endpoint("two")
    await post.news(*subjects(150))
    other = post.restarted()
    while any(await asyncio.gather(post.deliverer.run_due(), other.run_due())):
        pass
    assert len(post.sender.sent) == len(set(post.sender.ids())) == 300


async def test_an_endpoint_deleted_while_it_is_sent_to_troubles_nobody(post: Post) -> None:
    doomed, other = await post.endpoint("doomed"), await post.endpoint("other")
    await post.news(*subjects(5))
    post.sender.delay = 0.1
    sending = asyncio.create_task(post.deliverer.run_due())
    await asyncio.sleep(0.05)
    async with post.store.tx("test") as tx:
        await webhooks.delete_endpoint(tx, doomed.id, actor="wang")
    await sending
    assert await post.states(other) == ["delivered"] * 5


# -- forgetting


async def test_old_messages_are_forgotten(post: Post, store: Store) -> None:
    later = ManualClock(SystemClock().now())  # ids carry the machine's time
    endpoint = await post.endpoint()
    await post.news(*subjects(3))
    async with store.tx("test") as tx:
        assert await webhooks.forget_old(tx, later) == 0
        later.advance(limits.WEBHOOK_KEEP_SECONDS + 60)
        assert await webhooks.forget_old(tx, later) == 3
        assert await webhooks.forget_old(tx, later) == 0
    assert await post.deliveries(endpoint) == []


async def test_pages_of_messages_walk_without_gap_or_repeat(post: Post) -> None:
    endpoint = await post.endpoint()
    await post.news(*subjects(7))
    seen: list[Delivery] = []
    async with post.store.tx("test") as tx:
        while page := await webhooks.deliveries_of(tx, endpoint.id, seen[-1].id if seen else None, 3):
            seen += page
    assert seen[::-1] == await post.deliveries(endpoint)
    assert len(seen) == 7


# -- a slow receiver, really


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def test_a_slow_endpoint_does_not_hold_up_a_quick_one(
    store: Store, vault: Vault, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_TIMEOUT_SECONDS", 25.0)  # the slow one is not given up meanwhile
    clock = SystemClock()
    async with receiving() as slow, Sender(private_targets=True) as sender:
        slow.answer = lambda _: None
        receiver.answer = lambda _: status(200)
        async with store.tx("test") as tx:
            for each in (slow, receiver):
                await webhooks.create_endpoint(
                    tx, vault, each.url(), ["*"], clock, private_targets=True, actor="wang"
                )
        running = asyncio.create_task(Deliverer(store, vault, sender, clock).run())
        for number in range(1, 4):
            await publish(store, clock, uuid4())
            await fan_all_out(store, clock)
            async with asyncio.timeout(20):
                await receiver.received(number)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [from_typeid("whd", each).version for each in receiver.ids] == [7] * 3
