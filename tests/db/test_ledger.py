"""The ledger's contract by example: outcomes in the order of their checks, chains, holds, reversals, time, rights."""

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from msgspec.structs import replace

from tests.support.books import FAR, NOON, TODAY, Books, account, bank, close, entry, hold, pay
from tests.support.postgres import Database
from tillkeeper import ledger
from tillkeeper.base.ids import new_id
from tillkeeper.base.limits import MAX_TRANSFERS_PER_POST
from tillkeeper.ledger import Entry, Op, Outcome
from tillkeeper.store import Store


@pytest.fixture
async def store(module_database: Database) -> AsyncIterator[Store]:
    """One database for all of these: each has accounts of its own."""
    async with Store.opened(module_database.app_url) as opened:
        yield opened


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store)


class Cast:
    """Every account that the examples need, an open and a closed hold, a transfer and its reversal."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.anna, self.ben, self.abroad = account(day_limit=500), account(), account(currency="USD")
        self.bank, self.stranger = bank(), account()
        self.open_hold, self.closed_hold = hold(self.anna, self.ben, 100), hold(self.anna, self.ben, 10)
        self.paid = pay(self.anna, self.ben, 40)
        self.taken_back = pay(self.anna, self.ben, 7)

    async def enter(self) -> "Cast":
        await self.books.open(self.anna, self.ben, self.abroad, self.bank)
        batch = [
            pay(self.bank, self.anna, 1000),
            self.open_hold,
            self.closed_hold,
            self.paid,
            self.taken_back,
        ]
        assert set(await self.books.post(*batch)) == {Outcome.OK}
        later = [close(Op.VOID, self.closed_hold), self.reversal(self.taken_back)]
        assert set(await self.books.post(*later)) == {Outcome.OK}
        return self

    @staticmethod
    def reversal(of: Entry, amount: int | None = None) -> Entry:
        return pay(of.credit, of.debit, of.amount if amount is None else amount, reverses=of.id)


@pytest.fixture
async def cast(books: Books) -> Cast:
    return await Cast(books).enter()


# Each entry has its own fault and, where it can, all faults that are checked later: the earlier check must speak.
def faulty(cast: Cast) -> dict[Outcome, Entry]:
    nobody = cast.stranger
    return {
        Outcome.AMOUNT_NOT_POSITIVE: entry(Op.CAPTURE, nobody, nobody, 0, hold=new_id()),
        Outcome.SAME_ACCOUNT: entry(Op.CAPTURE, cast.anna, cast.anna, 5000, hold=new_id()),
        Outcome.DEBIT_ACCOUNT_NOT_FOUND: entry(Op.CAPTURE, nobody, account(), 5000, hold=new_id()),
        Outcome.CREDIT_ACCOUNT_NOT_FOUND: entry(Op.CAPTURE, cast.anna, nobody, 5000, hold=new_id()),
        Outcome.CURRENCY_DIFFERS: entry(Op.CAPTURE, cast.anna, cast.abroad, 5000, hold=new_id()),
        Outcome.HOLD_NOT_FOUND: entry(Op.CAPTURE, cast.anna, cast.ben, 5000, hold=new_id()),
        Outcome.HOLD_ACCOUNTS_DIFFER: entry(Op.CAPTURE, cast.ben, cast.anna, 5000, hold=cast.closed_hold.id),
        Outcome.HOLD_CLOSED: entry(Op.CAPTURE, cast.anna, cast.ben, 5000, hold=cast.closed_hold.id),
        Outcome.EXCEEDS_HOLD: entry(Op.CAPTURE, cast.anna, cast.ben, 101, hold=cast.open_hold.id),
        Outcome.TRANSFER_NOT_FOUND: pay(cast.anna, cast.ben, 5000, reverses=new_id(), day=TODAY),
        Outcome.REVERSAL_DIFFERS: pay(cast.anna, cast.ben, 5000, reverses=cast.taken_back.id, day=TODAY),
        Outcome.ALREADY_REVERSED: cast.reversal(cast.taken_back),
        Outcome.DAY_LIMIT_EXCEEDED: pay(cast.anna, cast.ben, 5000, day=TODAY),
        Outcome.INSUFFICIENT_FUNDS: pay(cast.anna, cast.ben, 5000),
        Outcome.OK: pay(cast.anna, cast.ben, 5),
    }


async def test_each_outcome_and_none_leaves_a_trace_but_ok(cast: Cast) -> None:
    for outcome, each in faulty(cast).items():
        before = await cast.books.states([cast.anna, cast.ben, cast.bank])
        assert await cast.books.one(each) is outcome
        after = await cast.books.states([cast.anna, cast.ben, cast.bank])
        assert (after == before) is (outcome is not Outcome.OK)


async def test_the_examples_are_all_outcomes(cast: Cast) -> None:
    assert set(faulty(cast)) == set(Outcome) - {Outcome.LINKED_FAILED}


async def test_a_batch_names_each_outcome_in_order(cast: Cast) -> None:
    batch = faulty(cast)
    assert await cast.books.post(*batch.values()) == list(batch)


async def test_an_entry_sees_those_before_it(cast: Cast) -> None:
    ben, other = cast.ben, account()
    await cast.books.open(other)
    batch = [pay(other, ben, 30), pay(ben, other, 40), pay(other, ben, 30), pay(ben, other, 100)]
    expected = [Outcome.INSUFFICIENT_FUNDS, Outcome.OK, Outcome.OK, Outcome.INSUFFICIENT_FUNDS]
    assert await cast.books.post(*batch) == expected


# -- chains


async def test_a_chain_is_all_or_none(cast: Cast) -> None:
    before = await cast.books.states([cast.anna, cast.ben])
    chain = [
        pay(cast.anna, cast.ben, 10, linked=True, day=TODAY + timedelta(days=1)),
        hold(cast.anna, cast.ben, 20, linked=True),
        entry(Op.SETTLE, cast.anna, cast.ben, 50, hold=cast.open_hold.id, linked=True),
        pay(cast.anna, cast.ben, 5000, linked=True),
        pay(cast.anna, cast.ben, 1),
    ]
    alone = pay(cast.anna, cast.ben, 2)
    linked = Outcome.LINKED_FAILED
    assert await cast.books.post(*chain, alone) == [
        linked,
        linked,
        linked,
        Outcome.INSUFFICIENT_FUNDS,
        linked,
        Outcome.OK,
    ]
    anna, ben = (await cast.books.states([cast.anna, cast.ben])).values()
    was_anna, was_ben = before.values()
    assert {each.id for each in (anna, was_anna)} == {anna.id}
    assert (anna.balance, anna.held, anna.day, anna.day_spent) == (
        was_anna.balance - 2,
        was_anna.held,
        was_anna.day,
        was_anna.day_spent,
    )
    assert ben.balance == was_ben.balance + 2
    [still_open] = await cast.books.holds_of(cast.open_hold.payment)
    assert (still_open.state, still_open.captured) == ("open", 0)
    assert (await ledger.verify(cast.books.store)).balanced


async def test_chains_side_by_side_do_not_share_their_fate(cast: Cast) -> None:
    good = [pay(cast.anna, cast.ben, 1, linked=True), pay(cast.ben, cast.anna, 1)]
    bad = [pay(cast.anna, cast.ben, 1, linked=True), pay(cast.anna, cast.abroad, 1)]
    assert await cast.books.post(*bad, *good) == [
        Outcome.LINKED_FAILED,
        Outcome.CURRENCY_DIFFERS,
        Outcome.OK,
        Outcome.OK,
    ]


# -- holds


async def test_a_hold_reserves_and_its_capture_cannot_fail_for_lack_of_funds(books: Books) -> None:
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna, amount=100)
    reserve = hold(anna, ben, 80)
    assert await books.one(reserve) is Outcome.OK
    assert (await books.state(anna)).available == 20
    assert await books.one(pay(anna, ben, 21)) is Outcome.INSUFFICIENT_FUNDS
    assert await books.one(hold(anna, ben, 21)) is Outcome.INSUFFICIENT_FUNDS
    assert await books.one(pay(anna, ben, 20)) is Outcome.OK
    assert await books.one(close(Op.CAPTURE, reserve, 80)) is Outcome.OK
    state = await books.state(anna)
    assert (state.balance, state.held) == (0, 0)


@pytest.mark.parametrize(
    ("op", "amount", "ends", "captured", "held"),
    [
        (Op.CAPTURE, 30, "open", 30, 50),
        (Op.CAPTURE, 80, "captured", 80, 0),
        (Op.SETTLE, 30, "captured", 30, 0),
        (Op.VOID, 0, "voided", 0, 0),
        (Op.EXPIRE, 0, "expired", 0, 0),
    ],
)
async def test_how_a_hold_ends(
    books: Books, op: Op, amount: int, ends: str, captured: int, held: int
) -> None:
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna, amount=100)
    reserve = hold(anna, ben, 80)
    assert await books.one(reserve) is Outcome.OK
    assert await books.one(close(op, reserve, amount)) is Outcome.OK
    state = await books.state(anna)
    assert (state.balance, state.held) == (100 - captured, held)
    [found] = await books.holds_of(reserve.payment)
    assert (found.state, found.captured, found.expires_at) == (ends, captured, FAR)
    assert (found.closed_at is None) is (ends == "open")
    if ends != "open":
        assert await books.one(close(Op.VOID, reserve)) is Outcome.HOLD_CLOSED
    assert (await ledger.verify(books.store)).balanced


@pytest.mark.parametrize(("debit", "credit"), [("bank", "ben"), ("ben", "vault")])
async def test_holds_that_a_capture_could_fail_are_refused(cast: Cast, debit: str, credit: str) -> None:
    """A bank's reserve means nothing, and a bank with a floor might be at it when the capture comes."""
    vault = account("debit", 0)
    await cast.books.open(vault)
    people = {"bank": cast.bank, "ben": cast.ben, "vault": vault}
    assert await cast.books.one(hold(people[debit], people[credit], 1)) is Outcome.INSUFFICIENT_FUNDS


# -- limits of the day


async def test_the_day_limit_counts_payments_and_holds_and_forgets_what_was_released(books: Books) -> None:
    anna, ben = account(day_limit=100), account()
    await books.open(anna, ben)
    await books.fund(anna)
    reserve = hold(anna, ben, 60, day=TODAY)
    assert await books.post(pay(anna, ben, 40, day=TODAY), reserve, pay(anna, ben, 1, day=TODAY)) == [
        Outcome.OK,
        Outcome.OK,
        Outcome.DAY_LIMIT_EXCEEDED,
    ]
    assert await books.one(pay(anna, ben, 1)) is Outcome.OK  # what has no day does not count
    assert await books.one(close(Op.SETTLE, reserve, 25)) is Outcome.OK
    assert (await books.state(anna)).day_spent == 65
    assert await books.one(pay(anna, ben, 36, day=TODAY)) is Outcome.DAY_LIMIT_EXCEEDED
    assert await books.one(pay(anna, ben, 35, day=TODAY)) is Outcome.OK


async def test_a_new_day_begins_anew_and_late_events_get_no_second_allowance(books: Books) -> None:
    anna, ben = account(day_limit=100), account()
    await books.open(anna, ben)
    await books.fund(anna)
    tomorrow = TODAY + timedelta(days=1)
    assert await books.one(pay(anna, ben, 100, day=TODAY)) is Outcome.OK
    assert await books.one(pay(anna, ben, 90, day=tomorrow)) is Outcome.OK
    assert await books.one(pay(anna, ben, 11, day=TODAY)) is Outcome.DAY_LIMIT_EXCEEDED
    assert await books.one(pay(anna, ben, 10, day=TODAY)) is Outcome.OK
    state = await books.state(anna)
    assert (state.day, state.day_spent) == (tomorrow, 100)


async def test_a_refused_payment_begins_no_day(books: Books) -> None:
    anna, ben = account(day_limit=100), account()
    await books.open(anna, ben)
    await books.fund(anna)
    tomorrow = TODAY + timedelta(days=1)
    assert await books.one(pay(anna, ben, 60, day=TODAY)) is Outcome.OK
    batch = [
        pay(anna, ben, 101, day=tomorrow),
        pay(anna, ben, 5, day=tomorrow, linked=True),
        pay(anna, ben, 5000),
        pay(anna, ben, 41, day=TODAY),
        pay(anna, ben, 40, day=TODAY),
    ]
    expected = [
        Outcome.DAY_LIMIT_EXCEEDED,
        Outcome.LINKED_FAILED,
        Outcome.INSUFFICIENT_FUNDS,
        Outcome.DAY_LIMIT_EXCEEDED,
        Outcome.OK,
    ]
    assert await books.post(*batch) == expected
    state = await books.state(anna)
    assert (state.day, state.day_spent) == (TODAY, 100)


async def test_a_limit_changes_for_what_comes(books: Books) -> None:
    anna, ben = account(day_limit=100), account()
    await books.open(anna, ben)
    await books.fund(anna)
    assert await books.one(pay(anna, ben, 100, day=TODAY)) is Outcome.OK
    async with books.store.tx("limit") as tx:
        assert await ledger.limit_day(tx, anna.id, 130)
        assert not await ledger.limit_day(tx, new_id(), 130)
    assert await books.one(pay(anna, ben, 31, day=TODAY)) is Outcome.DAY_LIMIT_EXCEEDED
    assert await books.one(pay(anna, ben, 30, day=TODAY)) is Outcome.OK
    async with books.store.tx("limit") as tx:
        assert await ledger.limit_day(tx, anna.id, None)
    assert await books.one(pay(anna, ben, 500, day=TODAY)) is Outcome.OK


# -- reversals


async def test_a_reversal_is_whole_and_once(cast: Cast) -> None:
    half = cast.reversal(cast.paid, 20)
    assert await cast.books.one(half) is Outcome.REVERSAL_DIFFERS
    first, second = cast.reversal(cast.paid), cast.reversal(cast.paid)
    assert await cast.books.post(first, second) == [Outcome.OK, Outcome.ALREADY_REVERSED]
    assert await cast.books.one(cast.reversal(cast.paid)) is Outcome.ALREADY_REVERSED
    async with cast.books.store.tx("read") as tx:
        [booked] = await ledger.transfers_of(tx, first.payment)
    assert (booked.reverses, booked.amount) == (cast.paid.id, 40)


async def test_a_reversal_that_failed_does_not_count(cast: Cast) -> None:
    """The second of a batch is told what holds for it, not that the failed first had reversed anything."""
    assert await cast.books.one(pay(cast.ben, cast.bank, 20)) is Outcome.OK
    tries = [cast.reversal(cast.paid), pay(cast.bank, cast.ben, 20), cast.reversal(cast.paid)]
    assert await cast.books.post(*tries) == [Outcome.INSUFFICIENT_FUNDS, Outcome.OK, Outcome.OK]


# -- time


async def test_booking_times_follow_versions_even_when_a_clock_is_behind(books: Books) -> None:
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna)
    first, second = pay(anna, ben, 1), pay(anna, ben, 2)
    books.booked_at = NOON + timedelta(hours=1)
    assert await books.one(first) is Outcome.OK
    books.booked_at = NOON + timedelta(minutes=1)
    assert await books.one(second) is Outcome.OK
    async with books.store.tx("read") as tx:
        [one], [other] = (
            await ledger.transfers_of(tx, first.payment),
            await ledger.transfers_of(tx, second.payment),
        )
        assert one.booked_at == other.booked_at
        assert await ledger.balance_booked_by(tx, ben.id, NOON + timedelta(minutes=30)) == 0
        assert await ledger.balance_booked_by(tx, ben.id, other.booked_at) == 3


async def test_late_events_change_the_balance_by_event_only(books: Books) -> None:
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna)
    yesterday = NOON - timedelta(days=1)
    assert await books.one(pay(anna, ben, 5, event_at=yesterday)) is Outcome.OK
    state = await books.state(ben)
    async with books.store.tx("read") as tx:
        assert await ledger.balance_by_event(tx, state, yesterday) == 5
        assert await ledger.balance_by_event(tx, state, yesterday - timedelta(seconds=1)) == 0
        assert await ledger.balance_booked_by(tx, ben.id, yesterday) == 0


# -- batches


async def test_an_id_posted_twice_changes_nothing(cast: Cast) -> None:
    before = await cast.books.states([cast.anna, cast.ben])
    with pytest.raises(psycopg.errors.UniqueViolation):
        await cast.books.post(pay(cast.anna, cast.ben, 3), replace(cast.paid, amount=1))
    assert await cast.books.states([cast.anna, cast.ben]) == before


async def test_an_empty_batch_and_one_too_large(cast: Cast) -> None:
    assert await cast.books.post() == []
    with pytest.raises(ValueError, match="8192 are allowed"):
        await cast.books.post(*[pay(cast.anna, cast.ben, 1)] * (MAX_TRANSFERS_PER_POST + 1))


async def test_the_largest_batch(books: Books) -> None:
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna, amount=MAX_TRANSFERS_PER_POST)
    batch = [pay(anna, ben, 1) for _ in range(MAX_TRANSFERS_PER_POST)]
    assert set(await books.post(*batch)) == {Outcome.OK}
    state = await books.state(ben)
    assert (state.balance, state.version) == (MAX_TRANSFERS_PER_POST, MAX_TRANSFERS_PER_POST)


async def test_an_account_is_opened_once(books: Books) -> None:
    anna = account()
    await books.open(anna)
    with pytest.raises(psycopg.errors.UniqueViolation):
        await books.open(anna)


async def test_totals_of_each_currency(books: Books) -> None:
    wallet = account(currency="XAF")
    await books.open(wallet)
    await books.fund(wallet, amount=55)
    async with books.store.tx("totals") as tx:
        found = {each.currency: each for each in await ledger.totals(tx)}
    assert all(each.balanced for each in found.values())
    assert (found["XAF"].debit_side, found["XAF"].credit_side, found["XAF"].accounts) == (55, 55, 2)


def test_the_available_part_of_an_account() -> None:
    state = ledger.Account(new_id(), "CNY", "credit", "wallet", 0, None, 100, 30, 1, None, 0, NOON)
    assert state.available == 70
