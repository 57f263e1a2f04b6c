"""Passkeys against an authenticator in software: what is taken, and every answer that is not."""

import json
import random
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from webauthn import base64url_to_bytes

from tests.support.authenticator import Authenticator
from tests.support.people import Drawer, link_for, somebody
from tillkeeper import access, audit
from tillkeeper.access import OpenedSession, Session, Visitor
from tillkeeper.access.entrance import Entrance, Question, Site, factors, passkeys
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store

SITE = Site("https://console.till.test:8443", "console.till.test")
HOME = Visitor("10.0.0.7", "Firefox")


@pytest.fixture
async def entrance(store: Store, clock: ManualClock) -> AsyncIterator[Entrance]:
    made = Entrance(store, clock, Drawer())
    yield made
    made.close()


async def ask_to_enrol(store: Store, clock: ManualClock, person: str) -> Question:
    async with store.tx("test") as tx:
        question = await passkeys.ask_to_enrol(tx, await somebody(tx, person, clock), SITE, clock)
    assert isinstance(question, Question)
    return question


async def take(
    store: Store, clock: ManualClock, person: str, question: Question, answer: str
) -> Refusal | None:
    async with store.tx("test") as tx:
        return await passkeys.enrol(
            tx, person, question.token, answer, "phone", SITE, clock, origin="10.0.0.7"
        )


async def enrolled(store: Store, clock: ManualClock, person: str, **more: Any) -> Authenticator:
    device = Authenticator(SITE.origin, **more)
    question = await ask_to_enrol(store, clock, person)
    assert await take(store, clock, person, question, device.enrol(question.options)) is None
    return device


async def asked(entrance: Entrance) -> Question:
    question = await entrance.ask_passkey(SITE, HOME)
    assert isinstance(question, Question)
    return question


async def signed_in(entrance: Entrance, device: Authenticator, **wrong: Any) -> OpenedSession | Refusal:
    question = await asked(entrance)
    return await entrance.by_passkey(question.token, device.answer(question.options, **wrong), SITE, HOME)


async def test_a_passkey_signs_in_without_a_name(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    device = await enrolled(store, clock, "anna", uses=0)
    await enrolled(store, clock, "bert")
    for _ in range(3):
        opened = await signed_in(entrance, device)
        assert isinstance(opened, OpenedSession)
        assert (opened.session.person, opened.session.opened_by) == ("anna", "passkey")
        assert access.is_fresh(opened.session, clock)
    async with store.tx("test") as tx:
        (mine,) = await passkeys.list_passkeys(tx, "anna")
        assert (mine.name, mine.used_at) == ("phone", clock.now())
        assert (await factors.of(tx, "anna")).second
        told = [(each.action, each.reason) for each in await audit.of(tx, "anna")]
    assert told.count(("session.opened", "passkey")) == 3
    assert ("factor.added", "passkey") in told


async def test_an_authenticator_that_does_not_count_is_never_refused(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    for began in (None, 7):  # one that never counted, and one that was moved to a cloud and stopped
        device = await enrolled(store, clock, f"anna{began or 0}", uses=began)
        device.uses = None
        for _ in range(2):
            assert isinstance(await signed_in(entrance, device), OpenedSession)


async def test_a_count_that_goes_back_is_a_copy(store: Store, clock: ManualClock, entrance: Entrance) -> None:
    device = await enrolled(store, clock, "anna", uses=0)
    assert isinstance(await signed_in(entrance, device), OpenedSession)
    device.uses = 0
    assert await signed_in(entrance, device) == Refusal("sign_in_failed")
    async with store.tx("test") as tx:
        assert "passkey.copied" in [each.action for each in await audit.of(tx, "anna")]
    device.uses = 5
    assert isinstance(await signed_in(entrance, device), OpenedSession)


WRONG: list[dict[str, Any]] = [
    {"host": "evil.test"},
    {"client": {"origin": "https://evil.test"}},
    {"client": {"origin": "https://console.till.test"}},
    {"client": {"type": "webauthn.create"}},
    {"client": {"challenge": "AAAA"}},
    {"signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"},
    {"signature": b""},
    {"user": "AAAA"},
]


async def test_an_answer_to_another_question_is_refused(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    device = await enrolled(store, clock, "anna")
    for wrong in WRONG:
        assert await signed_in(entrance, device, **wrong) == Refusal("sign_in_failed"), wrong
    assert isinstance(await signed_in(entrance, device), OpenedSession)


async def test_a_device_that_did_not_check_the_person_is_refused(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    question = await ask_to_enrol(store, clock, "anna")
    careless = Authenticator(SITE.origin, verifies=False)
    assert await take(store, clock, "anna", question, careless.enrol(question.options)) == Refusal(
        "passkey_refused"
    )
    device = await enrolled(store, clock, "anna")
    device.verifies = False
    assert await signed_in(entrance, device) == Refusal("sign_in_failed")


async def test_a_question_is_answered_once_in_time_and_by_who_was_asked(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    device = await enrolled(store, clock, "anna")
    question = await asked(entrance)
    answer = device.answer(question.options)
    assert isinstance(await entrance.by_passkey(question.token, answer, SITE, HOME), OpenedSession)
    assert isinstance(await entrance.by_passkey(question.token, answer, SITE, HOME), Refusal)
    other = await asked(entrance)
    assert isinstance(await entrance.by_passkey(other.token, answer, SITE, HOME), Refusal)
    late = await asked(entrance)
    clock.advance(limits.CEREMONY_SECONDS)
    assert isinstance(await entrance.by_passkey(late.token, device.answer(late.options), SITE, HOME), Refusal)
    enrol = await ask_to_enrol(store, clock, "anna")
    new = Authenticator(SITE.origin)
    for person in ("bert", "anna"):  # bert answers what anna was asked; then it is used up for her too
        async with store.tx("test") as tx:
            await somebody(tx, "bert", clock)
        refused = await take(store, clock, person, enrol, new.enrol(enrol.options))
        assert isinstance(refused, Refusal)
    sign_in = await asked(entrance)  # a question of one kind is no question of the other
    assert isinstance(await take(store, clock, "anna", sign_in, new.enrol(enrol.options)), Refusal)


async def test_one_passkey_is_one_persons(store: Store, clock: ManualClock) -> None:
    device = await enrolled(store, clock, "anna")
    question = await ask_to_enrol(store, clock, "bert")
    refused = await take(store, clock, "bert", question, device.enrol(question.options))
    assert refused == Refusal("passkey_refused")
    again = await ask_to_enrol(store, clock, "anna")
    (held,) = json.loads(again.options)["excludeCredentials"]
    assert base64url_to_bytes(held["id"]) == device.id


async def test_passkeys_have_an_end_and_can_be_removed(
    store: Store, clock: ManualClock, entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PASSKEYS", 1)
    device = await enrolled(store, clock, "anna")
    async with store.tx("test") as tx:
        person = await somebody(tx, "anna", clock)
        refused = await passkeys.ask_to_enrol(tx, person, SITE, clock)
        assert isinstance(refused, Refusal)
        assert refused.code == "too_many_passkeys"
        assert not await passkeys.remove(tx, "bert", device.id, origin="")
        assert await passkeys.remove(tx, "anna", device.id, origin="")
        assert not await passkeys.remove(tx, "anna", device.id, origin="")
        assert "factor.removed" in [each.action for each in await audit.of(tx, "anna")]
    assert isinstance(await signed_in(entrance, device), Refusal)


async def test_who_is_suspended_has_no_passkey(store: Store, clock: ManualClock, entrance: Entrance) -> None:
    device = await enrolled(store, clock, "anna")
    async with store.tx("test") as tx:
        await access.suspend(tx, "anna", clock, actor="carl")
    assert await signed_in(entrance, device) == Refusal("sign_in_failed")


async def test_confirming_takes_ones_own_passkey(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    mine, other = await enrolled(store, clock, "anna"), await enrolled(store, clock, "bert")
    async with store.tx("test") as tx:
        opened = await access.open_session(tx, await link_for(tx, "anna", clock), clock)
    assert isinstance(opened, OpenedSession)
    session = opened.session
    clock.advance(limits.CONFIRMED_SECONDS)

    async def confirm(device: Authenticator, person: str | None) -> Refusal | None:
        async with store.tx("test") as tx:
            question = await passkeys.ask(tx, SITE, clock, person=person)
        assert isinstance(question, Question)
        answer = device.answer(question.options)
        return await entrance.confirm_by_passkey(session, question.token, answer, SITE, HOME)

    assert await confirm(other, "anna") == Refusal("sign_in_failed")
    assert await confirm(mine, None) == Refusal("sign_in_failed")  # a question that was put to somebody else
    assert await confirm(mine, "anna") is None
    async with store.tx("test") as tx:
        found = await access.session(tx, opened.cookie, clock)
    assert isinstance(found, Session)
    assert access.is_fresh(found, clock)


async def test_questions_without_answers_are_bounded_by_address(
    clock: ManualClock, store: Store, entrance: Entrance
) -> None:
    device = await enrolled(store, clock, "anna")
    for _ in range(limits.CEREMONIES_OF_ADDRESS + 10):
        assert isinstance(await signed_in(entrance, device), OpenedSession)  # answered ones do not count
    for _ in range(limits.CEREMONIES_OF_ADDRESS):
        await asked(entrance)
    assert await entrance.ask_passkey(SITE, HOME) == Refusal("too_many_tries")
    assert isinstance(await entrance.ask_passkey(SITE, Visitor("10.0.0.8")), Question)
    clock.advance(limits.CEREMONY_SECONDS)
    assert isinstance(await signed_in(entrance, device), OpenedSession)


@pytest.mark.parametrize(
    ("host", "takes"),
    [("localhost", True), ("console.example", True), ("127.0.0.1", False), ("::1", False)],
)
def test_passkeys_need_a_name(host: str, takes: bool) -> None:  # noqa: FBT001 - a table
    assert Site(f"http://{host}", host).takes_passkeys is takes


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["AAAA", "public-key", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "rawId", "type", "response", "clientDataJSON", "signature",
                                       "authenticatorData", "attestationObject", "userHandle"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(junk=_JUNK)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_made_up_answers_are_refusals_and_no_faults(
    store: Store, clock: ManualClock, entrance: Entrance, junk: Any
) -> None:
    answer = json.dumps(junk)
    question = await asked(entrance)
    assert await entrance.by_passkey(question.token, answer, SITE, HOME) == Refusal("sign_in_failed")
    enrol = await ask_to_enrol(store, clock, "anna")
    assert isinstance(await take(store, clock, "anna", enrol, answer), Refusal)


async def test_answers_with_one_byte_changed_are_refusals_and_no_faults(
    store: Store, clock: ManualClock, entrance: Entrance, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PASSKEYS", 100)
    dice = random.Random(seed)
    device = await enrolled(store, clock, "anna")

    def spoilt(answer: str, field: str) -> str:
        told = json.loads(answer)
        data = bytearray(base64url_to_bytes(told["response"][field]))
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        told["response"][field] = urlsafe_b64encode(bytes(data)).decode().rstrip("=")
        return json.dumps(told)

    for field in ("clientDataJSON", "authenticatorData", "signature") * 20:
        question = await asked(entrance)
        answer = spoilt(device.answer(question.options), field)
        assert isinstance(await entrance.by_passkey(question.token, answer, SITE, HOME), Refusal), field
    for _ in range(60):
        enrol = await ask_to_enrol(store, clock, "anna")
        answer = spoilt(Authenticator(SITE.origin).enrol(enrol.options), "attestationObject")
        await take(
            store, clock, "anna", enrol, answer
        )  # some bits of it nobody vouches for: taken or refused
