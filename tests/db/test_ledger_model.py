"""The ledger against a simpler model of itself: random batches, and every figure compared."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.books import FAR, NOON, TODAY, Books, account, bank, entry, pay
from tests.support.model import Model, ModelTransfer
from tillkeeper import ledger
from tillkeeper.base.ids import new_id
from tillkeeper.ledger import Entry, NewAccount, Op
from tillkeeper.store import Store

STRANGER = 8
"""The place of an account that does not exist, after those of `cast`."""


class Intent(NamedTuple):
    """An entry before it is known what there is to refer to."""

    op: Op
    debit: int
    credit: int
    amount: int
    refers_to: int
    reverses: bool
    awry: bool
    linked: bool
    day: int | None
    happened: int


def cast() -> list[NewAccount]:
    """Wallets, one with a daily limit, one without a floor; a bank; a bank with a floor; another currency."""
    return [
        *(account() for _ in range(3)),
        account(day_limit=300),
        account(lower_limit=None),
        bank(),
        account("debit", 0),
        account(currency="USD"),
    ]


places = st.sampled_from([0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, STRANGER])
intents = st.builds(
    Intent,
    op=st.sampled_from([Op.POST, Op.POST, Op.POST, Op.HOLD, Op.HOLD, *Op]),
    debit=places,
    credit=places,
    amount=st.one_of(st.integers(1, 60), st.integers(-1, 400)),
    refers_to=st.integers(0, 60),
    reverses=st.sampled_from([True, False, False, False]),
    awry=st.sampled_from([True, *[False] * 9]),
    linked=st.sampled_from([True, False, False]),
    day=st.sampled_from([None, 0, 0, 0, 1, -1]),
    happened=st.integers(-3600, 3600),
)
histories = st.lists(st.lists(intents, min_size=1, max_size=12), min_size=1, max_size=6)


def to_entry(intent: Intent, people: Sequence[UUID], model: Model, fresh: list[Entry]) -> Entry:
    """The intent's entry: accounts and amount fit what it refers to, unless it goes awry."""
    debit, credit, amount = people[intent.debit], people[intent.credit], intent.amount
    hold = reverses = None
    if intent.op >= Op.CAPTURE:
        found = [*model.holds, *(each.id for each in fresh if each.op is Op.HOLD), new_id()]
        hold = found[intent.refers_to % len(found)]
        if hold in model.holds and not intent.awry:
            debit, credit = model.holds[hold].debit, model.holds[hold].credit
    elif intent.op is Op.POST and intent.reverses:
        known = [*model.transfers, *(each.id for each in fresh if each.op is Op.POST), new_id()]
        reverses = known[intent.refers_to % len(known)]
        if reverses in model.transfers and not intent.awry:
            original: ModelTransfer = model.transfers[reverses]
            debit, credit, amount = original.credit, original.debit, original.amount
    return entry(
        intent.op,
        debit,
        credit,
        amount,
        hold=hold,
        reverses=reverses,
        linked=intent.linked,
        day=None if intent.day is None else TODAY + timedelta(days=intent.day),
        expires_at=FAR if intent.op is Op.HOLD else None,
        event_at=NOON + timedelta(seconds=intent.happened),
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
async def test_ledger_and_model_agree(store: Store, history: list[list[Intent]]) -> None:
    books, model, people = Books(store), Model(), cast()
    await books.open(*people)
    for each in people:
        model.open(each)
    ids = [*(each.id for each in people), new_id()]
    for wallet in (*people[:4], people[6]):  # the bank with a floor is funded against an account without one
        source = people[5] if wallet.side == "credit" else people[4]
        await _both(
            books, model, [pay(source, wallet, 200) if wallet.side == "credit" else pay(wallet, source, 200)]
        )
    for batch in history:
        entries: list[Entry] = []
        for intent in batch:
            entries.append(to_entry(intent, ids, model, entries))
        await _both(books, model, entries)
    await _compare(books, model, people)


async def _both(books: Books, model: Model, entries: Sequence[Entry]) -> None:
    outcomes = await books.post(*entries)
    assert outcomes == model.post(entries, books.booked_at)


async def _compare(books: Books, model: Model, people: Sequence[NewAccount]) -> None:
    stored = await books.states(people)
    for who, expected in model.accounts.items():
        found = stored[who]
        assert (found.balance, found.held, found.version) == (
            expected.balance,
            expected.held,
            expected.version,
        )
        assert (found.day, found.day_spent) == (expected.day, expected.day_spent)
    for each in (people[0], people[5]):
        await _compare_history(books, model, stored[each.id])
    async with books.store.tx("holds") as tx:
        rows = await tx.tuples(
            b"SELECT id, amount - captured, captured, state, counted_day FROM ledger.holds WHERE id = ANY (%(ids)s)",
            {"ids": list(model.holds)},
        )
    assert {row[0]: row[2:] for row in rows} == {
        who: (hold.captured, hold.state, hold.day) for who, hold in model.holds.items()
    }
    assert all(rest == model.holds[who].rest for who, rest, _, state, _ in rows if state == "open")
    report = await ledger.verify(books.store)
    assert report.differences == []
    assert report.balanced


async def _compare_history(books: Books, model: Model, of: ledger.Account) -> None:
    """Statement line by line in pages of three, running balances, and balances as of times in between."""
    ours = [each for each in model.transfers.values() if of.id in (each.debit, each.credit)]
    balances = [each.debit_balance if each.debit == of.id else each.credit_balance for each in ours]
    async with books.store.tx("history") as tx:
        lines: list[ledger.Line] = []
        while page := await ledger.statement(tx, of.id, lines[-1].version if lines else None, limit=3):
            lines += page
        assert [(line.id, line.balance) for line in reversed(lines)] == [
            (each.id, balance) for each, balance in zip(ours, balances, strict=True)
        ]
        assert [line.version for line in lines] == list(range(of.version, 0, -1))
        for at in {each.booked_at for each in ours}:
            booked = [balance for each, balance in zip(ours, balances, strict=True) if each.booked_at <= at]
            assert await ledger.balance_booked_by(tx, of.id, at) == booked[-1]
        happened = sum(
            each.amount * (1 if each.credit == of.id else -1) for each in ours if each.event_at <= NOON
        )
        assert await ledger.balance_by_event(tx, of, NOON) == (happened if of.side == "credit" else -happened)
