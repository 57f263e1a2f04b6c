"""API keys, sign-in links and sessions in the database."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.people import link_for
from tillkeeper import access, audit
from tillkeeper.access import KeyRing, OpenedSession, Session, Visitor
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.store import Store

HERE = "203.0.113.9"


async def make_key(store: Store, clock: ManualClock, **given: object) -> tuple[access.KeyInfo, str]:
    wanted = {"principal": None, "name": "shop", "scopes": ["payments:write"], "expires_at": None} | given
    async with store.tx("test") as tx:
        return await access.create_key(tx, **wanted, clock=clock)  # type: ignore[arg-type]


async def revoke(store: Store, clock: ManualClock, key: UUID) -> None:
    async with store.tx("test") as tx:
        await access.revoke_key(tx, key, clock)


async def open_one(store: Store, clock: ManualClock) -> OpenedSession:
    async with store.tx("test") as tx:
        opened = await access.open_session(tx, await link_for(tx, "wang", clock), clock)
    assert isinstance(opened, OpenedSession)
    return opened


async def test_a_new_key_opens_the_door_with_its_scopes(store: Store, clock: ManualClock) -> None:
    principal = uuid4()
    key, text = await make_key(store, clock, principal=principal, scopes=["risk:read", "payments:write"])
    answer = await KeyRing(store, clock).authenticate(f"Bearer {text}", HERE)
    assert answer == access.service(principal, key.id, "shop", frozenset({"risk:read", "payments:write"}))


async def test_the_secret_is_nowhere_in_the_database(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    _, text = await make_key(store, clock)
    secret = text.rsplit("_")[-1]
    cursor = await admin.execute(
        "SELECT to_jsonb(k)::text || to_jsonb(e)::text FROM access.api_keys k, audit.events e"
    )
    rows = await cursor.fetchall()
    assert rows
    assert all(secret not in row[0] and secret.encode().hex() not in row[0] for row in rows)


async def test_a_renewed_key_and_the_old_one_overlap(store: Store, clock: ManualClock) -> None:
    day = timedelta(days=1)
    old, text = await make_key(
        store, clock, expires_at=clock.now() + 90 * day, networks=["203.0.113.9", "10.0.0.0/8"]
    )
    clock.advance(10 * day.total_seconds())
    async with store.tx("test") as tx:
        new, new_text, until = await access.renew_key(tx, old.id, day, clock, actor="wang")
    assert until == clock.now() + day
    assert (new.principal, new.scopes, new.networks) == (
        old.principal,
        old.scopes,
        ("10.0.0.0/8", "203.0.113.9/32"),
    )
    assert (new.expires_at, new.renews) == (clock.now() + 90 * day, old.id)

    async def who(key: str, address: str = HERE) -> UUID | str:
        found = await KeyRing(store, clock).authenticate(f"Bearer {key}", address)
        return found.code if isinstance(found, Refusal) else found.id

    assert [await who(text), await who(new_text)] == [old.principal] * 2
    assert await who(new_text, "203.0.113.10") == "address_refused"
    clock.advance(day.total_seconds() - 1)
    assert await who(text) == old.principal
    clock.advance(1)
    assert [await who(text), await who(new_text)] == ["key_expired", old.principal]
    async with store.tx("test") as tx:
        used = {key.id: key.used_at for key in await access.list_keys(tx)}
        assert used[new.id] == clock.now()
        (event,) = await audit.of(tx, to_typeid("key", new.id))
        with pytest.raises(Refused, match="not_found"):
            await access.renew_key(tx, old.id, day, clock)
        with pytest.raises(Refused, match="up to 30 days"):
            await access.renew_key(tx, new.id, timedelta(days=31), clock)
    assert (event.actor, event.action) == ("wang", "key.renewed")


async def test_keys_are_listed_newest_first_and_revoked_once(store: Store, clock: ManualClock) -> None:
    first, text = await make_key(store, clock, name="first")
    second, _ = await make_key(store, clock, name="second", expires_at=clock.now() + timedelta(days=1))
    async with store.tx("test") as tx:
        assert await access.list_keys(tx) == [second, first]
        await access.revoke_key(tx, first.id, clock, actor="wang", reason="lost")
    for key in (first.id, uuid4()):
        with pytest.raises(Refused, match="not_found"):
            await revoke(store, clock, key)
    async with store.tx("test") as tx:
        listed = await access.list_keys(tx)
        events = await audit.of(tx, to_typeid("key", first.id))
    assert [key.revoked_at for key in listed] == [None, clock.now()]
    assert [(event.actor, event.action) for event in events] == [
        ("wang", "key.revoked"),
        ("system", "key.created"),
    ]
    answer = await KeyRing(store, clock).authenticate(f"Bearer {text}", HERE)
    assert isinstance(answer, Refusal)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["payments:write", "payments:all"]}, "scopes"),
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"networks": ["everywhere"]}, "networks"),
        ({"networks": [f"10.0.0.{n}" for n in range(limits.KEY_NETWORKS + 1)]}, "networks"),
        ({"name": " "}, "name"),
        ({"name": "x" * (limits.MAX_TEXT + 1)}, "name"),
        ({"expires_at": ManualClock}, "expires_at"),
    ],
)
async def test_a_senseless_key_is_refused(
    store: Store, clock: ManualClock, given: dict[str, object], field: str
) -> None:
    if "expires_at" in given:
        given = {"expires_at": clock.now()}
    with pytest.raises(Refused) as refused:
        await make_key(store, clock, **given)
    assert (refused.value.refusal.code, refused.value.refusal.field) == ("invalid_value", field)


async def test_a_link_signs_in_once(store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        token = await link_for(tx, "wang", clock)

    async def use() -> OpenedSession | Refusal:
        async with store.tx("test") as tx:
            return await access.open_session(tx, token, clock, Visitor("10.0.0.7", "Firefox"))

    answers = await asyncio.gather(*(use() for _ in range(5)))
    opened = [answer for answer in answers if isinstance(answer, OpenedSession)]
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert len(opened) == 1
    assert {refusal.code for refusal in refused} == {"link_used"}
    assert opened[0].session.person == "wang"


async def test_a_link_lasts_a_quarter_of_an_hour(store: Store, clock: ManualClock) -> None:
    async with store.tx("test") as tx:
        late, in_time = [await link_for(tx, "wang", clock) for _ in range(2)]
    clock.advance(limits.SIGN_IN_SECONDS - 1)
    async with store.tx("test") as tx:
        assert isinstance(await access.open_session(tx, in_time, clock), OpenedSession)
    clock.advance(1)
    async with store.tx("test") as tx:
        assert isinstance(await access.open_session(tx, late, clock), Refusal)
        assert isinstance(await access.open_session(tx, "guess", clock), Refusal)


async def test_a_session_lives_while_it_is_used_but_not_for_ever(store: Store, clock: ManualClock) -> None:
    opened = await open_one(store, clock)
    end = clock.now() + timedelta(seconds=limits.SESSION_SECONDS)
    while clock.now() + timedelta(seconds=limits.SESSION_IDLE_SECONDS - 1) < end:
        clock.advance(limits.SESSION_IDLE_SECONDS - 1)
        async with store.tx("test") as tx:
            found = await access.session(tx, opened.cookie, clock)
        assert isinstance(found, Session)
        assert (found.id, found.csrf) == (opened.session.id, opened.session.csrf)
    clock.advance((end - clock.now()).total_seconds())
    async with store.tx("test") as tx:
        assert isinstance(await access.session(tx, opened.cookie, clock), Refusal)


async def test_an_idle_session_ends(store: Store, clock: ManualClock) -> None:
    opened = await open_one(store, clock)
    clock.advance(limits.SESSION_IDLE_SECONDS)
    async with store.tx("test") as tx:
        answer = await access.session(tx, opened.cookie, clock)
        assert await access.list_sessions(tx, clock) == []
    assert isinstance(answer, Refusal)
    assert answer.code == "session_ended"


async def test_one_session_is_ended_and_the_other_stays(store: Store, clock: ManualClock) -> None:
    one, other = await open_one(store, clock), await open_one(store, clock)
    assert one.session.csrf != other.session.csrf
    async with store.tx("test") as tx:
        assert await access.end_session(tx, one.session.id, clock, actor="wang") is True
        assert await access.end_session(tx, one.session.id, clock, actor="wang") is False
    async with store.tx("test") as tx:
        assert isinstance(await access.session(tx, one.cookie, clock), Refusal)
        assert isinstance(await access.session(tx, other.session.id, clock), Refusal)  # the id opens nothing
        assert await access.list_sessions(tx, clock) == [other.session]


async def test_what_is_dead_is_forgotten_and_nothing_else(
    store: Store, clock: ManualClock, admin: psycopg.AsyncConnection
) -> None:
    await open_one(store, clock)
    clock.advance(limits.SESSION_IDLE_SECONDS)
    alive = await open_one(store, clock)
    async with store.tx("test") as tx:
        await access.forget_dead(tx, clock)
    async with store.tx("test") as tx:
        assert isinstance(await access.session(tx, alive.cookie, clock), Session)
    cursor = await admin.execute(
        "SELECT (SELECT count(*) FROM access.sessions), (SELECT count(*) FROM access.sign_ins)"
    )
    assert await cursor.fetchone() == (1, 1)
