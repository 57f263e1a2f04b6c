"""Sign-in at an identity provider on this machine: who is let in, and every way to be lied to."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.support.identity_provider import CLIENT, SECRET, IdentityProvider, new_key, provider
from tests.support.people import Drawer, link_for, somebody
from tillkeeper import access, audit
from tillkeeper.access import OpenedSession, Visitor
from tillkeeper.access.entrance import Entrance, Provider, factors
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store

BACK = "https://console.till.test/sign-in/provider"
HOME = Visitor("10.0.0.7", "Firefox")
CLOCK = SystemClock()
ANNA = "anna@till.test"


@pytest.fixture
async def company() -> AsyncIterator[IdentityProvider]:
    async with provider() as running:
        running.who = {"sub": "u-1", "email": "Anna@till.test", "email_verified": True}
        yield running


@pytest.fixture
async def entrance(store: Store, company: IdentityProvider) -> AsyncIterator[Entrance]:
    made = Entrance(store, CLOCK, Drawer(), Provider(company.issuer, CLIENT, SECRET, CLOCK))
    async with store.tx("test") as tx:
        for person in (ANNA, "bert@till.test"):
            await somebody(tx, person, CLOCK, ["support"])
    yield made
    made.close()


async def left(entrance: Entrance, person: str | None = None) -> tuple[str, str]:
    sent = await entrance.ask_provider(BACK, "/held", HOME, person)
    assert not isinstance(sent, Refusal)
    return sent


async def visited(url: str) -> dict[str, str]:
    """What the browser brings back."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(url)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(BACK)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def signed_in(
    entrance: Entrance, person: str | None = None, **changed: str
) -> tuple[OpenedSession, str] | Refusal:
    url, token = await left(entrance, person)
    return await entrance.by_provider(token, await visited(url) | changed, HOME)


def person_of(answer: tuple[OpenedSession, str] | Refusal) -> str | None:
    return None if isinstance(answer, Refusal) else answer[0].session.person


async def test_a_verified_address_is_bound_once_then_the_subject_counts(
    store: Store, entrance: Entrance, company: IdentityProvider
) -> None:
    answer = await signed_in(entrance)
    assert not isinstance(answer, Refusal)
    opened, path = answer
    assert (opened.session.person, opened.session.opened_by, path) == (ANNA, "provider", "/held")
    assert opened.session.roles == {"support"}
    assert not access.is_fresh(opened.session, CLOCK)  # our own second factor is still asked for
    company.who = {
        "sub": "u-1",
        "email": "bert@till.test",
        "email_verified": True,
    }  # renamed there: still Anna here
    assert person_of(await signed_in(entrance)) == ANNA
    company.who = {
        "sub": "u-2",
        "email": ANNA,
        "email_verified": True,
    }  # another who took over her address: nobody
    assert await signed_in(entrance) == Refusal("sign_in_failed")
    async with store.tx("test") as tx:
        assert (await factors.of(tx, ANNA)).providers == (company.issuer,)
        told = [(each.action, each.reason) for each in await audit.of(tx, ANNA)]
    assert told.count(("factor.added", "provider")) == 1


async def test_nobody_becomes_a_person_by_signing_in(
    store: Store, entrance: Entrance, company: IdentityProvider
) -> None:
    strangers: list[dict[str, Any]] = [
        {"sub": "u-9", "email": "stranger@till.test", "email_verified": True},
        {"sub": "u-9", "email": ANNA, "email_verified": False},
        {"sub": "u-9", "email": ANNA, "email_verified": "true"},
        {"sub": "u-9", "email": ANNA},
        {"sub": "u-9"},
        {"sub": "u-9", "preferred_username": ANNA, "roles": ["system_admin"]},
    ]
    for who in strangers:
        company.who = who
        assert await signed_in(entrance) == Refusal("sign_in_failed"), who
    async with store.tx("test") as tx:
        assert len(await access.people(tx)) == 2
        told = [each.action for each in await audit.of(tx, "nobody")]
    assert told == ["session.failed"] * len(strangers)


async def test_no_role_comes_from_outside(entrance: Entrance, company: IdentityProvider) -> None:
    company.who |= {"roles": ["system_admin"], "groups": ["system_admin"]}
    answer = await signed_in(entrance)
    assert not isinstance(answer, Refusal)
    assert answer[0].session.roles == {"support"}


async def test_who_is_signed_in_can_connect_an_account_there(
    store: Store, entrance: Entrance, company: IdentityProvider
) -> None:
    company.who = {"sub": "u-7"}
    assert person_of(await signed_in(entrance, "bert@till.test")) == "bert@till.test"
    assert person_of(await signed_in(entrance)) == "bert@till.test"
    assert await signed_in(entrance, ANNA) == Refusal("sign_in_failed")  # it is bert's
    async with store.tx("test") as tx:
        await factors.remove_identity(tx, "bert@till.test", company.issuer, origin="")
    assert await signed_in(entrance) == Refusal("sign_in_failed")


async def test_who_is_suspended_stays_out(store: Store, entrance: Entrance) -> None:
    assert person_of(await signed_in(entrance)) == ANNA
    async with store.tx("test") as tx:
        await access.suspend(tx, ANNA, CLOCK, actor="carl")
    assert await signed_in(entrance) == Refusal("sign_in_failed")


async def test_a_return_that_is_not_ours_is_refused(entrance: Entrance) -> None:
    for changed in ({"state": "x"}, {"state": ""}, {"code": "x"}, {"code": ""}, {"iss": "https://evil.test"}):
        assert await signed_in(entrance, **changed) == Refusal("provider_failed"), changed


async def test_a_return_counts_once_in_the_browser_that_left_and_in_time(
    store: Store, entrance: Entrance
) -> None:
    url, token = await left(entrance)
    given = await visited(url)
    _, other = await left(entrance)
    assert await entrance.by_provider(other, given, HOME) == Refusal("provider_failed")
    assert await entrance.by_provider("made up", given, HOME) == Refusal("provider_failed")
    assert person_of(await entrance.by_provider(token, given, HOME)) == ANNA
    assert await entrance.by_provider(token, given, HOME) == Refusal("provider_failed")
    refused, token = await left(entrance)
    assert refused
    error = {"error": "access_denied", "state": "x"}
    assert await entrance.by_provider(token, error, HOME) == Refusal("provider_failed")


LIES: list[dict[str, Any]] = [
    {"iss": "https://evil.test"},
    {"aud": "another"},
    {"aud": [CLIENT, "another"]},
    {"nonce": "old"},
    {"nonce": None},
    {"exp": 1},
    {"exp": None},
    {"iat": None},
    {"sub": None},
    {"sub": ""},
]


async def test_a_token_for_somebody_or_something_else_is_refused(
    entrance: Entrance, company: IdentityProvider
) -> None:
    for lie in LIES:
        company.lie = lie
        assert await signed_in(entrance) == Refusal("provider_failed"), lie
    company.lie = {"aud": [CLIENT]}
    assert person_of(await signed_in(entrance)) == ANNA
    company.lie = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert person_of(await signed_in(entrance)) == ANNA


async def test_a_token_signed_by_somebody_else_is_refused(
    entrance: Entrance, company: IdentityProvider
) -> None:
    honest = company.key
    assert person_of(await signed_in(entrance)) == ANNA
    company.shown = [honest]
    company.key = new_key("k1")  # the same name, another key
    assert await signed_in(entrance) == Refusal("provider_failed")
    company.key, company.shown = honest, []
    assert person_of(await signed_in(entrance)) == ANNA


async def test_tokens_that_nobody_signed_are_refused(
    entrance: Entrance, company: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, signed = company.key.as_pem(private=False), jwt.encode

    def with_the_public_key_as_a_password(header: Any, claims: Any, *_: Any, **__: Any) -> str:
        return signed({"alg": "HS256", "kid": header["kid"]}, claims, OctKey.import_key(public), ["HS256"])

    def with_nothing(header: Any, claims: Any, *_: Any, **__: Any) -> str:
        return signed({"alg": "none"}, claims, OctKey.import_key(b"x" * 32), ["none"])

    for made in (with_the_public_key_as_a_password, with_nothing):
        monkeypatch.setattr(jwt, "encode", made)
        assert await signed_in(entrance) == Refusal("provider_failed")
        monkeypatch.undo()
    assert person_of(await signed_in(entrance)) == ANNA


async def test_new_keys_are_fetched_when_they_are_met(entrance: Entrance, company: IdentityProvider) -> None:
    assert person_of(await signed_in(entrance)) == ANNA
    fetched = company.asked.count("/keys")
    assert person_of(await signed_in(entrance)) == ANNA
    assert company.asked.count("/keys") == fetched == 1  # known ones are remembered
    company.key = new_key("k2")
    assert person_of(await signed_in(entrance)) == ANNA
    assert company.asked.count("/keys") == 2


async def test_a_provider_that_publishes_nonsense_is_not_used(
    entrance: Entrance, company: IdentityProvider
) -> None:
    nonsense: list[dict[str, Any]] = [
        {"issuer": "https://evil.test"},
        {"token_endpoint": "http://idp.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"jwks_uri": None},
    ]
    for published in nonsense:
        company.published = published
        assert await entrance.ask_provider(BACK, "/", HOME) == Refusal("provider_failed"), published


async def test_a_provider_that_is_away_is_a_refusal(
    store: Store, entrance: Entrance, company: IdentityProvider
) -> None:
    company.broken = True
    assert await entrance.ask_provider(BACK, "/", HOME) == Refusal("provider_failed")
    company.broken = False
    url, token = await left(entrance)
    given = await visited(url)
    company.broken = True
    assert await entrance.by_provider(token, given, HOME) == Refusal("provider_failed")
    away = Entrance(store, CLOCK, Drawer(), Provider("http://127.0.0.1:9", CLIENT, SECRET, CLOCK))
    assert await away.ask_provider(BACK, "/", HOME) == Refusal("provider_failed")
    away.close()


async def test_soon_after_such_a_sign_in_a_first_factor_may_be_enrolled_but_no_second(
    store: Store, entrance: Entrance
) -> None:
    answer = await signed_in(entrance)
    assert not isinstance(answer, Refusal)
    session = answer[0].session
    assert factors.may_enrol(session, factors.Factors(), CLOCK)
    assert not factors.may_enrol(session, factors.Factors(passkeys=1), CLOCK)
    assert not factors.may_enrol(session, factors.Factors(authenticator=True), CLOCK)
    async with store.tx("test") as tx:
        fresh = await access.open_session(tx, await link_for(tx, ANNA, CLOCK), CLOCK)
    assert isinstance(fresh, OpenedSession)
    assert factors.may_enrol(fresh.session, factors.Factors(passkeys=1), CLOCK)
    assert limits.CONFIRMED_SECONDS == 300
