"""Signing in, in a real browser with a virtual authenticator: what a person does with a passkey, and without."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyotp
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, expect

from tests.browser.conftest import Place, served, unexpected
from tests.support.identity_provider import CLIENT, SECRET, provider
from tests.support.people import link_for
from tillkeeper.access.entrance import Provider
from tillkeeper.base import limits
from tillkeeper.base.clock import SystemClock

PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """Somebody before a browser that has an authenticator, at the console by its name."""

    url: str
    context: BrowserContext
    page: Page
    devtools: CDPSession
    device: str
    troubles: list[str]
    expected: list[str] = field(default_factory=list)

    async def passkeys(self) -> list[dict[str, Any]]:
        """What the authenticator holds."""
        found = await self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.device})
        return list(found["credentials"])

    async def enrol(self, name: str) -> None:
        """Add a passkey on the page of the account."""
        await self.page.goto(f"{self.url}/account")
        await self.page.get_by_label("Name of the device").fill(name)
        await self.page.get_by_role("button", name="Add a passkey").click()
        await expect(self.page.get_by_role("status")).to_have_text("Added. It counts from now on.")

    async def sign_out(self) -> None:
        await self.page.get_by_role("button", name="Sign out").last.click()
        await expect(self.page).to_have_url(re.compile(r"/sign-in"))


@asynccontextmanager
async def somebody(place: Place, chromium: Browser, **options: Any) -> AsyncIterator[Person]:
    """A new browser; at the end nothing may have gone wrong in it but what the test expects."""
    url = place.url.replace("127.0.0.1", "localhost")
    context = await chromium.new_context(locale="en-GB", **options)
    page = await context.new_page()
    devtools = await context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    made = await devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    person = Person(url, context, page, devtools, made["authenticatorId"], [])
    page.on(
        "console",
        lambda said: person.troubles.append(said.text) if said.type in {"error", "warning"} else None,
    )
    page.on("pageerror", lambda error: person.troubles.append(str(error)))
    yield person
    await context.close()
    assert unexpected(person.troubles, person.expected) == []


async def come_in(place: Place, person: Person, handle: str) -> None:
    """By a one-time link."""
    async with place.shop.store.tx("test link") as tx:
        token = await link_for(tx, handle, place.shop.clock)
    await person.page.goto(f"{person.url}/sign-in?token={token}&next=/account")
    await person.page.get_by_role("button", name="Sign in").click()
    await expect(person.page).to_have_url(f"{person.url}/account")


async def grow_stale(place: Place, handle: str) -> None:
    """As if the last second factor had been given long ago."""
    at = place.shop.clock.now() - timedelta(seconds=limits.CONFIRMED_SECONDS)
    async with place.shop.store.tx("test stale") as tx:
        await tx.run(
            b"UPDATE access.sessions SET confirmed_at = %(at)s, created_at = %(at)s WHERE person = %(person)s",
            {"at": at, "person": handle},
        )


async def forget_codes(place: Place, handle: str) -> None:
    """As if the code that counts now had not been used yet. A code of before or after would count for less than a minute."""
    async with place.shop.store.tx("test codes") as tx:
        await tx.run(b"UPDATE access.totp SET last_step = 0 WHERE person = %(person)s", {"person": handle})


async def test_a_passkey_from_the_first_link_to_signing_in_without_a_name(
    place: Place, chromium: Browser
) -> None:
    async with somebody(place, chromium) as petra:
        page = petra.page
        await come_in(place, petra, "petra")
        await expect(page.get_by_text("Nothing but a link lets you in yet.")).to_be_visible()
        await petra.enrol("my laptop")
        await expect(page.get_by_role("row", name="my laptop")).to_be_visible()
        (held,) = await petra.passkeys()
        assert held["isResidentCredential"]
        assert held["rpId"] == "localhost"
        await petra.sign_out()

        await page.goto(f"{petra.url}/held")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page).to_have_url(f"{petra.url}/held")
        await expect(page.get_by_role("link", name="petra")).to_be_visible()
        await page.goto(f"{petra.url}/account")
        sessions = page.get_by_role("region", name="Where you are signed in")
        await expect(sessions.get_by_role("row", name="this one")).to_contain_text("passkey")


async def test_one_device_holds_one_passkey_of_a_person(place: Place, chromium: Browser) -> None:
    async with somebody(place, chromium) as paul:
        await come_in(place, paul, "paul")
        await paul.enrol("laptop")
        await paul.page.get_by_role("button", name="Add a passkey").click()
        await expect(paul.page.get_by_text("This device holds a passkey of yours already.")).to_be_visible()
        await expect(paul.page.get_by_role("button", name="Add a passkey")).to_be_enabled()
        assert len(await paul.passkeys()) == 1


async def test_a_device_without_a_passkey_is_told_what_else_there_is(place: Place, chromium: Browser) -> None:
    async with somebody(place, chromium) as stranger:
        await stranger.page.goto(f"{stranger.url}/sign-in")
        await stranger.page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(stranger.page.get_by_text("No passkey came back.")).to_be_visible(timeout=30_000)
        await expect(stranger.page.get_by_role("button", name="Sign in with a passkey")).to_be_enabled()


async def test_a_passkey_that_was_removed_opens_nothing(place: Place, chromium: Browser) -> None:
    async with somebody(place, chromium) as pia:
        page = pia.page
        pia.expected.append("401")
        await come_in(place, pia, "pia")
        await pia.enrol("old phone")
        await page.get_by_role("button", name="Remove: old phone").click()
        await expect(page.get_by_role("status")).to_have_text("Removed.")
        await pia.sign_out()
        await page.goto(f"{pia.url}/sign-in")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_role("alert").first).to_have_text("That passkey does not open this door.")


async def test_confirming_leads_on_to_where_one_was(place: Place, chromium: Browser) -> None:
    async with somebody(place, chromium) as carla:
        page = carla.page
        await come_in(place, carla, "carla")
        await carla.enrol("laptop")
        await grow_stale(place, "carla")
        await page.goto(f"{carla.url}/account")
        await expect(page.get_by_role("button", name="Add a passkey")).to_have_count(0)
        await page.get_by_role("button", name="Remove: laptop").click()
        await expect(page).to_have_url(f"{carla.url}/confirm?next=%2Faccount")
        await page.get_by_role("button", name="Confirm with a passkey").click()
        await expect(page).to_have_url(f"{carla.url}/account")
        await page.get_by_role("button", name="Make recovery codes").click()
        await expect(page.locator(".secrets code")).to_have_count(limits.RECOVERY_CODES)


async def test_password_and_authenticator_are_the_other_way_in(place: Place, chromium: Browser) -> None:
    async with somebody(place, chromium) as otto:
        page = otto.page
        await come_in(place, otto, "otto")
        await page.get_by_role("button", name="Add an authenticator app").click()
        await expect(page.locator("svg.qr")).to_be_visible()
        await page.get_by_text("Type the secret instead").click()
        app = pyotp.TOTP((await page.locator("p.id").inner_text()).replace(" ", ""))
        clock = SystemClock()
        await page.get_by_label("Code").fill(app.at(clock.now()))
        await page.get_by_role("button", name="It shows this code").click()
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_role("button", name="Set the password").click()
        await expect(page.get_by_role("status")).to_have_text("Added. It counts from now on.")
        await otto.sign_out()

        await forget_codes(place, "otto")
        await page.goto(f"{otto.url}/sign-in?next=/rules")
        await page.get_by_text("With password and code").click()
        await page.get_by_label("Name").fill("otto")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_label("Code").fill(app.at(clock.now()))
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page).to_have_url(f"{otto.url}/rules")
        await grow_stale(place, "otto")
        await forget_codes(place, "otto")
        await page.goto(f"{otto.url}/confirm?next=/held")
        await page.get_by_label("Code of your authenticator").fill(app.at(clock.now()))
        await page.get_by_role("button", name="Confirm").click()
        await expect(page).to_have_url(f"{otto.url}/held")


async def test_a_bare_address_says_where_passkeys_work(place: Place, chromium: Browser) -> None:
    async with somebody(place, chromium) as visitor:
        await visitor.page.goto(f"{place.url}/sign-in")
        await expect(visitor.page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
        await visitor.page.get_by_role("link", name=visitor.url).click()
        await expect(visitor.page.get_by_role("button", name="Sign in with a passkey")).to_be_enabled()


async def test_without_scripts_the_other_ways_stand_open(place: Place, chromium: Browser) -> None:
    context = await chromium.new_context(locale="en-GB", java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{place.url.replace('127.0.0.1', 'localhost')}/sign-in")
    await expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
    await expect(page.get_by_text("A passkey needs JavaScript.")).to_be_visible()
    await page.get_by_text("With a one-time link").click()
    await page.get_by_label("Link or token").fill(await place.link())
    await page.get_by_role("button", name="Use the link").click()
    await expect(page).to_have_url(re.compile(r"localhost:\d+/$"))
    await context.close()


async def test_the_identity_provider_sends_one_back_signed_in(place: Place, chromium: Browser) -> None:
    async with provider() as company:
        company.who = {"sub": "u-1", "email": "ida@till.test", "email_verified": True}
        there = Provider(company.issuer, CLIENT, SECRET, SystemClock())
        async with (
            served(place.shop.store, place.shop.vault, there) as (url, desk),
            somebody(Place(url, place.shop, desk), chromium) as ida,
        ):
            async with place.shop.store.tx("test person") as tx:
                await link_for(tx, "ida@till.test", place.shop.clock)
            await ida.page.goto(f"{ida.url}/held")
            await ida.page.get_by_role("link", name="Sign in at 127.0.0.1").click()
            await expect(ida.page).to_have_url(f"{ida.url}/held")
            await ida.page.goto(f"{ida.url}/account")
            await ida.enrol("laptop")  # the first factor, soon after a sign-in that is none
