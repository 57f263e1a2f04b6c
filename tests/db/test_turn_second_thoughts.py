"""What changes between an order and its end: a payer frozen meanwhile, a QR code whose payment came to nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.platform import ASKED, HELD, Platform, opened
from tillkeeper import parties
from tillkeeper.access import Asker, approvals
from tillkeeper.base.clock import ManualClock, SystemClock
from tillkeeper.base.results import Refusal
from tillkeeper.payments import deeds, rows
from tillkeeper.payments.commands import AnswerChallenge, Review
from tillkeeper.store import Store


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


async def test_who_was_frozen_meanwhile_does_not_pay_by_answering_a_challenge(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, ASKED)
    code = str(said.body["challenge"]["sandbox_code"])
    async with platform.store.tx("freeze") as tx:
        assert await parties.set_customer_state(tx, payer, "frozen")
    assert (await platform.ask(AnswerChallenge(said.id, code))).code == "customer_frozen"
    async with platform.store.tx("unfreeze") as tx:
        assert await parties.set_customer_state(tx, payer, "active")
    assert (await platform.ask(AnswerChallenge(said.id, code))).state == "succeeded"


async def test_what_is_held_of_somebody_frozen_since_is_not_released(platform: Platform) -> None:
    """Also when the freeze and the release come at the same moment; and nobody is asked to agree to it."""
    payer, shop = await platform.customer(), await platform.merchant()
    held = await platform.pay(payer, shop, HELD)
    async with platform.store.tx("freeze") as tx:
        assert await parties.set_customer_state(tx, payer, "frozen")
        first = asyncio.ensure_future(platform.ask(Review(held.id, True, "an analyst", "known")))
        await asyncio.wait([first], timeout=0.2)  # whoever looks past the freeze releases it meanwhile
    assert (await first).code == "customer_frozen"
    async with platform.store.tx("four eyes") as tx:
        payment = await rows.payment(tx, held.id)
        assert payment is not None
        said = await approvals.ask(
            tx, deeds.release(platform.till), deeds.release_of(payment, "known"), Asker("anna"), SystemClock()
        )
        assert isinstance(said, Refusal)
        assert said.code == "customer_frozen"
    assert (await platform.ask(Review(held.id, False, "an analyst", "stolen"))).state == "declined"
    assert (await platform.wallet(payer)).held == 0


async def test_a_code_whose_payment_came_to_nothing_can_be_paid_again(platform: Platform) -> None:
    thief, payer, shop = await platform.customer(), await platform.customer(), await platform.merchant()
    code = await platform.qr(shop, HELD)
    held = await platform.pay(thief, shop, HELD, qr=code)
    assert held.state == "in_review"
    assert (await platform.pay(payer, shop, HELD, qr=code)).code == "qr_paid"
    refused = await platform.ask(Review(held.id, release=False, reviewer="an analyst", reason="not theirs"))
    assert refused.state == "declined"
    again = await platform.pay(payer, shop, HELD, qr=code)
    assert again.state == "in_review"
    paid = await platform.ask(Review(again.id, release=True, reviewer="an analyst", reason="known"))
    assert paid.state == "succeeded"
    assert (await platform.pay(thief, shop, HELD, qr=code)).code == "qr_paid"
