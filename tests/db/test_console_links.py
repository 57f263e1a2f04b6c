"""The overview leads nobody where they may not go: neither its first answer nor what the stream puts in its place."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.desk import Console, console
from tests.support.shop import HELD, REFUSED, Shop, open_shop
from tillkeeper import access
from tillkeeper.base.clock import ManualClock
from tillkeeper.faces.console.desk import Desk
from tillkeeper.faces.console.live import Audience
from tillkeeper.faces.console.pages import overview
from tillkeeper.store import Store

_LINK = re.compile(r'<a href="(/[^"]*)"')


@pytest.fixture
async def here(store: Store, tmp_path: Path) -> AsyncIterator[Console]:
    """A console that has every kind of link to show: refused, held, and paid."""
    async with open_shop(store, tmp_path) as shop:
        await trade(shop)
        # The overview leaves out the last second.
        later = ManualClock(shop.clock.now() + timedelta(seconds=30))
        async with console(store, shop.vault, later) as opened:
            yield opened


async def trade(shop: Shop) -> None:
    ann, cafe = await shop.customer("Ann"), await shop.merchant("Café")
    for amount in (REFUSED, HELD, 1_000):
        await shop.pay(ann, cafe, amount)


def links(html: str) -> set[str]:
    """Where a piece of a page leads to."""
    return {found.replace("&amp;", "&") for found in _LINK.findall(html)}


@pytest.mark.parametrize("role", access.ROLES)
async def test_what_the_overview_leads_to_opens(here: Console, role: str) -> None:
    someone = await here.sign_in(f"the-{role.replace('_', '-')}", [role])
    first = await someone.get("/")
    assert first.status_code == 200
    desk: Desk = here.application.state["desk"]
    may = access.policies().permitted("Person", someone.session.roles)
    drawn = await desk.live._draw(Audience("en", may & overview._LED_TO))
    shown = links(first.text.partition("<main")[2])
    assert links("".join(drawn.values())) == shown
    for path in sorted(shown):
        assert (await someone.get(path)).status_code == 200, path


async def test_operators_have_every_link(here: Console) -> None:
    """So the test above sees links at all."""
    found = links((await (await here.sign_in("ola", ["operator"])).get("/")).text.partition("<main")[2])
    begins = {"/payments?risk=", "/payments/pay_", "/customers/cus_", "/merchants/mer_", "/held", "/books"}
    assert [each for each in sorted(begins) if not any(link.startswith(each) for link in found)] == []
