"""Sign-in by password and code: who gets in, how often anybody may guess, and what it tells a stranger (nothing)."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pyotp
import pytest
from argon2 import PasswordHasher

from tests.support.people import Drawer, hash_cheaply, link_for, somebody
from tillkeeper import access, audit, wiring
from tillkeeper.access import OpenedSession, Session, Visitor
from tillkeeper.access.entrance import Entrance, factors, throttle, totp
from tillkeeper.access.entrance.passwords import Hasher
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store
from tillkeeper.vault import CellError, Vault

PASSWORD = "correct horse battery staple"
HOME = Visitor("10.0.0.7", "Firefox")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    hash_cheaply(monkeypatch)


@pytest.fixture
async def entrance(store: Store, clock: ManualClock) -> AsyncIterator[Entrance]:
    made = Entrance(store, clock, Drawer())
    yield made
    made.close()


@pytest.fixture
async def anna(store: Store, clock: ManualClock, entrance: Entrance) -> pyotp.TOTP:
    """A person with password and authenticator; her app."""
    async with store.tx("test") as tx:
        person = await somebody(tx, "anna", clock)
        secret = await totp.begin(tx, entrance.keeper, "anna", clock)
        assert secret is not None
        app = pyotp.TOTP(secret)
        assert await factors.prove_totp(tx, entrance.keeper, "anna", app.at(clock.now()), clock, origin="")
    assert await entrance.set_password(person, PASSWORD, HOME) is None
    clock.advance(30)
    return app


async def failures(store: Store, subject: str) -> list[str]:
    async with store.tx("test") as tx:
        found = await audit.of(tx, subject, limit=100)
    return [event.reason for event in found if event.action == "session.failed" and event.result == "failed"]


async def codes_of(store: Store, clock: ManualClock, person: str) -> list[str]:
    async with store.tx("test") as tx:
        return await factors.make_recovery_codes(tx, person, clock, origin="")


async def test_password_and_code_sign_in(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    opened = await entrance.by_password(" Anna ", PASSWORD, anna.at(clock.now()), HOME)
    assert isinstance(opened, OpenedSession)
    session = opened.session
    assert (session.person, session.opened_by, session.origin) == ("anna", "password", "10.0.0.7")
    assert access.is_fresh(session, clock)
    async with store.tx("test") as tx:
        assert isinstance(await access.session(tx, opened.cookie, clock), Session)


async def test_every_failure_looks_the_same(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "only-a-passkey", clock)
        await somebody(tx, "gone", clock)
        await access.suspend(tx, "gone", clock, actor="carl")
    right = anna.at(clock.now())
    tries = [
        ("anna", "wrong", right),
        ("anna", PASSWORD, "000000"),
        ("anna", PASSWORD, ""),
        ("anna", "", right),
        ("ghost", PASSWORD, right),
        ("only-a-passkey", PASSWORD, right),
        ("gone", PASSWORD, right),
        ("", "", ""),
        ("a" * 5000, PASSWORD, "x" * 5000),
        ("ａnna", PASSWORD, right),
    ]
    answers = [await entrance.by_password(*each, HOME) for each in tries]
    assert answers == [Refusal("sign_in_failed")] * len(tries)
    assert len(await failures(store, "anna")) == 4
    assert len(await failures(store, "nobody")) == 4  # the typed name is not written: it may be a password
    assert isinstance(await entrance.by_password("anna", PASSWORD, right, HOME), OpenedSession)


async def test_no_code_counts_twice(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    code = anna.at(clock.now())
    answers = await asyncio.gather(*(entrance.by_password("anna", PASSWORD, code, HOME) for _ in range(4)))
    assert sum(isinstance(each, OpenedSession) for each in answers) == 1
    before = anna.at(clock.now() - timedelta(seconds=30))  # older than the last one taken
    assert isinstance(await entrance.by_password("anna", PASSWORD, before, HOME), Refusal)


async def test_a_phones_clock_may_be_off_by_half_a_minute(
    clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    clock.advance(600)
    for off, lets_in in ((-60, False), (60, False), (-30, True), (30, True)):
        code = anna.at(clock.now() + timedelta(seconds=off))
        answer = await entrance.by_password("anna", PASSWORD, f"{code[:3]} {code[3:]}", HOME)
        assert isinstance(answer, OpenedSession) == lets_in, off


async def test_a_recovery_code_is_good_once_and_no_fresh_factor(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    codes = await codes_of(store, clock, "anna")
    assert len(set(codes)) == limits.RECOVERY_CODES
    assert isinstance(await entrance.by_password("anna", "wrong", codes[0], HOME), Refusal)
    spoken = codes[0].upper().replace("-", " ")
    opened = await entrance.by_password("anna", PASSWORD, spoken, HOME)
    assert isinstance(opened, OpenedSession)
    assert opened.session.opened_by == "recovery"
    assert not access.is_fresh(opened.session, clock)
    assert isinstance(await entrance.by_password("anna", PASSWORD, codes[0], HOME), Refusal)
    async with store.tx("test") as tx:
        has = await factors.of(tx, "anna")
        assert has.recovery_codes == limits.RECOVERY_CODES - 1
        told = [event.action for event in await audit.of(tx, "anna")]
    assert told.count("recovery.used") == 1
    assert factors.may_enrol(opened.session, has, clock)
    clock.advance(limits.CONFIRMED_SECONDS)
    assert not factors.may_enrol(opened.session, has, clock)
    new = await codes_of(store, clock, "anna")
    assert isinstance(await entrance.by_password("anna", PASSWORD, codes[1], HOME), Refusal)
    assert isinstance(await entrance.by_password("anna", PASSWORD, new[1], HOME), OpenedSession)


async def test_a_recovery_code_alone_lets_in_who_has_no_password(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    async with store.tx("test") as tx:
        await somebody(tx, "bert", clock)
    codes = await codes_of(store, clock, "bert")
    assert isinstance(await entrance.by_password("bert", "", codes[0], HOME), OpenedSession)
    async with store.tx("test") as tx:
        await access.suspend(tx, "bert", clock, actor="carl")
    assert isinstance(await entrance.by_password("bert", "", codes[1], HOME), Refusal)
    async with store.tx("test") as tx:
        assert (await factors.of(tx, "bert")).recovery_codes == limits.RECOVERY_CODES - 1


@pytest.mark.parametrize("name", ["anna", "ghost"])
async def test_guessing_at_a_name_ends_for_known_and_unknown_alike(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP, name: str
) -> None:
    said = []
    for n in range(limits.TRIES_OF_PERSON + 2):
        answer = await entrance.by_password(name, "wrong", "", Visitor(f"10.0.1.{n}"))
        assert isinstance(answer, Refusal)
        said.append(answer.code)
    assert said == ["sign_in_failed"] * limits.TRIES_OF_PERSON + ["too_many_tries"] * 2
    for person in {name, "anna"}:
        code = anna.at(clock.now())
        answer = await entrance.by_password(person, PASSWORD, code, Visitor("10.0.2.1"))
        assert isinstance(answer, OpenedSession) == (person != name)
    clock.advance(limits.TRIES_SECONDS)
    answer = await entrance.by_password(name, PASSWORD, anna.at(clock.now()), HOME)
    assert isinstance(answer, OpenedSession) == (name == "anna")
    assert "the last try for now" in await failures(store, name if name == "anna" else "nobody")


async def test_an_address_guesses_at_many_names_only_so_often(
    clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "OF_ADDRESS", throttle.Count("address", 3, limits.TRIES_SECONDS))
    said = [await entrance.by_password(f"p{n}", "wrong", "", HOME) for n in range(3)]
    assert said == [Refusal("sign_in_failed")] * 3
    code = anna.at(clock.now())
    assert await entrance.by_password("anna", PASSWORD, code, HOME) == Refusal("too_many_tries")
    elsewhere = await entrance.by_password("anna", PASSWORD, code, Visitor("10.9.9.9"))
    assert isinstance(elsewhere, OpenedSession)


async def test_a_crowd_of_guesses_at_one_moment_does_not_pass(
    store: Store, entrance: Entrance, anna: pyotp.TOTP, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PASSWORDS_WAITING", 1000)
    answers = await asyncio.gather(
        *(entrance.by_password("anna", f"wrong {n}", "", Visitor(f"10.0.3.{n}")) for n in range(30))
    )
    said = [answer.code for answer in answers if isinstance(answer, Refusal)]
    assert said.count("sign_in_failed") == limits.TRIES_OF_PERSON
    assert said.count("too_many_tries") == 30 - limits.TRIES_OF_PERSON


async def test_more_than_can_be_hashed_are_sent_away_and_not_counted(
    entrance: Entrance, anna: pyotp.TOTP, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PASSWORDS_WAITING", 0)
    real = Hasher._check

    full, said = threading.Event(), list[str]()

    def slow(self: Hasher, kept: str | None, password: str) -> bool:
        assert full.wait(60)
        return real(self, kept, password)

    async def guess(n: int) -> None:
        answer = await entrance.by_password("anna", "wrong", "", Visitor(f"10.0.4.{n}"))
        assert isinstance(answer, Refusal)
        said.append(answer.code)
        if said.count("sign_in_busy") == 6:
            full.set()

    monkeypatch.setattr(Hasher, "_check", slow)
    await asyncio.gather(*(guess(n) for n in range(limits.PASSWORD_HASHES + 6)))
    assert said == ["sign_in_busy"] * 6 + ["sign_in_failed"] * limits.PASSWORD_HASHES
    answer = await entrance.by_password("anna", PASSWORD, anna.at(clock.now()), HOME)
    assert isinstance(answer, OpenedSession)


async def test_success_forgives_what_was_tried_before(
    clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    for _ in range(2):
        for _ in range(limits.TRIES_OF_PERSON - 1):
            await entrance.by_password("anna", "wrong", "", HOME)
        answer = await entrance.by_password("anna", PASSWORD, anna.at(clock.now()), HOME)
        assert isinstance(answer, OpenedSession)
        clock.advance(30)


async def test_a_weak_password_is_refused_with_its_reason(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    async with store.tx("test") as tx:
        person = await somebody(tx, "anna", clock)
    for password, why in (("short", "short"), ("password1234", "common"), ("x" * 201, "long")):
        assert await entrance.set_password(person, password, HOME) == Refusal("weak_password", why)
    async with store.tx("test") as tx:
        assert not (await factors.of(tx, "anna")).password


async def test_an_old_hash_is_renewed_at_sign_in(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP, admin: psycopg.AsyncConnection
) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    await admin.execute("UPDATE access.passwords SET hash = %s", (old,))
    assert isinstance(await entrance.by_password("anna", PASSWORD, anna.at(clock.now()), HOME), OpenedSession)
    cursor = await admin.execute("SELECT hash FROM access.passwords")
    (kept,) = await cursor.fetchone() or ("",)
    assert kept.startswith("$argon2id$v=19$m=8,")
    clock.advance(30)
    assert isinstance(await entrance.by_password("anna", PASSWORD, anna.at(clock.now()), HOME), OpenedSession)


async def test_a_proved_authenticator_is_not_replaced_by_a_new_one(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    async with store.tx("test") as tx:
        assert await totp.begin(tx, entrance.keeper, "anna", clock) is None
        assert await totp.unproved(tx, entrance.keeper, "anna") is None
        assert not await totp.prove(tx, entrance.keeper, "anna", anna.at(clock.now()), clock)
        await factors.remove_totp(tx, "anna", origin="")
        assert not await totp.check(tx, entrance.keeper, "anna", anna.at(clock.now()), clock)
        secret = await totp.begin(tx, entrance.keeper, "anna", clock)
        assert secret == await totp.unproved(tx, entrance.keeper, "anna") != anna.secret
        assert not await totp.check(
            tx, entrance.keeper, "anna", pyotp.TOTP(str(secret)).at(clock.now()), clock
        )


async def test_the_secrets_are_nowhere_in_the_clear(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP, admin: psycopg.AsyncConnection
) -> None:
    codes = await codes_of(store, clock, "anna")
    await entrance.by_password("anna", PASSWORD, codes[0], HOME)
    kept = ""
    for table in ("access.passwords", "access.totp", "access.recovery_codes", "access.tries", "audit.events"):
        cursor = await admin.execute(f"SELECT string_agg(to_jsonb(t)::text, ' ') FROM {table} t".encode())
        kept += (await cursor.fetchone() or ("",))[0]
    assert "anna" in kept
    for secret in (PASSWORD, anna.secret, *codes, codes[0].replace("-", "")):
        assert secret not in kept
        assert secret.encode().hex() not in kept


async def test_the_vault_keeps_the_secrets_of_authenticators(
    store: Store, clock: ManualClock, vault: Vault, admin: psycopg.AsyncConnection
) -> None:
    keeper = wiring._Keeper(vault)
    async with store.tx("test") as tx:
        await somebody(tx, "anna", clock)
        secret = await totp.begin(tx, keeper, "anna", clock)
        assert secret is not None
        app = pyotp.TOTP(secret)
        assert await factors.prove_totp(tx, keeper, "anna", app.at(clock.now()), clock, origin="")
    cursor = await admin.execute("SELECT secret FROM access.totp")
    (cell,) = await cursor.fetchone() or (b"",)
    assert secret.encode() not in bytes(cell)
    assert await keeper.open("anna", bytes(cell)) == secret
    with pytest.raises(CellError):
        await keeper.open("bert", bytes(cell))  # of another's row it does not open


async def test_confirming_by_code_is_counted_like_any_guess(
    store: Store, clock: ManualClock, entrance: Entrance, anna: pyotp.TOTP
) -> None:
    async with store.tx("test") as tx:
        opened = await access.open_session(tx, await link_for(tx, "anna", clock), clock)
    assert isinstance(opened, OpenedSession)
    clock.advance(limits.CONFIRMED_SECONDS)
    assert await entrance.confirm_by_code(opened.session, "000000", HOME) == Refusal("sign_in_failed")
    assert await entrance.confirm_by_code(opened.session, anna.at(clock.now()), HOME) is None
    async with store.tx("test") as tx:
        found = await access.session(tx, opened.cookie, clock)
    assert isinstance(found, Session)
    assert access.is_fresh(found, clock)
    said = [await entrance.confirm_by_code(found, "000000", HOME) for _ in range(limits.TRIES_OF_PERSON + 1)]
    assert said[-1] == Refusal("too_many_tries")
    first = ["confirm"] * limits.TRIES_OF_PERSON
    assert await failures(store, "anna") == ["confirm", "the last try for now", *first]


async def test_links_that_fail_are_written_down_only_so_often(
    store: Store, clock: ManualClock, entrance: Entrance
) -> None:
    for _ in range(limits.TRIES_OF_ADDRESS + 5):
        assert await entrance.by_link("guess", HOME) == Refusal("link_used", "ask for a new link")
    assert await failures(store, "nobody") == ["link"] * limits.TRIES_OF_ADDRESS
    async with store.tx("test") as tx:
        link = await link_for(tx, "anna", clock)
    assert isinstance(
        await entrance.by_link(link, HOME), OpenedSession
    )  # nobody can guess it: no door is shut


async def test_housekeeping_forgets_tries_and_ceremonies(
    store: Store, clock: ManualClock, entrance: Entrance, admin: psycopg.AsyncConnection
) -> None:
    await entrance.by_password("ghost", "wrong", "", HOME)
    clock.advance(limits.TRIES_SECONDS)
    await entrance.by_password("other", "wrong", "", Visitor("10.0.0.8"))
    async with store.tx("test") as tx:
        await access.forget_dead(tx, clock)
    cursor = await admin.execute("SELECT count(*) FROM access.tries")
    assert await cursor.fetchone() == (2,)
