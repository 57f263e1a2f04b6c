"""Every flow through the turn: what becomes of payment, money, hold, code and bank, and every state reached."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.platform import ASKED, FINE, HELD, REFUSED, Platform, Said, opened
from tillkeeper import ledger, parties
from tillkeeper.base import limits
from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.base.money import share
from tillkeeper.payments import MOVES, expire_due, open_wallets
from tillkeeper.payments.commands import (
    AnswerChallenge,
    Capture,
    Expire,
    Pay,
    RefundPayment,
    Review,
    SendMoney,
    TopUp,
    Void,
    Withdraw,
)
from tillkeeper.store import Store

FUNDS = 1_000_000


@pytest.fixture
async def platform(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Platform]:
    async with opened(store, clock, tmp_path) as made:
        yield made


async def _hold_of(platform: Platform, payment: UUID) -> ledger.Hold:
    async with platform.store.tx("hold") as tx:
        [found] = await ledger.holds_of(tx, payment)
    return found


async def _story(platform: Platform, payment: UUID) -> list[tuple[str, str, str]]:
    async with platform.store.tx("moves") as tx:
        rows = await tx.tuples(
            b"SELECT from_state, to_state, actor FROM payments.moves WHERE payment = %(id)s ORDER BY id",
            {"id": payment},
        )
    return [(row[0], row[1], row[2]) for row in rows]


async def _topics(platform: Platform, payment: UUID) -> list[str]:
    async with platform.store.tx("news") as tx:
        rows = await tx.tuples(
            b"SELECT topic FROM store.outbox WHERE subject = %(id)s ORDER BY id", {"id": payment}
        )
    return [row[0] for row in rows]


def _code(said: Said) -> str:
    return str(said.body["challenge"]["sandbox_code"])


# -- paying


async def test_a_payment_moves_money_and_the_platforms_share(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant(fee_bps=60)
    said = await platform.pay(payer, shop, 10_000)
    assert (said.status, said.state, said.body["fee"], said.body["risk"]) == (201, "succeeded", 60, "allow")
    assert (await platform.wallet(payer)).balance == FUNDS - 10_000
    assert (await platform.wallet(shop)).balance == 9_940
    async with platform.store.tx("transfers") as tx:
        legs = await ledger.transfers_of(tx, said.id)
    assert sorted((leg.kind, leg.amount) for leg in legs) == [("fee", 60), ("payment", 10_000)]
    assert await _topics(platform, said.id) == ["payment.succeeded"]


async def test_a_person_is_paid_without_a_fee(platform: Platform) -> None:
    payer, payee = await platform.customer(), await platform.customer(funds=0)
    said = await platform.ask(SendMoney(payer, payee, 500, "CNY", "lunch"))
    assert (said.state, said.body["fee"], said.body["note"]) == ("succeeded", 0, "lunch")
    assert (await platform.wallet(payee)).balance == 500


async def test_what_risk_refuses_moves_nothing_and_is_told(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, REFUSED)
    assert (said.status, said.state, said.code, said.body["risk"]) == (
        201,
        "declined",
        "denied_by_risk",
        "deny",
    )
    assert said.body["reasons"] == [{"rule": "unlucky", "text": "an unlucky CN¥66.60"}]
    assert (await platform.wallet(payer)).balance == FUNDS
    assert await _topics(platform, said.id) == ["payment.declined"]


async def test_too_little_money_declines_and_the_decision_is_kept(platform: Platform) -> None:
    payer, shop = await platform.customer(funds=100), await platform.merchant()
    said = await platform.pay(payer, shop, 101)
    assert (said.state, said.code) == ("declined", "insufficient_funds")
    assert await platform.count("risk.decisions") == 1
    assert (await platform.pay(payer, shop, 100)).state == "succeeded"


@pytest.mark.parametrize(
    ("payer", "payee", "code", "field"),
    [
        ("nobody", "shop", "unknown_customer", "payer"),
        ("shop", "shop2", "unknown_customer", "payer"),
        ("frozen", "shop", "customer_frozen", "payer"),
        ("anna", "nobody", "unknown_merchant", "merchant"),
        ("anna", "ben", "unknown_merchant", "merchant"),
        ("anna", "closed", "merchant_closed", "merchant"),
        ("anna", "anna", "same_party", "merchant"),
        ("yen", "shop", "unknown_wallet", "payer"),
        ("anna", "yen_shop", "unknown_wallet", "merchant"),
    ],
)
async def test_who_cannot_pay_whom(platform: Platform, payer: str, payee: str, code: str, field: str) -> None:
    people = {
        "anna": await platform.customer(),
        "ben": await platform.customer(),
        "frozen": await platform.customer(),
        "yen": await platform.customer(currencies=["JPY"]),
        "shop": await platform.merchant(),
        "shop2": await platform.merchant(),
        "closed": await platform.merchant(),
        "yen_shop": await platform.merchant(currencies=["JPY"]),
        "nobody": new_id(),
    }
    async with platform.store.tx("states") as tx:
        assert await parties.set_customer_state(tx, people["frozen"], "frozen")
        assert await parties.set_merchant_state(tx, people["closed"], "closed")
    before = await platform.count("payments.payments")
    said = await platform.pay(people[payer], people[payee])
    assert (said.code, said.body["field"]) == (code, field)
    assert await platform.count("payments.payments") == before
    assert await platform.count("risk.decisions") == 0  # risk is not asked about what cannot be


async def test_a_wallet_opened_after_a_refusal_is_found(platform: Platform) -> None:
    payer, shop = await platform.customer(currencies=["JPY"]), await platform.merchant(currencies=["JPY"])
    for who, field in ((payer, "payer"), (shop, "merchant")):
        said = await platform.pay(payer, shop, 5, currency="USD")
        assert (said.code, said.body["field"]) == ("unknown_wallet", field)
        async with platform.store.tx("wallet") as tx:
            await open_wallets(tx, who, ["USD"], None, platform.clock.now())
    assert (await platform.pay(payer, shop, 5, currency="USD")).code == "insufficient_funds"


# -- waiting: capture, void, challenge, review, expiry


async def test_a_manual_payment_is_held_then_captured_in_part(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant(fee_bps=100)
    said = await platform.pay(payer, shop, 10_000, manual=True)
    assert (said.state, said.body["captured"]) == ("authorized", 0)
    wallet = await platform.wallet(payer)
    assert (wallet.balance, wallet.held) == (FUNDS, 10_000)
    captured = await platform.ask(Capture(said.id, 4_000))
    assert (captured.status, captured.state) == (200, "succeeded")
    assert (captured.body["captured"], captured.body["fee"], captured.body["expires_at"]) == (4_000, 40, None)
    wallet = await platform.wallet(payer)
    assert (wallet.balance, wallet.held) == (FUNDS - 4_000, 0)
    assert (await platform.wallet(shop)).balance == 3_960
    hold = await _hold_of(platform, said.id)
    assert (hold.state, hold.captured) == ("captured", 4_000)
    assert await _story(platform, said.id) == [("authorized", "succeeded", "merchant")]
    assert (await platform.ask(Capture(said.id, 1))).code == "wrong_state"


async def test_a_capture_without_amount_takes_all(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, 10_000, manual=True)
    assert (await platform.ask(Capture(said.id, 10_001))).code == "exceeds_hold"
    assert (await platform.ask(Capture(said.id))).body["captured"] == 10_000


async def test_a_void_gives_all_back(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, 10_000, manual=True)
    assert (await platform.ask(Void(said.id))).state == "voided"
    wallet = await platform.wallet(payer)
    assert (wallet.balance, wallet.held) == (FUNDS, 0)
    assert (await _hold_of(platform, said.id)).state == "voided"
    assert (await platform.ask(Capture(said.id))).code == "wrong_state"


async def test_capture_and_void_at_once_one_wins(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, manual=True)
    ends = await asyncio.gather(
        platform.ask(Capture(said.id)), platform.ask(Void(said.id)), platform.ask(Capture(said.id, 5))
    )
    assert sorted(each.status for each in ends) == [200, 409, 409]
    assert await platform.balanced()


async def test_the_right_code_pays(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, ASKED)
    assert (said.state, (await platform.wallet(payer)).held) == ("challenged", ASKED)
    done = await platform.ask(AnswerChallenge(said.id, _code(said)))
    assert (done.state, done.body["challenge"]) == ("succeeded", None)
    assert (await platform.wallet(payer)).balance == FUNDS - ASKED
    assert await _story(platform, said.id) == [("challenged", "succeeded", "customer")]


async def test_the_code_reaches_the_caller_only(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, ASKED)
    async with platform.store.tx("news") as tx:
        payload = await tx.value(
            b"SELECT payload::text FROM store.outbox WHERE subject = %(id)s", {"id": said.id}
        )
    assert '"challenge":null' in payload
    assert _code(said) not in payload.replace(str(ASKED), "")


async def test_wrong_codes_are_counted_also_in_one_turn(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, ASKED)
    wrong = f"{(int(_code(said)) + 1) % 10**6:06d}"
    tries = await asyncio.gather(
        *(platform.ask(AnswerChallenge(said.id, wrong)) for _ in range(limits.CHALLENGE_TRIES + 1))
    )
    assert [each.code for each in tries] == ["challenge_failed"] * (limits.CHALLENGE_TRIES - 1) + [
        "challenge_exhausted",
        "wrong_state",
    ]
    assert (await platform.ask(AnswerChallenge(said.id, _code(said)))).code == "wrong_state"
    assert (await platform.payment(said.id)).state == "declined"
    assert (await platform.wallet(payer)).held == 0


async def test_the_last_try_may_be_the_right_one(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, ASKED)
    for _ in range(limits.CHALLENGE_TRIES - 1):
        assert (await platform.ask(AnswerChallenge(said.id, "nonsense"))).code == "challenge_failed"
    assert (await platform.ask(AnswerChallenge(said.id, _code(said)))).state == "succeeded"


async def test_a_challenged_manual_payment_is_then_authorized(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, ASKED, manual=True)
    done = await platform.ask(AnswerChallenge(said.id, _code(said)))
    assert done.state == "authorized"
    assert (await platform.wallet(payer)).held == ASKED
    assert (await platform.ask(Capture(said.id))).state == "succeeded"


@pytest.mark.parametrize(("release", "state", "paid"), [(True, "succeeded", HELD), (False, "declined", 0)])
async def test_a_person_decides_what_risk_held(
    platform: Platform, *, release: bool, state: str, paid: int
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, HELD)
    assert said.state == "in_review"
    done = await platform.ask(Review(said.id, release, "anna", "asked the payer"))
    assert done.state == state
    wallet = await platform.wallet(payer)
    assert (wallet.balance, wallet.held) == (FUNDS - paid, 0)
    assert await _story(platform, said.id) == [("in_review", state, "anna")]


@pytest.mark.parametrize(
    ("amount", "manual", "seconds"),
    [
        (ASKED, False, limits.CHALLENGE_SECONDS),
        (HELD, False, limits.REVIEW_SECONDS),
        (FINE, True, limits.AUTHORIZATION_SECONDS),
    ],
)
async def test_what_nobody_came_for_expires(
    platform: Platform, clock: ManualClock, *, amount: int, manual: bool, seconds: int
) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    said = await platform.pay(payer, shop, amount, manual=manual)
    clock.advance(seconds - 1)
    assert (await platform.ask(Expire(said.id))).code == "wrong_state"
    assert await expire_due(platform.store, platform.till.submit, clock) == 0
    clock.advance(1)
    assert await expire_due(platform.store, platform.till.submit, clock) == 1
    assert await expire_due(platform.store, platform.till.submit, clock) == 0
    assert (await platform.payment(said.id)).state == "expired"
    assert (await _hold_of(platform, said.id)).state == "expired"
    assert (await platform.wallet(payer)).held == 0
    assert await _topics(platform, said.id) == [f"payment.{said.state}", "payment.expired"]


# -- QR codes


async def test_a_code_with_an_amount_is_paid_once(platform: Platform) -> None:
    shop = await platform.merchant()
    code = await platform.qr(shop, 300)
    payers = [await platform.customer() for _ in range(4)]
    said = await asyncio.gather(*(platform.pay(payer, shop, 300, qr=code) for payer in payers))
    assert sorted(each.code for each in said) == ["None", "qr_paid", "qr_paid", "qr_paid"]
    assert (await platform.pay(payers[0], shop, 300, qr=code)).code == "qr_paid"


async def test_a_declined_payment_does_not_use_up_the_code(platform: Platform) -> None:
    shop, poor, rich = await platform.merchant(), await platform.customer(funds=0), await platform.customer()
    code = await platform.qr(shop, 300)
    assert (await platform.pay(poor, shop, 300, qr=code)).code == "insufficient_funds"
    assert (await platform.pay(rich, shop, 300, qr=code)).state == "succeeded"


async def test_an_open_code_is_paid_any_number_of_times(platform: Platform) -> None:
    shop, payer = await platform.merchant(), await platform.customer()
    code = await platform.qr(shop, None)
    said = await asyncio.gather(*(platform.pay(payer, shop, amount, qr=code) for amount in (1, 2, 3)))
    assert {each.state for each in said} == {"succeeded"}


async def test_codes_that_cannot_be_paid(platform: Platform, clock: ManualClock) -> None:
    shop, other, payer = await platform.merchant(), await platform.merchant(), await platform.customer()
    code = await platform.qr(shop, 300)
    late = await platform.qr(shop, None, expires_at=clock.now())
    assert (await platform.pay(payer, shop, 300, qr=new_id())).code == "unknown_qr"
    assert (await platform.pay(payer, other, 300, qr=code)).code == "unknown_qr"
    assert (await platform.pay(payer, shop, 301, qr=code)).code == "qr_mismatch"
    assert (await platform.pay(payer, shop, 300, qr=late)).code == "qr_expired"


# -- refunds


async def test_two_refunds_at_once_never_exceed_what_was_paid(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    paid = await platform.pay(payer, shop, 1000)
    said = await asyncio.gather(*(platform.ask(RefundPayment(paid.id, 400)) for _ in range(4)))
    assert sorted(each.status for each in said) == [200, 200, 409, 409]
    assert {each.code for each in said if each.status == 409} == {"exceeds_captured"}
    payment = await platform.payment(paid.id)
    assert (payment.state, payment.refunded) == ("partially_refunded", 800)
    assert (await platform.wallet(payer)).balance == FUNDS - 200


async def test_a_refund_that_the_merchant_cannot_cover(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    paid = await platform.pay(payer, shop, 1000)
    assert (await platform.ask(Withdraw(shop, 900, "CNY"))).state == "pending"
    refused = await platform.ask(RefundPayment(paid.id, 500))
    assert (refused.status, refused.code) == (409, "insufficient_funds")
    assert (await platform.payment(paid.id)).refunded == 0
    assert (await platform.ask(RefundPayment(paid.id, 90))).body["refund"]["amount"] == 90


async def test_a_refund_of_what_was_captured_not_of_what_was_held(platform: Platform) -> None:
    payer, shop = await platform.customer(), await platform.merchant()
    paid = await platform.pay(payer, shop, 1000, manual=True)
    assert (await platform.ask(RefundPayment(paid.id))).code == "wrong_state"
    await platform.ask(Capture(paid.id, 600))
    assert (await platform.ask(RefundPayment(paid.id, 601))).code == "exceeds_captured"
    assert (await platform.ask(RefundPayment(paid.id))).state == "refunded"
    assert (await platform.wallet(payer)).balance == FUNDS
    assert (await platform.wallet(shop)).balance == 0


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amount=st.integers(1, 40_000).filter(lambda amount: amount != REFUSED),
    rate=st.integers(0, 10_000),
    parts=st.lists(st.integers(1, 40_000), max_size=4),
)
async def test_refunds_in_any_parts_leave_all_as_it_was(
    platform: Platform, amount: int, rate: int, parts: list[int]
) -> None:
    payer, shop = await platform.customer(), await platform.merchant(fee_bps=rate)
    paid = await platform.pay(payer, shop, amount)
    assert paid.body["fee"] == share(amount, rate)
    returned, left = 0, amount
    for part in [*parts, None]:
        if left and (part is None or part <= left):
            said = await platform.ask(RefundPayment(paid.id, part))
            returned += said.body["refund"]["fee_returned"]
            left -= said.body["refund"]["amount"]
    assert (returned, left) == (paid.body["fee"], 0)
    assert (await platform.wallet(payer)).balance == FUNDS
    assert (await platform.wallet(shop)).balance == 0
    assert (await platform.payment(paid.id)).state == "refunded"


# -- the bank


async def test_a_top_up_arrives_with_the_banks_yes(platform: Platform) -> None:
    payer = await platform.customer(funds=0)
    said = await platform.ask(TopUp(payer, 700, "CNY", "late"))
    assert (said.state, said.body["payer"], (await platform.wallet(payer)).balance) == ("pending", None, 0)
    assert (await platform.settle(said.id, accepted=True)).state == "succeeded"
    assert (await platform.wallet(payer)).balance == 700
    assert (await platform.settle(said.id, accepted=True)).code == "wrong_state"
    assert (await platform.settle(said.id, accepted=False)).code == "wrong_state"
    assert (await platform.wallet(payer)).balance == 700


async def test_a_top_up_that_the_bank_refuses(platform: Platform) -> None:
    payer = await platform.customer(funds=0)
    said = await platform.ask(TopUp(payer, 700, "CNY"))
    done = await platform.settle(said.id, accepted=False)
    assert (done.state, done.code) == ("failed", "rejected_by_bank")
    assert (await platform.wallet(payer)).balance == 0


@pytest.mark.parametrize("owner", ["customer", "merchant"])
async def test_a_withdrawal_is_held_until_the_bank_speaks(platform: Platform, owner: str) -> None:
    payer, shop = await platform.customer(), await platform.merchant(fee_bps=0)
    await platform.pay(payer, shop, 10_000)
    who = payer if owner == "customer" else shop
    before = (await platform.wallet(who)).balance
    yes, no = [await platform.ask(Withdraw(who, amount, "CNY")) for amount in (300, 500)]
    assert (yes.state, yes.body["kind"]) == ("pending", "withdrawal" if owner == "customer" else "payout")
    assert (await platform.wallet(who)).held == 800
    assert (await platform.settle(yes.id, accepted=True)).state == "succeeded"
    assert (await platform.settle(no.id, accepted=False)).state == "failed"
    wallet = await platform.wallet(who)
    assert (wallet.balance, wallet.held) == (before - 300, 0)
    assert await platform.balanced()


async def test_a_withdrawal_beyond_the_balance(platform: Platform) -> None:
    payer = await platform.customer(funds=100)
    said = await platform.ask(Withdraw(payer, 101, "CNY"))
    assert (said.state, said.code) == ("declined", "insufficient_funds")
    async with platform.store.tx("attempts") as tx:
        assert (
            await tx.value(
                b"SELECT count(*) FROM payments.rail_attempts WHERE payment = %(id)s", {"id": said.id}
            )
            == 0
        )


# -- all of it


async def test_every_state_is_reached_and_every_move_is_in_the_table(
    platform: Platform, clock: ManualClock, seed: int
) -> None:
    """A crowd of random commands: no move beside the table, no hold without its payment, books that balance."""
    rng = random.Random(seed)
    people = [await platform.customer() for _ in range(4)]
    shops = [await platform.merchant() for _ in range(2)]
    made, reached = list[Said](), set[str]()
    for _ in range(20):
        if reached == set(MOVES):
            break
        people.append(await platform.customer())  # those before may have spent everything
        starts = [_start(rng, people, shops) for _ in range(25)]
        made += [each for each in await asyncio.gather(*map(platform.ask, starts)) if each.status == 201]
        some = rng.sample(made, min(40, len(made)))
        await asyncio.gather(*(_anything(platform, rng, each) for each in some))
        clock.advance(rng.choice([1, limits.REVIEW_SECONDS // 2, limits.AUTHORIZATION_SECONDS // 2]))
        await expire_due(platform.store, platform.till.submit, clock)
        async with platform.store.tx("states") as tx:
            reached |= {row[0] for row in await tx.tuples(b"SELECT DISTINCT state FROM payments.payments")}
    assert reached == set(MOVES)
    async with platform.store.tx("look") as tx:
        moves = await tx.tuples(b"SELECT DISTINCT from_state, to_state FROM payments.moves")
        waiting = await tx.tuples(
            b"SELECT hold FROM payments.payments WHERE hold IS NOT NULL"
            b" AND state IN ('pending', 'challenged', 'in_review', 'authorized')"
        )
        held = await tx.tuples(b"SELECT id FROM ledger.holds WHERE state = 'open'")
    assert all(after in MOVES[before] for before, after in moves)
    assert set(waiting) == set(held)
    assert await platform.balanced()


def _start(rng: random.Random, people: list[UUID], shops: list[UUID]) -> Any:
    who = rng.choice(people)
    amount = rng.choice([FINE, ASKED, HELD, REFUSED])
    paying = Pay(who, rng.choice(shops), amount, "CNY", rng.random() < 0.5)
    return rng.choice([paying] * 6 + [TopUp(who, 200_000, "CNY"), Withdraw(who, 3000, "CNY")])


async def _anything(platform: Platform, rng: random.Random, said: Said) -> Said:
    payment = said.id
    if said.body["kind"] in {"top_up", "withdrawal"}:
        return await platform.settle(payment, accepted=rng.random() < 0.6)
    code = _code(said) if said.state == "challenged" and rng.random() < 0.6 else "000000"
    return await platform.ask(
        rng.choice(
            [
                Capture(payment, rng.choice([None, 5])),
                Void(payment),
                RefundPayment(payment, rng.choice([None, 3])),
                AnswerChallenge(payment, code),
                Review(payment, rng.random() < 0.5, "anna", ""),
            ]
        )
    )
