"""The city's client against a stand-in server: retries under one key, the journal, a short life."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice, repeat
from typing import Any

import pytest

from tests.support.standin_api import StandIn, standing_in
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.limits import CLIENT_TRIES
from tillkeeper.simulation import (
    Api,
    Roll,
    Street,
    Unanswered,
    Wire,
    build_city,
    city_life,
    client,
    deeds,
    populate,
    summary,
)
from tillkeeper.simulation.acts import Intent, Pay, Scene, Spoil
from tillkeeper.simulation.faults import FAULTS
from tillkeeper.simulation.journal import LATER, Journal, Kept, agrees

ONE = {"payer": "cus_1", "merchant": "mer_1", "amount": 1200, "currency": "CNY"}
CITY = build_city(5, customers=120, merchants=60, mules=10)


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CLIENT_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(client, "CLIENT_ANSWER_SECONDS", 60.0)
    monkeypatch.setattr(deeds, "TYPING_SECONDS", (0.01, 0.1))


def api_of(server: StandIn, connections: int = 16) -> Api:
    return Api(Wire("127.0.0.1", server.port, connections), "secret", SystemClock())


async def test_connections_are_kept_and_bounded() -> None:
    async with standing_in() as server:
        api = api_of(server, connections=3)
        await asyncio.gather(*(api.post("/v1/payments", ONE, f"key-{number}") for number in range(30)))
        assert len(api.wire._idle) == 3
        assert len(server.payments) == 30


@pytest.mark.parametrize("fault", ["lost", "late", "503", "silent"])
async def test_a_request_without_answer_is_sent_again_under_its_key(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "silent":
        monkeypatch.setattr(client, "CLIENT_ANSWER_SECONDS", 1.0)
    async with standing_in([fault, fault]) as server:
        reply = await api_of(server).post("/v1/payments", ONE, "key-1")
        assert (reply.status, reply.tries) == (201, 3)
        assert len(server.payments) == 1
        assert {request.key for request in server.requests} == {"key-1"}


async def test_tries_are_bounded() -> None:
    async with standing_in(repeat("503")) as server:
        with pytest.raises(Unanswered, match="503"):
            await api_of(server).post("/v1/payments", ONE, "key-1")
        assert len(server.requests) == CLIENT_TRIES


async def test_nobody_listening_is_unanswered() -> None:
    async with standing_in() as server:
        port = server.port
    with pytest.raises(Unanswered):
        await Api(Wire("127.0.0.1", port, 1), "secret", SystemClock()).get("/health")


async def test_a_refusal_is_an_answer() -> None:
    async with standing_in() as server:
        reply = await api_of(server).post("/v1/payments", ONE | {"amount": -1}, "key-1")
        assert (reply.status, reply.done, reply.tries) == (422, False, 1)


def kept(**change: Any) -> dict[str, Any]:
    return {
        "id": "pay_000001",
        "kind": "payment",
        "amount": 1200,
        "currency": "CNY",
        "state": "succeeded",
    } | change


async def three_payments(server: StandIn) -> tuple[Api, Journal]:
    api, journal = api_of(server), Journal()
    for number in range(3):
        journal.write((await api.post("/v1/payments", ONE, f"key-{number}")).body)
    return api, journal


async def test_the_journal_finds_everything_that_is_there() -> None:
    async with standing_in() as server:
        api, journal = await three_payments(server)
        server.payments["pay_000002"]["state"] = "refunded"
        await journal.settle(api)
        assert (journal.acknowledged, journal.missing) == (3, {})


def forget(payments: dict[str, dict[str, Any]]) -> None:
    del payments["pay_000002"]


def change_amount(payments: dict[str, dict[str, Any]]) -> None:
    payments["pay_000002"]["amount"] = 1300


def undo(payments: dict[str, dict[str, Any]]) -> None:
    payments["pay_000002"]["state"] = "declined"


@pytest.mark.parametrize("fault", [forget, change_amount, undo])
async def test_the_journal_misses_what_is_not_there_as_it_was_said(fault: Callable[..., None]) -> None:
    async with standing_in() as server:
        api, journal = await three_payments(server)
        fault(server.payments)
        await journal.settle(api)
        assert list(journal.missing) == ["pay_000002"]


async def test_the_journal_reads_all_pages_down_to_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillkeeper.simulation.journal.PAGE", 2)
    async with standing_in() as server:
        api = api_of(server)
        for number in range(20):
            await api.post("/v1/payments", ONE, f"early-{number}")
        journal = Journal()
        for number in range(5):
            journal.write((await api.post("/v1/payments", ONE, f"key-{number}")).body)
        server.requests.clear()
        await journal.settle(api)
        assert journal.missing == {}
        assert len(server.requests) == 3


async def test_a_large_journal_lets_go_of_all_but_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillkeeper.simulation.journal.NEWEST_KEPT", 1)
    async with standing_in() as server:
        api, journal = await three_payments(server)
        await journal.settle(api)
        assert list(journal.kept) == ["pay_000003"]
        assert journal.outcomes["succeeded"] == 3


def test_outcomes_count_each_payment_once_in_its_last_state() -> None:
    journal = Journal()
    for state in ("authorized", "succeeded", "refunded"):
        journal.write(kept(state=state))
    journal.write(kept(id="pay_000002", kind="top_up", state="pending"))
    assert +journal.outcomes == Counter(refunded=1)
    assert journal.acknowledged == 2


def test_no_state_comes_back() -> None:
    """What somebody was told went through may not be found waiting or refused afterwards."""
    for state in ("succeeded", "refunded", "partially_refunded"):
        assert not LATER.get(state, frozenset({state})) & {
            "pending",
            "challenged",
            "in_review",
            "declined",
            "failed",
        }
    assert not agrees(Kept(1, "CNY", "declined"), Kept(1, "CNY", "succeeded"))


def silent(*_: object) -> None:
    """Nobody watches the progress."""


async def street_on(server: StandIn) -> Street:
    api = api_of(server, connections=32)
    roll = await populate(api, CITY, silent)
    return Street(api, roll, label_delay=0.1)


async def test_everybody_gets_an_account_once() -> None:
    async with standing_in() as server:
        api = api_of(server, connections=32)
        first = await populate(api, CITY, silent)
        parties = len(server.parties)
        second = await populate(api, CITY, silent)
        assert parties == len(server.parties) == 120 + 10 + 60
        assert (first.customers, first.merchants) == (second.customers, second.merchants)
        assert (first.chapter, second.chapter != "") == ("", True)


async def test_a_life_through_faults_leaves_nothing_missing_and_no_key_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "CLIENT_TRIES", 20)  # faults meet whom they meet, and nobody so often

    def faults() -> Iterable[str]:
        yield from repeat("ok", 500)
        yield from ("ok", "ok", "late", "ok", "lost", "ok", "503", "ok") * 40

    async with standing_in(faults()) as server:
        street = await street_on(server)
        await street.live(islice(city_life(CITY, 200.0), 450))  # so many however slow the machine is
        tally, journal = street.deeds.tally, street.deeds.journal
        await journal.settle(street.api)
        assert tally.payments > 200
        assert tally.unanswered == 0
        assert tally.late_answers > 5
        assert journal.missing == {}
        assert journal.acknowledged == len(server.payments) - funded(street.deeds.roll)
        assert tally.replays.same == tally.replays.sent


def funded(roll: Roll) -> int:
    """Top-ups of populate(): they are waited for, not journaled."""
    return sum(len(person.currencies) for person in roll.city.everybody())


def scripted(acts: Iterable[Pay | Spoil], **labels: Any) -> list[Intent]:
    return [Intent(0.0, act, **labels) for act in acts]


HERE = Scene("phone-1", "10.0.0.1", None)


@pytest.mark.parametrize(
    ("risk", "answers", "caught", "missed", "state"),
    [
        ("allow", False, 0, 1, "succeeded"),
        ("deny", False, 1, 0, "declined"),
        ("hold", True, 1, 0, "in_review"),
        ("challenge", False, 1, 0, "challenged"),
        ("challenge", True, 0, 1, "succeeded"),
    ],
)
async def test_fraud_is_caught_or_missed(
    risk: str,
    answers: bool,  # noqa: FBT001 - a column of the table above
    caught: int,
    missed: int,
    state: str,
) -> None:
    async with standing_in() as server:
        street = await street_on(server)
        server.decide = lambda _: risk
        theft = scripted([Pay(1, 2, 500, "CNY", HERE)], truth="card_testing", attack=1, answers=answers)
        await live_until_quiet(street, theft)
        catch = street.deeds.tally.catches["card_testing"]
        assert (catch.payments, catch.caught, catch.missed) == (1, caught, missed)
        assert (catch.stopped, catch.lost) == (500 * caught, 500 * missed)
        assert +street.deeds.journal.outcomes == Counter({state: 1})
        assert [
            request.body["fraud"] for request in server.requests if request.path == "/v1/fraud-reports"
        ] == [True]


async def live_until_quiet(street: Street, intents: list[Intent]) -> None:
    """Live the intents, and then for so long as a challenge may take."""
    await street.live([*intents, Intent(2.0, Spoil("to_oneself", 0, 0))])


async def test_every_bad_request_is_sent_as_it_is_meant() -> None:
    async with standing_in() as server:
        street = await street_on(server)
        server.requests.clear()
        await street.live(scripted(Spoil(fault, 3, 4) for fault in FAULTS))
        assert street.deeds.tally.spoiled.sent == len(FAULTS)
        assert len(server.requests) == len(FAULTS) + 1, "only a reused key needs two requests"


async def test_an_accepted_bad_request_is_told() -> None:
    async with standing_in() as server:
        street = await street_on(server)
        await street.live(scripted([Spoil("card_number", 3, 4)]))
        assert street.deeds.tally.spoiled.accepted == ["card_number: 201"]


async def test_stopping_ends_a_life_without_end() -> None:
    async with standing_in() as server:
        street = await street_on(server)
        asyncio.get_running_loop().call_later(0.5, street.stop)
        async with asyncio.timeout(30):
            await street.live(city_life(CITY, 100.0))


async def test_the_summary_says_the_same_to_people_and_programs() -> None:
    async with standing_in() as server:
        street = await street_on(server)
        await street.live(city_life(CITY, 200.0), seconds=1.0)
        await street.deeds.journal.settle(street.api)
        ending = summary.Ending(1.0, balanced=True, verified=True)
        facts = summary.facts(street.deeds, ending)
        text = summary.as_text(street.deeds, ending)
        assert facts["missing"] == 0
        assert facts["books_balanced"] is True
        assert facts["payments"] == sum(facts["outcomes"].values()) == street.deeds.tally.payments
        assert f"{facts['payments']:,} in 1 s" in text
        assert "balanced" in text
        assert "\n" not in summary.as_json(street.deeds, ending)
