"""Sign-ins of the platform's own people are scored; whoever breaks the glass is let in whatever the score."""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import pyotp
import pytest

from tests.support.desk import console
from tests.support.people import Drawer, hash_cheaply, somebody
from tillkeeper import access
from tillkeeper.access.entrance import Entrance, factors, totp
from tillkeeper.base.clock import ManualClock
from tillkeeper.risk.logins import Thresholds, Verdict, staff, watch
from tillkeeper.store import Store
from tillkeeper.vault import Vault

PASSWORD: Final = "correct horse battery staple"
ZONE: Final = ZoneInfo("Asia/Shanghai")
MAC: Final = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15"
)
LINUX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 2, 1, tzinfo=UTC))


async def sign_in(store: Store, clock: ManualClock, way: str = "passkey", *, far: bool = False) -> Verdict:
    clock.advance(86_400)
    ip, agent = ("45.9.1.2", LINUX) if far else ("36.5.7.9", MAC)
    return await staff.sign_in(store, clock, ZONE, "anna", way, ip, agent)


async def settle(store: Store, clock: ManualClock) -> None:
    assert [(await sign_in(store, clock)).outcome for _ in range(8)] == ["allow"] * 8


async def test_the_first_sign_ins_are_let_in_and_kept(store: Store, clock: ManualClock) -> None:
    first = await sign_in(store, clock)
    assert (first.outcome, first.reasons, first.known) == ("allow", ("no_history",), 0)
    assert (await sign_in(store, clock, far=True)).outcome == "allow", "too little is known of her"
    async with store.tx("test") as tx:
        rows = await watch.staff(tx, 10)
    assert [(row.person, row.country, row.system) for row in rows] == [
        ("anna", "DE", "Linux"),
        ("anna", "CN", "Mac OS X"),
    ]


async def test_a_strange_sign_in_is_asked_again_and_is_on_record(store: Store, clock: ManualClock) -> None:
    await settle(store, clock)
    strange = await sign_in(store, clock, far=True)
    assert strange.outcome == "ask_again"
    assert "new_country" in strange.reasons
    async with store.tx("test") as tx:
        said = await tx.tuples(b"SELECT actor, reason FROM audit.events WHERE action = 'session.doubted'")
    assert said == [("anna", f"ask_again: {', '.join(strange.reasons)}")]


@pytest.mark.parametrize("way", sorted(staff.BREAK_GLASS))
async def test_whoever_breaks_the_glass_is_let_in(store: Store, clock: ManualClock, way: str) -> None:
    await settle(store, clock)
    found = await sign_in(store, clock, way, far=True)
    assert found.outcome == "allow"
    assert found.score > 0.5


async def test_only_a_providers_bare_word_can_be_refused(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff, "Thresholds", lambda: Thresholds(0.5, 0.6))
    await settle(store, clock)
    assert (await sign_in(store, clock, "provider", far=True)).outcome == "block"
    assert (await sign_in(store, clock, "passkey", far=True)).outcome == "ask_again"


async def test_at_the_consoles_door_a_doubted_session_is_led_to_confirm(
    store: Store, vault: Vault, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_cheaply(monkeypatch)
    entrance = Entrance(store, clock, Drawer())
    async with store.tx("test") as tx:
        anna = await somebody(tx, "anna", clock)
        await factors.remove_totp(tx, "anna", origin="")
        app = pyotp.TOTP(str(await totp.begin(tx, entrance.keeper, "anna", clock)))
        assert await factors.prove_totp(tx, entrance.keeper, "anna", app.at(clock.now()), clock, origin="")
    await entrance.set_password(anna, PASSWORD, access.Visitor())
    entrance.close()
    await settle(store, clock)
    form = {"name": "anna", "password": PASSWORD, "code": app.at(clock.now()), "next": "/held"}
    async with console(store, vault, clock) as here:
        led = await here.client.post("/sign-in/password", data=form, headers={"user-agent": LINUX})
    assert (led.status_code, led.headers["location"]) == (303, "/confirm?next=%2Fheld")
    async with store.tx("test") as tx:
        assert [each.confirmed_at for each in await access.list_sessions(tx, clock, "anna")] == [None]
