"""Several connections post against few accounts: limits hold, books balance, nobody deadlocks."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

from tests.support.books import TODAY, Books, account, close, hold, pay
from tillkeeper import ledger
from tillkeeper.ledger import Entry, NewAccount, Op, Outcome
from tillkeeper.store import Store

WORKERS = 6
BATCHES = 25


async def _worker(
    store: Store, people: Sequence[NewAccount], rng: random.Random
) -> Counter[tuple[str, Outcome]]:
    """Batches of payments and holds among the people, and the ends of this worker's own holds."""
    books, holds, seen = Books(store), list[Entry](), Counter[tuple[str, Outcome]]()
    for _ in range(BATCHES):
        batch = []
        for _ in range(rng.randrange(1, 8)):
            payer, payee = rng.sample(people, 2)
            make = rng.choice([pay, pay, hold])
            batch.append(make(payer, payee, rng.randrange(1, 120), day=TODAY, linked=rng.random() < 0.2))
        batch += [
            close(rng.choice([Op.SETTLE, Op.VOID]), each, 1 + rng.randrange(each.amount))
            for each in holds[:2]
        ]
        outcomes = await books.post(*batch)
        holds = [
            *holds[2:],
            *(each for each, done in zip(batch, outcomes, strict=True) if each.op is Op.HOLD and not done),
        ]
        seen.update((each.op.name, done) for each, done in zip(batch, outcomes, strict=True))
    return seen


async def test_limits_hold_and_books_balance_under_contention(store: Store, seed: int) -> None:
    books, rng = Books(store), random.Random(seed)
    people = [account(day_limit=1500) for _ in range(4)]
    await books.open(*people)
    await books.fund(*people, amount=700)
    rngs = [random.Random(rng.random()) for _ in range(WORKERS)]
    counts = await asyncio.gather(*(_worker(store, people, each) for each in rngs))
    seen = sum(counts, Counter[tuple[str, Outcome]]())
    assert seen["POST", Outcome.OK] > 20
    assert seen["POST", Outcome.INSUFFICIENT_FUNDS] + seen["POST", Outcome.DAY_LIMIT_EXCEEDED] > 20
    assert seen["SETTLE", Outcome.OK] > 2
    for op in ("SETTLE", "VOID"):
        assert not {done for name, done in seen if name == op} - {Outcome.OK, Outcome.LINKED_FAILED}
    states = (await books.states(people)).values()
    assert sum(each.balance for each in states) == 700 * len(people)
    assert all(each.available >= 0 and each.day_spent <= 1500 for each in states)
    assert (await ledger.verify(store)).balanced


async def test_two_payments_cannot_both_pass_one_limit(store: Store) -> None:
    books = Books(store)
    anna, ben = account(day_limit=100), account()
    await books.open(anna, ben)
    await books.fund(anna)
    outcomes = await asyncio.gather(*(books.one(pay(anna, ben, 30, day=TODAY)) for _ in range(8)))
    assert Counter(outcomes) == {Outcome.OK: 3, Outcome.DAY_LIMIT_EXCEEDED: 5}


async def test_two_payments_cannot_both_take_the_last_money(store: Store) -> None:
    books = Books(store)
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna, amount=100)
    outcomes = await asyncio.gather(*(books.one(pay(anna, ben, 40)) for _ in range(8)))
    assert Counter(outcomes) == {Outcome.OK: 2, Outcome.INSUFFICIENT_FUNDS: 6}


async def test_a_hold_is_captured_once(store: Store) -> None:
    books = Books(store)
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna)
    reserve = hold(anna, ben, 50)
    assert await books.one(reserve) is Outcome.OK
    ends = [close(op, reserve, 50) for op in (Op.CAPTURE, Op.SETTLE, Op.VOID, Op.EXPIRE)]
    outcomes = await asyncio.gather(*map(books.one, ends))
    assert Counter(outcomes) == {Outcome.OK: 1, Outcome.HOLD_CLOSED: 3}


async def test_a_transfer_is_reversed_once(store: Store) -> None:
    books = Books(store)
    anna, ben = account(), account()
    await books.open(anna, ben)
    await books.fund(anna)
    paid = pay(anna, ben, 50)
    assert await books.post(paid, pay(anna, ben, 500)) == [Outcome.OK] * 2
    outcomes = await asyncio.gather(*(books.one(pay(ben, anna, 50, reverses=paid.id)) for _ in range(6)))
    assert Counter(outcomes) == {Outcome.OK: 1, Outcome.ALREADY_REVERSED: 5}


async def test_verification_reads_one_moment_while_payments_go_on(store: Store) -> None:
    books = Books(store)
    people = [account() for _ in range(3)]
    await books.open(*people)
    await books.fund(*people, amount=10_000)
    stop = asyncio.Event()

    async def keep_paying() -> int:
        batches = 0
        while not stop.is_set():
            await books.post(*(pay(people[n % 3], people[(n + 1) % 3], 1) for n in range(20)))
            batches += 1
        return batches

    paying = asyncio.create_task(keep_paying())
    reports = [await ledger.verify(store) for _ in range(10)]
    stop.set()
    assert await paying > 0
    assert all(report.balanced for report in reports)
    assert reports[-1].transfers > reports[0].transfers
