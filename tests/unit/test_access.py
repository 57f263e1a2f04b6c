"""Tokens, and the key ring against a store that only counts: what is asked how often, and for how long an answer holds."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.access import KeyRing, Principal, tokens
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Store


class Row(NamedTuple):
    id: UUID
    principal: UUID
    name: str
    secret_hash: bytes
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    networks: list[str]
    used_at: datetime | None


HERE = "203.0.113.9"


class CountingStore:
    """Answers look-ups from a dictionary, when told to; counts them."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.asked = 0
        self.at_once = 0
        self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self.used: list[datetime] = []

    @asynccontextmanager
    async def tx(self, _name: str) -> AsyncIterator["CountingStore"]:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
            if self.broken:
                raise ConnectionError("the database is away")
            yield self
        finally:
            self.at_once -= 1

    async def row(self, _statement: bytes, params: dict[str, Any]) -> Row | None:
        return self.rows.get(params["short_id"])

    async def run(self, _statement: bytes, params: dict[str, Any]) -> None:
        self.used.append(params["at"])
        for short_id, row in self.rows.items():
            if row.id == params["id"]:
                self.rows[short_id] = row._replace(used_at=params["at"])

    def add(self, expires_at: datetime | None = None, networks: Iterable[str] = ()) -> str:
        """A new key's Authorization header."""
        short_id, text = tokens.new_key()
        self.rows[short_id] = Row(
            uuid4(),
            uuid4(),
            "till one",
            tokens.digest(text),
            ["payments:read"],
            expires_at,
            None,
            list(networks),
            None,
        )
        return f"Bearer {text}"

    def revoke(self, header: str, at: datetime) -> None:
        short_id = header.split("_")[1]
        self.rows[short_id] = self.rows[short_id]._replace(revoked_at=at)


@pytest.fixture
def counting() -> CountingStore:
    return CountingStore()


@pytest.fixture
def ring(counting: CountingStore, clock: ManualClock) -> KeyRing:
    return KeyRing(cast("Store", counting), clock)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def code(answer: Principal | Refusal) -> str:
    return answer.code if isinstance(answer, Refusal) else "ok"


def test_keys_look_as_promised_and_differ() -> None:
    made = [tokens.new_key() for _ in range(50)]
    assert len({text for _, text in made}) == 50
    for short_id, text in made:
        assert re.fullmatch(r"till_[a-z2-7]{16}_[a-z2-7]{52}", text)
        assert tokens.key_in(f"Bearer {text}") == (short_id, text)
        assert tokens.key_in(f"bearer  {text}") == (short_id, text)


@given(st.text(max_size=120))
def test_no_header_but_a_key_is_taken_for_one(header: str) -> None:
    assert tokens.key_in(header) is None
    assert tokens.key_in("Bearer " + header) is None


async def test_a_known_key_costs_one_look_up_until_it_is_stale(
    ring: KeyRing, counting: CountingStore, clock: ManualClock
) -> None:
    header = counting.add()
    for _ in range(3):
        answer = await ring.authenticate(header, HERE)
        assert isinstance(answer, Principal)
        assert answer.may("payment.view")
        assert not answer.may("payment.pay")
    assert counting.asked == 1
    clock.advance(limits.KEY_REFRESH_SECONDS)
    counting.open.clear()  # the look-up hangs, and yet nobody waits for it
    assert code(await ring.authenticate(header, HERE)) == "ok"
    assert code(await ring.authenticate(header, HERE)) == "ok"
    await settle()
    assert counting.asked == 2
    counting.open.set()
    await settle()


async def test_a_revoked_key_is_refused_within_the_promised_time(
    ring: KeyRing, counting: CountingStore, clock: ManualClock
) -> None:
    header = counting.add()
    assert code(await ring.authenticate(header, HERE)) == "ok"
    counting.revoke(header, clock.now())
    clock.advance(limits.KEY_TRUST_SECONDS)
    assert code(await ring.authenticate(header, HERE)) == "unauthenticated"


async def test_a_key_stops_at_its_very_expiry(
    ring: KeyRing, counting: CountingStore, clock: ManualClock
) -> None:
    header = counting.add(clock.now() + timedelta(seconds=0.5))
    assert code(await ring.authenticate(header, HERE)) == "ok"
    clock.advance(0.4)
    assert code(await ring.authenticate(header, HERE)) == "ok"
    clock.advance(0.1)
    assert code(await ring.authenticate(header, HERE)) == "key_expired"


async def test_a_key_is_used_from_its_networks_only(ring: KeyRing, counting: CountingStore) -> None:
    header = counting.add(networks=["10.1.0.0/16", "2001:db8::/32"])
    for address in ("10.1.255.1", "::ffff:10.1.0.9", "2001:db8::7"):
        assert code(await ring.authenticate(header, address)) == "ok"
    for address in ("10.2.0.1", "127.0.0.1", "2001:db9::7", "", "testclient", "10.1.0.0/16"):
        assert code(await ring.authenticate(header, address)) == "address_refused"
    assert counting.asked == 1


async def test_the_last_use_is_written_now_and_then(
    ring: KeyRing, counting: CountingStore, clock: ManualClock
) -> None:
    header, begun = counting.add(), clock.now()
    for _ in range(100):
        assert code(await ring.authenticate(header, HERE)) == "ok"
        await settle()
        clock.advance(limits.KEY_REFRESH_SECONDS)
    assert counting.asked == 100
    assert counting.used == [begun, begun + timedelta(seconds=limits.KEY_USED_SECONDS)]
    unknown = header[:-4] + ("aaaa" if not header.endswith("aaaa") else "bbbb")
    clock.advance(limits.KEY_USED_SECONDS)
    assert code(await ring.authenticate(unknown, HERE)) == "unauthenticated"
    assert len(counting.used) == 2


async def test_a_right_short_id_with_a_wrong_secret_opens_nothing(
    ring: KeyRing, counting: CountingStore
) -> None:
    header = counting.add()
    forged = header[:-4] + ("aaaa" if not header.endswith("aaaa") else "bbbb")
    assert code(await ring.authenticate(header, HERE)) == "ok"
    assert code(await ring.authenticate(forged, HERE)) == "unauthenticated"


async def test_nonsense_never_reaches_the_database(ring: KeyRing, counting: CountingStore) -> None:
    for header in ("", "Bearer", "Basic dGlsbDo=", "Bearer till_x_y", "Bearer " + "a" * 5000):
        assert code(await ring.authenticate(header, HERE)) == "unauthenticated"
    assert counting.asked == 0


async def test_a_crowd_with_one_key_costs_one_look_up(ring: KeyRing, counting: CountingStore) -> None:
    header = counting.add()
    answers = await asyncio.gather(*(ring.authenticate(header, HERE) for _ in range(100)))
    assert {code(answer) for answer in answers} == {"ok"}
    assert counting.asked == 1


async def test_one_who_gives_up_does_not_spoil_it_for_the_crowd(
    ring: KeyRing, counting: CountingStore
) -> None:
    header = counting.add()
    counting.open.clear()
    first = asyncio.create_task(ring.authenticate(header, HERE))
    second = asyncio.create_task(ring.authenticate(header, HERE))
    await settle()
    first.cancel()
    counting.open.set()
    assert code(await second) == "ok"


async def test_random_keys_take_neither_memory_nor_the_pool(
    ring: KeyRing, counting: CountingStore, clock: ManualClock, seed: int
) -> None:
    friend = counting.add()
    assert code(await ring.authenticate(friend, HERE)) == "ok"
    draw = random.Random(seed)

    def stranger() -> str:
        letters = draw.choices("abcdefghijklmnopqrstuvwxyz234567", k=68)
        return f"Bearer till_{''.join(letters[:16])}_{''.join(letters[16:])}"

    strangers = [stranger() for _ in range(limits.KEY_STRANGERS_SIZE + 500)]
    for header in strangers:
        assert code(await ring.authenticate(header, HERE)) == "unauthenticated"
    assert len(ring._strangers) == limits.KEY_STRANGERS_SIZE
    assert len(ring._lookups) == 0
    asked = counting.asked
    assert code(await ring.authenticate(strangers[-1], HERE)) == "unauthenticated"
    assert counting.asked == asked  # remembered

    counting.most_at_once = 0
    counting.open.clear()
    crowd = [asyncio.create_task(ring.authenticate(stranger(), HERE)) for _ in range(50)]
    await settle()
    assert counting.most_at_once == limits.KEY_LOOKUPS
    clock.advance(limits.KEY_TRUST_SECONDS)
    known = asyncio.create_task(ring.authenticate(friend, HERE))
    await settle()
    assert counting.at_once == limits.KEY_LOOKUPS + 1  # the known key passes the crowd at the gate
    counting.open.set()
    assert code(await known) == "ok"
    await asyncio.gather(*crowd)


async def test_without_the_database_a_key_is_trusted_no_longer_than_promised(
    ring: KeyRing, counting: CountingStore, clock: ManualClock
) -> None:
    header = counting.add()
    assert code(await ring.authenticate(header, HERE)) == "ok"
    counting.broken = True
    clock.advance(limits.KEY_TRUST_SECONDS - 0.1)
    assert code(await ring.authenticate(header, HERE)) == "ok"
    await settle()
    clock.advance(0.1)
    with pytest.raises(ConnectionError):
        await ring.authenticate(header, HERE)
    counting.broken = False
    assert code(await ring.authenticate(header, HERE)) == "ok"
