"""Which passwords may be, and that hashing is bounded and away from the event loop."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tillkeeper.access.entrance import passwords
from tillkeeper.access.entrance.passwords import NOBODYS, Hasher, weakness
from tillkeeper.base import limits
from tillkeeper.base.results import Refused


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hasher]:
    # Where others work too, what stands back for them would take minutes.
    monkeypatch.setattr(passwords, "_stand_back", lambda: None)
    made = Hasher()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "short"),
        ("elevenchars", "short"),
        ("x" * (limits.PASSWORD_MOST + 1), "long"),
        ("aaaaaaaaaaaaaaaa", "common"),
        ("abcabcabcabcabc", "common"),
        ("123456789012", "common"),
        ("0987654321098", "common"),
        ("qwertyuiop123", "common"),
        ("abcdefghijklmnop", "common"),
        ("password1234", "common"),
        ("P@ssw0rd1234!", "common"),
        ("Tillkeeper2026!", "common"),
        ("woaini520woaini", "common"),
        ("anna.schmidt-1987", "common"),
        ("Schmidt!Anna!12", "common"),
        ("letmein-welcome-2026", "common"),
    ],
)
def test_what_everybody_would_guess_is_refused(password: str, why: str) -> None:
    assert weakness(password, "anna", "Anna Schmidt") == why


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "grüne Gurken im Glas",
        "tV7#qLm2zX9p",
        "mein-Hund-heisst-Bello",
        "我的猫咪喜欢吃小黄鱼和牛奶",
        "Summer rain over Lisbon",
    ],
)
def test_what_takes_guessing_is_taken(password: str) -> None:
    assert weakness(password, "anna", "Anna Schmidt") is None


def test_a_short_name_forbids_no_letters() -> None:
    assert weakness("correct horse battery staple", "b", "Bo Li") is None


async def test_the_right_password_and_no_other(hasher: Hasher) -> None:
    kept = await hasher.hash("correct horse battery staple")
    assert kept.startswith("$argon2id$")
    assert await hasher.check(kept, "correct horse battery staple")
    assert not await hasher.check(kept, "correct horse battery stable")
    assert not await hasher.check(None, "nobody has this password")
    assert not await hasher.check("no hash at all", "correct horse battery staple")
    assert kept != await hasher.hash("correct horse battery staple")
    assert not hasher.is_old(kept)
    assert hasher.is_old("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")


async def test_one_character_is_one_however_it_was_typed(hasher: Hasher) -> None:
    kept = await hasher.hash("Caf\u00e9 au lait, merci")
    assert await hasher.check(kept, "Cafe\u0301 au lait, merci")


async def test_nobodys_password_costs_the_same_time(hasher: Hasher) -> None:
    kept = await hasher.hash("correct horse battery staple")

    async def seconds(of: str | None) -> float:
        began = time.process_time()  # of the processor: whoever else works here does not count
        await hasher.check(of, "wrong")
        return time.process_time() - began

    assert not hasher.is_old(NOBODYS)
    # Turn by turn, and the least of many: what else slows a processor down comes and goes.
    both = [(await seconds(kept), await seconds(None)) for _ in range(10)]
    known, unknown = map(min, zip(*both, strict=True))
    assert 0.5 < known / unknown < 2


async def test_hashing_leaves_the_event_loop_free(hasher: Hasher) -> None:
    hashing = asyncio.create_task(hasher.hash("correct horse battery staple"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50


async def test_a_crowd_is_bounded_and_whoever_leaves_keeps_their_place_until_it_is_free(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PASSWORDS_WAITING", 1)
    places = limits.PASSWORD_HASHES + 1
    crowd = [asyncio.create_task(hasher.check(None, "x")) for _ in range(places)]
    await asyncio.sleep(0)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    with pytest.raises(Refused, match="sign_in_busy"):
        await hasher.check(None, "one too many")
    async with asyncio.timeout(60):
        while hasher._under_way:  # noqa: ASYNC110 - there is nothing to wait for but the count itself
            await asyncio.sleep(0.01)
    assert not await hasher.check(None, "room again")
