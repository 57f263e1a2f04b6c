"""Webhooks without a database: who gets what, where it may go, how it is signed, and when it is tried again."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.receiver import OK, Receiver, receiving, status
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.ids import new_id, to_typeid
from tillkeeper.payments.webhooks import Sender
from tillkeeper.payments.webhooks.delivery import _Claimed, after_try, pause_after
from tillkeeper.payments.webhooks.fanout import body_of, wants
from tillkeeper.payments.webhooks.sender import Message, Sent
from tillkeeper.payments.webhooks.targets import all_may_receive, check_url, may_receive
from tillkeeper.store.outbox import Delivered

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)

PUBLIC = ["1.1.1.1", "203.0.114.9", "2606:4700::1111", "::ffff:8.8.8.8"]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.7",
    "172.16.3.4",
    "192.168.1.1",
    "::1",
    "fd00::1",
    "::ffff:10.0.0.7",
]
NEVER = [
    *("169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "fe80::1", "ff02::1", "::"),
    *("::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::1", "2001:0:4136:e378::1", "240.0.0.1"),
]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender(private_targets=True) as made:
        yield made


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the name servers say."""
    known: dict[str, list[str]] = {}

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


def message(url: str, payload: str = '{"type":"payment.succeeded"}') -> Message:
    return Message(new_id(), url, SECRET, payload)


# -- who gets what


@pytest.mark.parametrize(
    ("topics", "topic", "expected"),
    [
        (["*"], "payment.succeeded", True),
        (["payment.succeeded"], "payment.succeeded", True),
        (["payment.*"], "payment.succeeded", True),
        (["refund.*", "payment.failed"], "payment.succeeded", False),
        (["payment"], "payment.succeeded", False),
        (["payment.*"], "payments.succeeded", False),
        ([], "payment.succeeded", False),
    ],
)
def test_an_endpoint_gets_what_it_asked_for(topics: list[str], topic: str, *, expected: bool) -> None:
    assert wants(topics, topic) is expected


def test_the_message_tells_what_when_and_the_payload_as_it_was() -> None:
    news = Delivered(1, "7", NOW, "payment.succeeded", uuid4(), '{"amount":1234,"note":"你好"}')
    assert msgspec.json.decode(body_of(news)) == {
        "type": "payment.succeeded",
        "timestamp": "2026-04-15T12:00:00Z",
        "data": {"amount": 1234, "note": "你好"},
    }


# -- where it may go


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_receive(address: str) -> None:
    assert may_receive(ipaddress.ip_address(address), private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_may_receive_only_where_allowed(address: str) -> None:
    assert not may_receive(ipaddress.ip_address(address), private=False)
    assert may_receive(ipaddress.ip_address(address), private=True)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_never_may(address: str) -> None:
    assert not may_receive(ipaddress.ip_address(address), private=False)
    assert not may_receive(ipaddress.ip_address(address), private=True)


@given(st.ip_addresses())
def test_without_leave_only_the_public_internet_is_reached(address: Any) -> None:
    if may_receive(address, private=False):
        inner = getattr(address, "ipv4_mapped", None) or address
        assert inner.is_global
        assert not inner.is_multicast


def test_one_unfit_address_spoils_a_name() -> None:
    assert all_may_receive(["1.1.1.1", "8.8.8.8"], private=False)
    assert not all_may_receive(["1.1.1.1", "127.0.0.1"], private=False)
    assert not all_may_receive(["fe80::1%eth0"], private=True)
    assert not all_may_receive([], private=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hooks",
        "ftp://shop.example",
        "shop.example/hooks",
        "https://",
        "https:///hooks",
        "https://user@shop.example",
        "https://user:word@shop.example",
        "https://shop.example/#part",
        "https://shop.example:0/",
        "https://shop.example:99999/",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://商店.example",
        "https://[::1",
        "https://localhost/",
        "https://a.localhost/",
        "https://LOCALHOST./",
        "https://printer.local/",
        "https://intranet/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "https://shop.example/" + "a" * 2000,
    ],
)
def test_a_senseless_or_inward_url_is_refused(url: str) -> None:
    refusal = check_url(url, private=False)
    assert refusal is not None
    assert (refusal.code, refusal.field) == ("webhook_url_refused", "url")


def test_fit_urls_are_taken() -> None:
    assert check_url("https://shop.example:8443/hooks?shop=7", private=False) is None
    assert check_url("https://1.1.1.1/", private=False) is None
    assert check_url("http://localhost:9000/hooks", private=True) is None
    assert check_url("http://169.254.169.254/", private=True) is not None


# -- how it is sent


async def test_the_receiver_can_verify_what_it_gets(receiver: Receiver, sender: Sender) -> None:
    sent = message(receiver.url(), '{"note":"你好"}')
    answer = await sender.send(sent, SystemClock().now())
    assert answer == Sent(delivered=True, answer="200")
    (request,) = receiver.requests
    assert request.line == "POST /hooks HTTP/1.1"
    assert request.headers["webhook-id"] == to_typeid("whd", sent.id)
    assert request.headers["content-type"] == "application/json"
    assert Webhook(SECRET).verify(request.body, request.headers) == {"note": "你好"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(request.body, request.headers)


async def test_connections_are_kept(receiver: Receiver, sender: Sender) -> None:
    for _ in range(3):
        await sender.send(message(receiver.url()), NOW)
    assert (len(receiver.requests), receiver.connections) == (3, 1)


@pytest.mark.parametrize("code", [201, 202, 204])
async def test_any_2xx_is_a_delivery(receiver: Receiver, sender: Sender, code: int) -> None:
    receiver.answer = lambda _: status(code)
    assert (await sender.send(message(receiver.url()), NOW)).delivered


@pytest.mark.parametrize("code", [400, 404, 410, 429, 500, 503])
async def test_any_other_status_is_not(receiver: Receiver, sender: Sender, code: int) -> None:
    receiver.answer = lambda _: status(code)
    answer = await sender.send(message(receiver.url()), NOW)
    assert answer == Sent(delivered=False, answer=str(code), gone=code == 410)


async def test_redirects_are_not_followed(receiver: Receiver, sender: Sender) -> None:
    receiver.answer = lambda _: status(307, f"Location: {receiver.url()}/elsewhere")
    answer = await sender.send(message(receiver.url()), NOW)
    assert (answer.delivered, answer.answer) == (False, "307")
    assert len(receiver.requests) == 1


async def test_a_receiver_that_says_nothing_costs_only_the_time_out(
    receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_TIMEOUT_SECONDS", 0.1)
    receiver.answer = lambda _: None
    answer = await sender.send(message(receiver.url()), NOW)
    assert answer == Sent(delivered=False, answer="no answer in 0.1 s")


async def test_an_endless_answer_is_cut_off(receiver: Receiver, sender: Sender) -> None:
    receiver.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000
    assert (await sender.send(message(receiver.url()), NOW)).delivered
    receiver.answer = lambda _: OK
    assert (await sender.send(message(receiver.url()), NOW)).delivered
    assert receiver.connections == 2


async def test_nonsense_and_nobody_are_answers_too(receiver: Receiver, sender: Sender) -> None:
    receiver.answer = lambda _: b"I do not speak this\r\n\r\n"
    assert not (await sender.send(message(receiver.url()), NOW)).delivered
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        answer = await sender.send(message(nobody), NOW)
    assert not answer.delivered
    assert "Connect" in answer.answer


async def test_a_name_is_checked_by_where_it_leads(receiver: Receiver, names: dict[str, list[str]]) -> None:
    names["hooks.shop.example"] = ["127.0.0.1"]
    names["mixed.shop.example"] = ["1.1.1.1", "127.0.0.1"]
    async with Sender(private_targets=False) as strict:
        for host in ("hooks.shop.example", "mixed.shop.example"):
            answer = await strict.send(message(receiver.url(host)), NOW)
            assert answer == Sent(delivered=False, answer="the address is not a public one")
        assert not (await strict.send(message(receiver.url("unknown.example")), NOW)).delivered
    assert receiver.connections == 0
    async with Sender(private_targets=True) as lenient:
        assert (await lenient.send(message(receiver.url("hooks.shop.example")), NOW)).delivered
    assert receiver.requests[0].headers["host"] == f"hooks.shop.example:{receiver.port}"


async def test_a_name_is_asked_once_and_the_answer_is_used(
    receiver: Receiver, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that says one thing to the check and another to the connection gets no second question."""
    asked = []
    plain = socket.getaddrinfo

    def resolve(host: str, port: int, *given: Any, **named: Any) -> list[Any]:
        asked.append(host)
        return plain(host, port, *given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    names["hooks.shop.example"] = ["127.0.0.1"]
    async with Sender(private_targets=True) as lenient:
        await lenient.send(message(receiver.url("hooks.shop.example")), NOW)
    assert asked == ["hooks.shop.example"]


async def test_the_second_address_is_tried_when_the_first_is_dead(
    receiver: Receiver, names: dict[str, list[str]]
) -> None:
    names["hooks.shop.example"] = ["127.0.0.2", "127.0.0.1"]
    async with Sender(private_targets=True) as lenient:
        assert (await lenient.send(message(receiver.url("hooks.shop.example")), NOW)).delivered


# -- when it is tried again


@given(st.integers(1, 100))
def test_pauses_grow_up_to_a_bound(failures: int) -> None:
    assert pause_after(1) == limits.WEBHOOK_FIRST_RETRY_SECONDS
    assert pause_after(failures) <= pause_after(failures + 1) <= limits.WEBHOOK_MAX_RETRY_SECONDS


@given(jitters=st.lists(st.floats(0.8, 1.2), min_size=limits.WEBHOOK_TRIES, max_size=limits.WEBHOOK_TRIES))
def test_a_message_is_tried_a_bounded_number_of_times(jitters: list[float]) -> None:
    now, tries, last = NOW, 0, ""
    for number, jitter in enumerate(jitters, 1):
        claimed = _Claimed(message("http://127.0.0.1/"), tries, last)
        settled = after_try(claimed, Sent(delivered=False, answer="500"), now, jitter)
        assert settled.tries == number
        assert settled.state == ("failed" if number == limits.WEBHOOK_TRIES else "due")
        if settled.state == "due":
            waits = (settled.due_at - now).total_seconds()
            assert 0.8 * pause_after(number) <= waits + 1e-6
            assert waits <= 1.2 * pause_after(number) + 1e-6
        now, tries, last = settled.due_at, settled.tries, settled.answer
    assert timedelta(hours=10) < now - NOW < timedelta(hours=30)


def test_a_message_not_sent_after_all_stays_as_it_was() -> None:
    claimed = _Claimed(message("http://127.0.0.1/"), 2, "503")
    settled = after_try(claimed, None, NOW, 1.0)
    assert (settled.state, settled.tries, settled.due_at, settled.answer) == ("due", 2, NOW, "503")


async def test_closing_the_sender_leaves_nothing_open(receiver: Receiver) -> None:
    async with Sender(private_targets=True) as made:
        await asyncio.gather(*(made.send(message(receiver.url()), NOW) for _ in range(5)))
    assert len(receiver.requests) == 5
