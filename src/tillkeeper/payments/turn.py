"""The turn: what waits is carried through together. Claim, decide, book, commit, and only then answer.

One loop a process. Of two turns in flight one computes while the other is in the database; they decide in the order
in which their commands arrived, because risk's profiles are a history, and commit in that order too.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper import ledger, parties
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import NIL, new_id
from tillkeeper.base.results import Refusal
from tillkeeper.ledger import Entry, Outcome
from tillkeeper.parties import Standing
from tillkeeper.payments import rows
from tillkeeper.payments.flows import FLOWS, Flow
from tillkeeper.payments.gauge import Gauge
from tillkeeper.payments.plan import Asked, Facts, Needs, Plan, Result
from tillkeeper.payments.render import Reason, problem
from tillkeeper.payments.types import Challenge, Located, QrCode
from tillkeeper.risk import Attempt, Decision, RiskEngine
from tillkeeper.store import Answer, Key, Store, Tx, idempotency, is_transient

log = logging.getLogger(__name__)

_REUSED: Final = problem(
    Refusal("idempotency_key_reused", "use a new key for a new request", "Idempotency-Key")
)
_OVERLOADED: Final = problem(Refusal("overloaded", "try again with the same Idempotency-Key in a second"))
_UNAVAILABLE: Final = problem(
    Refusal("unavailable", "try again with the same Idempotency-Key in a few seconds")
)
_INTERNAL: Final = problem(Refusal("internal", "nothing was done; the fault is in the log"))
_NO_RISK: Final = problem(Refusal("unavailable", "this process takes no payments: ask the api"))


class Work(msgspec.Struct, eq=False):
    """A command on its way. `decision` survives the retry of a turn: risk heard it once.

    `id` is given when a turn takes the command, so that ids are in the order of deciding: profiles are rebuilt by it.
    """

    command: Any
    key: Key | None
    flow: Flow
    needs: Needs
    tokens: tuple[Any, ...]
    arrived: float
    answer: asyncio.Future[Answer]
    id: UUID = NIL
    attempt: Attempt | Refusal | None = None
    decision: Decision | None = None


class Till:
    """The counter: takes commands and answers when they are durable.

    Without a risk engine it refuses commands that need a decision: only the one process that keeps the profiles
    takes payments; the console and the agent use a till for the rest.
    """

    def __init__(self, store: Store, engine: RiskEngine | None, clock: Clock, timezone: str) -> None:
        self.gauge = Gauge(store, clock)
        self._store = store
        self._engine = engine
        self._clock = clock
        self._zone = ZoneInfo(timezone)
        self._queue: deque[Work] = deque()
        self._busy: set[Any] = set()
        self._turns: set[asyncio.Task[None]] = set()
        self._last: _Turn | None = None
        self._booking = asyncio.Lock()
        self._committing = asyncio.Lock()
        self._house: dict[tuple[str, str], UUID] = {}
        self._wallets: dict[tuple[UUID, str], UUID] = {}
        self._pump_due = False
        self._profiles_stale = False

    async def submit(self, command: Any, key: Key | None = None) -> Answer:
        """Carry a command through and give its answer: a result or a refusal, stored under the key, if there is one.

        Refusals that are nobody's answer (overload, no database) are not stored: the same key may try again.
        """
        return await self.offer(command, key)

    def offer(self, command: Any, key: Key | None = None) -> asyncio.Future[Answer]:
        """As submit, but without waiting: commands are carried through in the order in which they are offered."""
        loop = asyncio.get_running_loop()
        if len(self._queue) >= limits.MAX_QUEUE:
            return _done(loop, _OVERLOADED)
        flow = FLOWS[type(command)]
        if flow.attempt and self._engine is None:
            return _done(loop, _NO_RISK)
        needs = flow.needs(command)
        work = Work(
            command,
            key,
            flow,
            needs,
            _tokens(key, needs),
            self._clock.monotonic(),
            loop.create_future(),
        )
        self._queue.append(work)
        self._wake()
        return work.answer

    async def close(self) -> None:
        """Let everything that waits be carried through, then stop."""
        while self._turns or self._queue:
            self._pump()
            await asyncio.gather(*self._turns)

    def _wake(self) -> None:
        # Not at once: what arrives in this pass of the event loop shares the turn.
        if not self._pump_due:
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        while self._queue and self._may_begin():
            works = self._take()
            if not works:
                return  # all of it waits for turns in flight, which wake us at their end
            self._last = _Turn(self._clock.now(), len(works), self._last)
            running = asyncio.ensure_future(self._run(self._last, works))
            self._turns.add(running)
            running.add_done_callback(self._ended)

    def _may_begin(self) -> bool:
        """Whether a turn may begin: alone, when as many wait as the one before has, or when that one is booked.

        Earlier it would find few and then wait for the books with them: measured at 256 connections, of three turns one
        had nearly all commands, the others next to none, and nothing overlapped.
        """
        last = self._last
        if last is None or not self._turns:
            return True
        ready = last.booked or len(self._queue) >= last.size
        return ready and len(self._turns) < limits.MAX_TURNS_IN_FLIGHT

    def _ended(self, turn: asyncio.Task[None]) -> None:
        # Here and not at the end of _run: there the turn still counts as in flight, and when the last two end together
        # nobody would launch the next.
        self._turns.discard(turn)
        self._wake()

    def _take(self) -> list[Work]:
        """The next crowd: at most one command a key and a payment, none of those in flight, order kept."""
        works: list[Work] = []
        left: list[Work] = []
        blocked: set[Any] = set()
        while self._queue and len(works) < limits.MAX_TURN:
            work = self._queue.popleft()
            if work.tokens and (
                not self._busy.isdisjoint(work.tokens) or not blocked.isdisjoint(work.tokens)
            ):
                blocked.update(work.tokens)
                left.append(work)
            else:
                self._busy.update(work.tokens)
                work.id = new_id()
                works.append(work)
        self._queue.extendleft(reversed(left))
        return works

    async def _run(self, turn: "_Turn", works: list[Work]) -> None:
        try:
            began = self._clock.monotonic()
            answers = await self._patiently(turn, works)
            done = self._clock.monotonic()
            for work, answer in zip(works, answers, strict=True):
                if not work.answer.done():
                    work.answer.set_result(answer)
            self.gauge.turned(
                [began - work.arrived for work in works], [done - work.arrived for work in works]
            )
            self.gauge.undecided(
                sum(
                    answer.status >= 500
                    for work, answer in zip(works, answers, strict=True)
                    if work.flow.attempt
                )
            )
        except BaseException as error:
            for work in works:
                if not work.answer.done():
                    work.answer.set_exception(error)
            raise
        finally:
            turn.end()
            for work in works:
                self._busy.difference_update(work.tokens)

    async def _patiently(self, turn: "_Turn", works: list[Work]) -> list[Answer]:
        """Carry a turn through, again after a passing trouble, in halves around a poisoned command."""
        for attempt in range(limits.TURN_TRIES):
            if attempt:
                await asyncio.sleep(limits.TURN_RETRY_SECONDS * 2 ** (attempt - 1))
            try:
                return await self._carry(turn, works)
            except Exception as error:  # noqa: BLE001 - judged in the next line
                if not (is_transient(error) or idempotency.is_clash(error)):
                    return await self._in_halves(turn, works, error)
                log.warning("turn of %d, try %d: %s", len(works), attempt + 1, type(error).__name__)
        return self._give_up(works, _UNAVAILABLE)

    async def _in_halves(self, turn: "_Turn", works: list[Work], error: Exception) -> list[Answer]:
        if len(works) == 1:
            log.error("poisoned %s %s", type(works[0].command).__name__, works[0].id, exc_info=error)
            return self._give_up(works, _INTERNAL)
        middle = len(works) // 2
        first = await self._patiently(turn, works[:middle])
        return first + await self._patiently(turn, works[middle:])

    def _give_up(self, works: list[Work], answer: Answer) -> list[Answer]:
        # Risk heard of attempts that will never be in the database: before it decides again it must forget them.
        self._profiles_stale = self._profiles_stale or any(work.decision for work in works)
        return [answer] * len(works)

    async def _carry(self, turn: "_Turn", works: list[Work]) -> list[Answer]:
        async with AsyncExitStack() as until_committed, self._store.tx("turn") as tx:
            known, facts = await self._look(tx, turn, works)
            fresh = [work for place, work in enumerate(works) if place not in known]
            await turn.my_time_to_decide()
            await self._decide(turn, fresh, facts)
            if len(works) == turn.size:  # of a turn in halves the other half has yet to decide
                turn.decided.set()
            plans = [self._plan(work, facts) for work in fresh]
            async with self._booking:
                # Asked for while the turn before commits: PostgreSQL begins when that one lets go of the accounts.
                results = await self._book(tx, plans, turn.now)
                # Kept until the commit: turns become durable in their order, so what a crash leaves is a beginning.
                await until_committed.enter_async_context(self._committing)
            turn.booked = True
            self._wake()
            await self._write(tx, fresh, results, turn.now)
        self.gauge.became(results, [work.decision for work in fresh if work.decision])
        answers = iter([result.answer for result in results])
        return [known[place] if place in known else next(answers) for place in range(len(works))]

    async def _look(self, tx: Tx, turn: "_Turn", works: list[Work]) -> tuple[dict[int, Answer], Facts]:
        """Stored answers and all facts; everything that is the same for all kinds goes in one round trip."""
        keyed = [(place, work.key) for place, work in enumerate(works) if work.key]
        await rows.keep_everybody(tx)  # else a payee could be erased between here and the commit
        sent_answers = await idempotency.send(tx, [key for _, key in keyed])
        sent_standings = await parties.send_standings(
            tx, list({p for work in works for p in work.needs.parties})
        )
        wallets = self._wallets_met()
        named = {each for work in works for each in work.needs.wallets}
        strange = named.difference(wallets)
        sent_wallets = await rows.send_wallets(tx, list(strange)) if strange else None
        locked = await self._lock(tx, turn, works)
        found = await idempotency.found(sent_answers)
        known = {
            keyed[place][0]: stored.answer if stored.input_hash == keyed[place][1].input_hash else _REUSED
            for place, stored in found.items()
        }
        standings = await parties.standings(sent_standings) | locked.standings
        met = await rows.wallets_asked(sent_wallets) if sent_wallets else {}
        wallets.update(met)
        currencies = {currency for _, currency in (named - strange) | met.keys()}
        currencies |= {found.payment.currency for found in locked.payments.values()}
        house = await self._house_of(tx, currencies)
        changing = (locked.payments, locked.challenges, locked.qr_codes)
        return known, Facts(turn.now, self._zone, standings, wallets, house, *changing)

    async def _lock(self, tx: Tx, turn: "_Turn", works: list[Work]) -> "_Locked":
        """The payments and QR codes that are about to change, and who takes part in them."""
        payment_ids = {work.needs.payment for work in works if work.needs.payment}
        code_ids = {work.needs.qr for work in works if work.needs.qr}
        if not payment_ids and not code_ids:
            return _Locked({}, {}, {}, {})
        # Not with locks in hand: the turn before may wait for a process that waits for one of them.
        await turn.my_time_to_decide()
        payments = await rows.lock_payments(tx, payment_ids)
        who = {party for found in payments.values() for party in (found.payment.payer, found.payment.payee)}
        firm = any(work.needs.firm for work in works)
        sent = await parties.send_standings(tx, list(who), firm=firm)
        challenges = await rows.challenges(tx, payment_ids)
        qr_codes = await rows.lock_qr_codes(tx, code_ids, payment_ids)
        return _Locked(payments, challenges, qr_codes, await parties.standings(sent))

    def _wallets_met(self) -> dict[tuple[UUID, str], UUID]:
        """The accounts of wallets met before: whose account is whose is written once and never changed."""
        if len(self._wallets) > limits.WALLETS_REMEMBERED:
            self._wallets = {}  # a new one: a turn in flight goes on with the old one
        return self._wallets

    async def _house_of(self, tx: Tx, currencies: Iterable[str]) -> dict[tuple[str, str], UUID]:
        if any((currency, "bank") not in self._house for currency in currencies):
            self._house = await rows.house(tx)  # they are never changed, only added
        return self._house

    async def _decide(self, turn: "_Turn", works: list[Work], facts: Facts) -> None:
        """Let risk hear, in order of arrival, what it has not heard yet."""
        asking: list[tuple[Work, Attempt]] = []
        for work in works:
            if work.flow.attempt:
                work.attempt = work.flow.attempt(work.id, work.command, facts)
                if work.decision is None and isinstance(work.attempt, Attempt):
                    asking.append((work, work.attempt))
                elif work.decision is not None and isinstance(work.attempt, Refusal):
                    work.decision = None  # possible at the first try, no longer now: a payer was frozen, …
                    self._profiles_stale = True
        if not asking:
            return
        assert self._engine is not None
        if self._profiles_stale:
            await turn.alone()  # what the turn before us decided must be committed, or the rebuild misses it
            await self._engine.rebuild()
            self._profiles_stale = False
        decisions = self._engine.decide([attempt for _, attempt in asking])
        for (work, _), decision in zip(asking, decisions, strict=True):
            work.decision = decision

    def _plan(self, work: Work, facts: Facts) -> Plan:
        if isinstance(work.attempt, Refusal):
            return Plan(Result(problem(work.attempt)))
        plan = work.flow.plan(
            Asked(work.id, work.decision, self._reasons(work.decision)), work.command, facts
        )
        return plan if isinstance(plan, Plan) else Plan(Result(problem(plan)))

    def _reasons(self, decision: Decision | None) -> tuple[Reason, ...]:
        if decision is None or not decision.reasons:
            return ()
        assert self._engine is not None
        return tuple(Reason(name, text) for name, text in self._engine.words(decision))

    async def _book(self, tx: Tx, plans: Sequence[Plan], now: datetime) -> list[Result]:
        entries: list[Entry] = [entry for plan in plans for entry in plan.entries]
        outcomes = iter(await ledger.post(tx, entries, now))
        return [_result(plan, list(islice(outcomes, len(plan.entries)))) for plan in plans]

    async def _write(self, tx: Tx, works: list[Work], results: list[Result], now: datetime) -> None:
        # The keys first: when a commit believed lost ends while its turn is tried again, it is a key that must clash.
        keyed = [(work.key, result.answer) for work, result in zip(works, results, strict=True) if work.key]
        if keyed:
            await idempotency.keep(tx, [key for key, _ in keyed], [answer for _, answer in keyed], now)
        decisions = [work.decision for work in works if work.decision]
        if decisions and self._engine is not None:
            await self._engine.write(tx, decisions)
        await rows.write(tx, results)


class _Locked(msgspec.Struct, frozen=True):
    """What a turn may change, and the standings of those whom it concerns."""

    payments: dict[UUID, Located]
    challenges: dict[UUID, Challenge]
    qr_codes: dict[UUID, QrCode]
    standings: dict[UUID, Standing]


class _Turn:
    """What stays the same however often a turn is tried: its time, and its place behind the turn before it."""

    def __init__(self, now: datetime, size: int, before: "_Turn | None") -> None:
        self.now = now
        self.size = size
        self.booked = False
        self.decided = asyncio.Event()
        self.ended = asyncio.Event()
        self._before = before

    async def my_time_to_decide(self) -> None:
        """Wait until the turn before has decided."""
        if self._before is not None:
            await self._before.decided.wait()

    async def alone(self) -> None:
        """Wait until the turn before has ended."""
        if self._before is not None:
            await self._before.ended.wait()

    def end(self) -> None:
        """All is answered. Forgets the turn before: otherwise each would keep all before it in memory."""
        self.booked = True
        self.decided.set()
        self.ended.set()
        self._before = None


def _done(loop: asyncio.AbstractEventLoop, answer: Answer) -> asyncio.Future[Answer]:
    future = loop.create_future()
    future.set_result(answer)
    return future


def _tokens(key: Key | None, needs: Needs) -> tuple[Any, ...]:
    """What a command claims for itself alone in a turn: its key, the payment and the QR code that it changes."""
    tokens: list[Any] = [(key.principal, key.key)] if key else []
    return tuple(tokens + [each for each in (needs.payment, needs.qr) if each])


def _result(plan: Plan, outcomes: list[Outcome]) -> Result:
    for outcome in outcomes:
        if outcome not in (Outcome.OK, Outcome.LINKED_FAILED):
            if plan.failed is None:
                raise RuntimeError(f"the ledger says {outcome.name} to a plan that cannot fail")
            return plan.failed(outcome)
    return plan.done
