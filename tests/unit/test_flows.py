"""The flows are pure: what each command makes of a payment in each state, and what a refund gives back."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tillkeeper.base import limits
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.money import share
from tillkeeper.base.results import PROBLEMS, Refusal
from tillkeeper.ledger import Op, Outcome
from tillkeeper.parties import Standing
from tillkeeper.payments import commands
from tillkeeper.payments.flows import FLOWS, common, refund
from tillkeeper.payments.plan import Asked, Facts, Plan
from tillkeeper.payments.states import MOVES, PAID, WAITING
from tillkeeper.payments.types import Challenge, Located, Payment

NOW = datetime(2026, 4, 15, 12, tzinfo=UTC)
PAYER, PAYEE, FEES = new_id(), new_id(), new_id()
CODE = "123456"


def a_payment(state: str, **fields: Any) -> Payment:
    paid = state in PAID or state == "refunded"
    waits = state in WAITING
    payment = Payment(
        id=new_id(),
        kind="top_up" if state in {"pending", "failed"} else "payment",
        state=state,
        payer=NIL if state in {"pending", "failed"} else new_id(),
        payee=new_id(),
        amount=1000,
        currency="CNY",
        fee_bps=60,
        fee=6 if paid else 0,
        captured=1000 if paid else 0,
        refunded={"partially_refunded": 400, "refunded": 1000}.get(state, 0),
        manual=False,
        risk="allow",
        failure=None,
        hold=new_id() if waits and state != "pending" else None,
        reference=None,
        note=None,
        event_at=NOW,
        created_at=NOW,
        changed_at=NOW,
        expires_at=NOW + timedelta(hours=1) if waits else None,
    )
    return replace(payment, **fields)


def facts_of(payment: Payment | None, now: datetime = NOW, tries: int = 0) -> Facts:
    located = {payment.id: Located(payment, PAYER, PAYEE)} if payment else {}
    challenges = (
        {payment.id: Challenge(payment.id, common.code_hash(payment.id, CODE), tries)} if payment else {}
    )
    standings = (
        {
            payment.payer: Standing(payment.payer, merchant=False, active=True, erased=False, fee_bps=0),
            payment.payee: Standing(payment.payee, merchant=True, active=True, erased=False, fee_bps=60),
        }
        if payment
        else {}
    )
    house = {("CNY", "fees"): FEES}
    return Facts(now, ZoneInfo("Asia/Shanghai"), standings, {}, house, located, challenges, {})


def planned(command: Any, facts: Facts) -> Plan | Refusal:
    return FLOWS[type(command)].plan(Asked(new_id()), command, facts)


def refusal_in(plan: Plan | Refusal) -> Any:
    """The problem a plan answers with, as JSON."""
    assert isinstance(plan, Plan)
    return msgspec.json.decode(plan.done.answer.body)


# Which command may be given in which states, and what becomes of the payment.
WANTED: dict[type, tuple[set[str], str, Callable[[UUID], Any]]] = {
    commands.Capture: ({"authorized"}, "succeeded", commands.Capture),
    commands.Void: ({"authorized"}, "voided", commands.Void),
    commands.RefundPayment: (
        {"succeeded", "partially_refunded"},
        "refunded",
        commands.RefundPayment,
    ),
    commands.AnswerChallenge: (
        {"challenged"},
        "succeeded",
        lambda id_: commands.AnswerChallenge(id_, CODE),
    ),
    commands.Review: (
        {"in_review"},
        "declined",
        lambda id_: commands.Review(id_, release=False, reviewer="anna", reason="no"),
    ),
    commands.SettleRail: (
        {"pending"},
        "failed",
        lambda id_: commands.SettleRail(new_id(), id_, accepted=False),
    ),
    commands.Expire: ({"challenged", "in_review", "authorized"}, "expired", commands.Expire),
}


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("kind", WANTED)
def test_a_command_acts_in_its_states_only(kind: type, state: str) -> None:
    states, after, make = WANTED[kind]
    payment = a_payment(state, expires_at=NOW if kind is commands.Expire else NOW + timedelta(hours=1))
    plan = planned(make(payment.id), facts_of(payment))
    if state in states:
        assert isinstance(plan, Plan)
        assert plan.done.changed is not None
        assert plan.done.move is not None
        assert plan.done.news is not None
        assert (plan.done.changed.state, plan.done.news.topic) == (after, f"payment.{after}")
        assert after in MOVES[state]
        assert (plan.done.move.from_state, plan.done.move.to_state) == (state, after)
    else:
        assert isinstance(plan, Refusal)
        assert (plan.code, state in plan.detail) == ("wrong_state", True)


@pytest.mark.parametrize("kind", WANTED)
def test_a_payment_that_is_not_there(kind: type) -> None:
    plan = planned(WANTED[kind][2](new_id()), facts_of(None))
    assert isinstance(plan, Refusal)
    assert plan.code == "unknown_payment"


def test_every_flow_is_walked_here_or_begins_a_payment() -> None:
    begin = {commands.Pay, commands.SendMoney, commands.TopUp, commands.Withdraw, commands.BringIn}
    assert set(FLOWS) == set(WANTED) | begin


# -- refunds


@st.composite
def splits(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    """What was captured, at which rate, and in which parts it goes back."""
    captured = draw(st.integers(1, 10**12))
    cuts = draw(st.lists(st.integers(1, captured), max_size=8))
    places = sorted({0, captured, *cuts})
    return captured, draw(st.integers(0, 10_000)), [b - a for a, b in itertools.pairwise(places)]


@given(splits())
def test_any_split_of_refunds_returns_exactly_the_fee(split: tuple[int, int, list[int]]) -> None:
    captured, rate, parts = split
    fee = share(captured, rate)
    payment = a_payment("succeeded", amount=captured, captured=captured, fee=fee, fee_bps=rate)
    returned = []
    for part in parts:
        plan = refund.plan(Asked(new_id()), commands.RefundPayment(payment.id, part), facts_of(payment))
        assert isinstance(plan, Plan)
        assert plan.done.changed is not None
        assert plan.done.refund is not None
        returned.append(plan.done.refund.fee_returned)
        assert 0 <= returned[-1] <= part
        assert sum(entry.amount for entry in plan.entries if entry.kind == "fee_return") == returned[-1]
        payment = plan.done.changed
    assert (sum(returned), payment.state, payment.refunded) == (fee, "refunded", captured)


def test_a_refund_is_for_payments_to_merchants() -> None:
    payment = a_payment("succeeded", kind="send")
    plan = planned(commands.RefundPayment(payment.id), facts_of(payment))
    assert isinstance(plan, Refusal)
    assert plan.code == "wrong_state"


def test_a_refund_never_exceeds_what_is_left() -> None:
    payment = a_payment("partially_refunded")
    plan = planned(commands.RefundPayment(payment.id, 601), facts_of(payment))
    assert isinstance(plan, Refusal)
    assert (plan.code, plan.field) == ("exceeds_captured", "amount")
    assert isinstance(planned(commands.RefundPayment(payment.id, 600), facts_of(payment)), Plan)


def test_the_fee_comes_back_before_the_money_goes() -> None:
    payment = a_payment("succeeded")
    plan = planned(commands.RefundPayment(payment.id), facts_of(payment))
    assert isinstance(plan, Plan)
    legs = [(each.debit, each.credit, each.amount, each.linked) for each in plan.entries]
    assert legs == [(FEES, PAYEE, 6, True), (PAYEE, PAYER, 1000, False)]


# -- holds that end


def test_a_capture_takes_its_share_and_releases_the_rest() -> None:
    payment = a_payment("authorized", fee_bps=1000)
    plan = planned(commands.Capture(payment.id, 250), facts_of(payment))
    assert isinstance(plan, Plan)
    settle, fee = plan.entries
    assert (settle.op, settle.amount, settle.hold, settle.linked) == (Op.SETTLE, 250, payment.hold, True)
    assert (fee.debit, fee.credit, fee.amount) == (PAYEE, FEES, 25)
    assert plan.done.changed is not None
    assert (plan.done.changed.captured, plan.done.changed.fee) == (250, 25)


def test_a_capture_of_more_than_is_held() -> None:
    payment = a_payment("authorized")
    plan = planned(commands.Capture(payment.id, 1001), facts_of(payment))
    assert isinstance(plan, Refusal)
    assert (plan.code, plan.field) == ("exceeds_hold", "amount")


@pytest.mark.parametrize("kind", [commands.AnswerChallenge, commands.Review])
def test_a_manual_payment_that_passes_waits_for_its_capture(kind: type) -> None:
    state = "challenged" if kind is commands.AnswerChallenge else "in_review"
    payment = a_payment(state, manual=True)
    command = (
        commands.AnswerChallenge(payment.id, CODE)
        if state == "challenged"
        else commands.Review(payment.id, release=True, reviewer="anna", reason="known")
    )
    plan = planned(command, facts_of(payment))
    assert isinstance(plan, Plan)
    assert plan.done.changed is not None
    assert (plan.done.changed.state, plan.entries) == ("authorized", ())
    assert plan.done.changed.expires_at == NOW + timedelta(seconds=limits.AUTHORIZATION_SECONDS)


def test_wrong_codes_are_counted_and_the_last_ends_the_payment() -> None:
    payment = a_payment("challenged")
    answer = commands.AnswerChallenge(payment.id, "000000")
    for tries in range(limits.CHALLENGE_TRIES - 1):
        plan = planned(answer, facts_of(payment, tries=tries))
        assert isinstance(plan, Plan)
        assert refusal_in(plan)["code"] == "challenge_failed"
        assert plan.done.challenge is not None
        assert (plan.done.challenge.tries, plan.done.changed) == (tries + 1, None)
    plan = planned(answer, facts_of(payment, tries=limits.CHALLENGE_TRIES - 1))
    assert isinstance(plan, Plan)
    assert plan.done.changed is not None
    assert (plan.done.changed.state, plan.done.changed.failure) == ("declined", "challenge_exhausted")
    assert [entry.op for entry in plan.entries] == [Op.VOID]


def test_the_right_code_too_late() -> None:
    payment = a_payment("challenged")
    assert payment.expires_at is not None
    plan = planned(commands.AnswerChallenge(payment.id, CODE), facts_of(payment, now=payment.expires_at))
    assert isinstance(plan, Plan)
    assert plan.done.changed is not None
    assert plan.done.changed.state == "expired"


def test_nothing_expires_before_its_time() -> None:
    payment = a_payment("authorized")
    plan = planned(commands.Expire(payment.id), facts_of(payment))
    assert isinstance(plan, Refusal)
    assert plan.code == "wrong_state"


# -- outcomes of the ledger


def outcomes_of(values: Sequence[Outcome]) -> set[str]:
    return {common.failure_of(each) for each in values}


def test_outcomes_that_an_input_can_cause_have_a_code() -> None:
    known = [Outcome.INSUFFICIENT_FUNDS, Outcome.DAY_LIMIT_EXCEEDED, Outcome.EXCEEDS_HOLD]
    assert outcomes_of(known) <= set(PROBLEMS)
    with pytest.raises(KeyError):
        common.failure_of(Outcome.CURRENCY_DIFFERS)


def test_the_business_day_ends_where_the_business_is() -> None:
    facts = facts_of(None, now=datetime(2026, 4, 15, 15, 59, 59, tzinfo=UTC))
    assert facts.day().isoformat() == "2026-04-15"
    assert facts.day(datetime(2026, 4, 15, 16, tzinfo=UTC)).isoformat() == "2026-04-16"


def test_codes_differ_between_payments() -> None:
    assert common.code_hash(UUID(int=1), CODE) != common.code_hash(UUID(int=2), CODE)
