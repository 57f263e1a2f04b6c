"""Who writes into the trail what: rules, verdicts, refusals that anybody can cause; and the upkeep of the database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import psycopg
import pytest

from tests.support.api import calling
from tests.support.platform import HELD, Platform, opened
from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import to_typeid
from tillkeeper.faces.api.door import Door
from tillkeeper.payments.commands import Review
from tillkeeper.risk import RiskEngine
from tillkeeper.store import Store, outbox

ZONE = "Asia/Shanghai"


async def events(store: Store, wanted: audit.Filter) -> list[audit.Event]:
    """What is found, oldest first."""
    async with store.tx("test") as tx:
        return (await audit.search(tx, wanted, None, 100)).events[::-1]


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


async def test_a_rule_set_that_begins_to_decide_is_on_record_and_one_that_goes_on_is_not(
    store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text('reference = "CNY"\nother = 100\n[worth]\nCNY = 100\n')
    other.write_text('reference = "CNY"\nother = 101\n[worth]\nCNY = 100\n')
    for file in (one, one, other, one):
        await RiskEngine.open(store, file, clock, ZONE)
    found = await events(store, audit.Filter(action="rules.activated"))
    assert [(event.actor, event.subject, event.reason.split(",")[0]) for event in found] == [
        ("system", "rules", "version 1"),
        ("system", "rules", "version 2"),
        ("system", "rules", "version 1"),
    ]


@pytest.mark.parametrize(("release", "action"), [(True, "payment.released"), (False, "payment.refused")])
async def test_a_verdict_is_on_record_with_what_it_did(
    platform: Platform, *, release: bool, action: str
) -> None:
    held = await platform.pay(await platform.customer(), await platform.merchant(), HELD)
    command = Review(held.id, release, "bela", "called", None, "10.0.0.7", "anna", "apr_1")
    assert (await platform.ask(command)).state != "in_review"
    (event,) = await events(platform.store, audit.Filter(subject=to_typeid("pay", held.id)))
    assert (event.actor, event.action, event.origin) == ("bela", action, "10.0.0.7")
    assert event.reason == "called (apr_1, asked by anna)"


async def test_a_verdict_that_does_not_stand_leaves_no_record(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two are one transaction: what fails after the verdict takes the record with it."""
    held = await platform.pay(await platform.customer(), await platform.merchant(), HELD)

    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(outbox, "publish", fail)
    assert (await platform.till.submit(Review(held.id, True, "anna", "called"))).status == 500
    assert await events(platform.store, audit.Filter(actor="anna")) == []


# -- refusals that anybody can cause


async def test_a_flood_of_unknown_keys_is_one_event(store: Store, clock: ManualClock, tmp_path: Path) -> None:
    async with calling(store, clock, tmp_path) as api:
        for n in range(40):
            key = f"till_{'a' * 16}_{n:052d}".translate({48: "b", 49: "c"})
            answer = await api.client.get("/v1/customers", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == 401
        assert await events(store, audit.Filter(action="key.refused")) == []
        door: Any = cast("httpx.ASGITransport", api.client._transport).app
        while not isinstance(door, Door):
            door = door._app
        await door._tally.write()
    (event,) = await events(store, audit.Filter(action="key.refused"))
    assert (event.actor, event.subject, event.result) == ("unknown", "unauthenticated", "refused")
    assert (event.reason.split()[0], event.origin) == ("40", "127.0.0.1")


async def test_a_tally_is_written_every_minute_and_at_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TALLY_SECONDS", 0.05)
    tally = audit.Tally(store)
    writing = asyncio.create_task(tally.keep_writing())
    tally.note("unknown", "key.refused", "api", "10.0.0.1")
    async with asyncio.timeout(60):
        while not await events(store, audit.Filter(action="key.refused")):  # noqa: ASYNC110 - a row rings no bell
            await asyncio.sleep(0.02)
    tally.note("unknown", "key.refused", "api", "10.0.0.1")
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert len(await events(store, audit.Filter(action="key.refused"))) == 2


async def test_too_many_different_refusals_are_counted_as_one(store: Store) -> None:
    tally = audit.Tally(store)
    for n in range(limits.TALLY_KEYS * 3):
        tally.note("unknown", "key.refused", "api", f"10.0.{n // 250}.{n % 250}")
    await tally.write()
    found = await events(store, audit.Filter(action="key.refused"))
    assert len(found) <= 100  # a page
    (rest,) = await events(store, audit.Filter(subject="several"))
    assert (rest.actor, rest.reason.split()[0]) == ("anybody", str(limits.TALLY_KEYS * 2))


async def test_what_could_not_be_written_is_counted_on(
    store: Store, admin: psycopg.AsyncConnection, caplog: pytest.LogCaptureFixture
) -> None:
    tally = audit.Tally(store)
    tally.note("unknown", "key.refused", "api", "10.0.0.1")
    await admin.execute("ALTER TABLE audit.events RENAME TO away")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await tally.write()
    await admin.execute("ALTER TABLE audit.away RENAME TO events")
    tally.note("unknown", "key.refused", "api", "10.0.0.1")
    await tally.write()
    (event,) = await events(store, audit.Filter(action="key.refused"))
    assert event.reason.startswith("2 in ")
