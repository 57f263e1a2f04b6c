"""The desk of logins: what waits is decided together, in order of arrival, and answered when it is durable.

As a payment's turn, but one at a time: a login is compared with what the database holds of its customer, so that nothing is
to be undone when a transaction fails. Only what everybody does is kept in memory, and learnt after the commit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock, from_us, to_us
from tillkeeper.base.ids import new_id
from tillkeeper.base.results import Refusal, Refused
from tillkeeper.risk.logins import agents, networks, rows
from tillkeeper.risk.logins.habits import Comparison, Population, Thresholds, Trace, compare, trace_of
from tillkeeper.risk.logins.rows import Answered, Asked
from tillkeeper.risk.logins.types import OUTCOMES, SETTINGS, Login, SettingChange, Verdict
from tillkeeper.risk.types import Event
from tillkeeper.store import Answer, Key, Store, Tx, idempotency, is_transient

log = logging.getLogger(__name__)

Standings = Callable[[Tx, Sequence[UUID]], Awaitable[Mapping[UUID, Refusal | None]]]
"""Who of these customers may log in: None, or why not. Who is not in it is no customer."""

_BREATH: Final = 8  # logins compared before the event loop looks at payments: about a millisecond


class Judging(Protocol):
    """The rules about logins, and the profiles that they read: the risk engine."""

    def judge_events(self, events: Sequence[Event]) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Take events in, in order of arrival; for each outcome (OUTCOMES) and rules that hit ("allow" for settings)."""
        ...

    def doubt(self) -> None:
        """Of what was taken in, something will never be in the database."""
        ...


class NewLogin(msgspec.Struct, frozen=True):
    """Somebody tries to log in. `at_us`: when; unset: now."""

    customer: UUID
    succeeded: bool
    ip: str | None = None
    user_agent: str | None = None
    device: str | None = None
    at_us: int | None = None
    latitude: float | None = None
    longitude: float | None = None


class NewAnswer(msgspec.Struct, frozen=True):
    """What came of asking again."""

    login: UUID
    passed: bool


class NewChange(msgspec.Struct, frozen=True):
    """A customer changed something: `kind` is one of SETTINGS."""

    customer: UUID
    kind: str
    device: str | None = None
    ip: str | None = None
    at_us: int | None = None


Command = NewLogin | NewAnswer | NewChange
Result = tuple[Login, Verdict] | Answered | SettingChange


class _Work(msgspec.Struct, eq=False):
    """A command on its way. `judged` survives the retry of a turn: the engine heard of it once."""

    command: Command
    key: Key | None
    render: Callable[[Any], Answer]
    answer: asyncio.Future[Answer]
    judged: Result | None = None


class _Turn(msgspec.Struct):
    """What a turn knows and will write. `past`: accepted logins by customer, the newest first, those of this turn with it."""

    standings: Mapping[UUID, Refusal | None]
    past: dict[UUID, list[Trace]]
    asked: dict[UUID, Asked]
    logins: list[tuple[Login, Verdict]] = []
    answers: list[Answered] = []
    changes: list[SettingChange] = []
    learnt: list[tuple[UUID, Trace]] = []


class Desk:
    """Takes logins, answers to them and changes of settings. Exactly one process of an installation holds one."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        timezone: str,
        standings: Standings,
        judging: Judging | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._zone = ZoneInfo(timezone)
        self._standings = standings
        self._judging = judging
        self._thresholds = thresholds or Thresholds()
        self._population: Population | None = None
        self._opening = asyncio.Lock()
        self._queue: deque[_Work] = deque()
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Learn what is common, and have tables read, before a login waits for it. A second time nothing happens."""
        async with self._opening:
            if self._population is not None:
                return
            await asyncio.to_thread(networks.load)
            await asyncio.to_thread(agents.agent_of, "Mozilla/5.0")
            async with self._store.tx("logins of everybody") as tx:
                logins = await rows.everybody(tx)
            self._population = await asyncio.to_thread(self._learnt, logins)

    async def submit(self, command: Command, key: Key | None, render: Callable[[Any], Answer]) -> Answer:
        """Carry a command through and give its answer, stored under the key, if there is one.

        `render` makes the answer of a Result. Raises Refused; a refusal leaves the key free.
        """
        if isinstance(command, NewChange) and command.kind not in SETTINGS:
            raise Refused(Refusal("invalid_value", f"one of {', '.join(SETTINGS)}", "kind"))
        if len(self._queue) >= limits.MAX_LOGIN_QUEUE:
            raise Refused(Refusal("overloaded", "try again with the same Idempotency-Key in a second"))
        work = _Work(command, key, render, asyncio.get_running_loop().create_future())
        self._queue.append(work)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await work.answer

    async def close(self) -> None:
        """Let everything that waits be decided."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        await asyncio.sleep(0)  # what arrives in this pass of the event loop shares the turn
        while self._queue:
            works = self._take()
            try:
                await self._patiently(works)
            except BaseException as error:
                for work in works:
                    if not work.answer.done():
                        work.answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise

    def _take(self) -> list[_Work]:
        """The next crowd; of two with one key the second waits, so that it finds the answer of the first."""
        works: list[_Work] = []
        left: list[_Work] = []
        taken: set[Any] = set()
        while self._queue and len(works) < limits.MAX_LOGIN_TURN:
            work = self._queue.popleft()
            tokens: set[Any] = {(work.key.principal, work.key.key)} if work.key else set()
            tokens |= {work.command.login} if isinstance(work.command, NewAnswer) else set()
            (left if taken & tokens else works).append(work)
            taken |= tokens
        self._queue.extendleft(reversed(left))
        return works

    async def _patiently(self, works: list[_Work]) -> None:
        """Carry a turn through, again after a passing trouble, in halves around a poisoned command."""
        for attempt in range(limits.TURN_TRIES):
            if attempt:
                await asyncio.sleep(limits.TURN_RETRY_SECONDS * 2 ** (attempt - 1))
            try:
                await self._carry(works)
            except Exception as error:  # noqa: BLE001 - judged in the next line
                if not (is_transient(error) or idempotency.is_clash(error)):
                    await self._in_halves(works, error)
                    return
                log.warning("logins, turn of %d, try %d: %s", len(works), attempt + 1, type(error).__name__)
            else:
                return
        self._give_up(
            works, Refusal("unavailable", "try again with the same Idempotency-Key in a few seconds")
        )

    async def _in_halves(self, works: list[_Work], error: Exception) -> None:
        if len(works) == 1:
            log.error("poisoned %s", type(works[0].command).__name__, exc_info=error)
            self._give_up(works, Refusal("internal", "nothing was done; the fault is in the log"))
            return
        middle = len(works) // 2
        await self._patiently(works[:middle])
        await self._patiently(works[middle:])

    def _give_up(self, works: Sequence[_Work], refusal: Refusal) -> None:
        if self._judging is not None and any(work.judged for work in works):
            self._judging.doubt()
        _refuse(works, refusal)

    async def _carry(self, works: list[_Work]) -> None:
        await self.open()
        now = self._clock.now()
        async with self._store.tx("logins") as tx:
            known = await self._known(tx, works)
            fresh = [work for place, work in enumerate(works) if place not in known]
            turn = await self._look(tx, [work.command for work in fresh])
            said = await self._decide(turn, fresh)
            await self._write(tx, turn)
            kept = [(work.key, answer) for work, answer in said if work.key and isinstance(answer, Answer)]
            if kept:
                await idempotency.keep(tx, [key for key, _ in kept], [answer for _, answer in kept], now)
        for customer, trace in turn.learnt:
            self._everybody.add(customer.bytes, trace)
        _tell(said + [(works[place], answer) for place, answer in known.items()])

    async def _known(self, tx: Tx, works: Sequence[_Work]) -> dict[int, Answer | Refusal]:
        """What is stored under the keys."""
        keyed = [(place, work.key) for place, work in enumerate(works) if work.key]
        if not keyed:
            return {}
        found = await idempotency.found(await idempotency.send(tx, [key for _, key in keyed]))
        reused = Refusal("idempotency_key_reused", "use a new key for a new request", "Idempotency-Key")
        return {
            keyed[n][0]: stored.answer if stored.input_hash == keyed[n][1].input_hash else reused
            for n, stored in found.items()
        }

    async def _look(self, tx: Tx, commands: Sequence[Command]) -> _Turn:
        """What the database holds of those whom the commands are about."""
        customers = {each.customer for each in commands if isinstance(each, NewLogin | NewChange)}
        answered = [each.login for each in commands if isinstance(each, NewAnswer)]
        asked = await rows.asked(tx, answered) if answered else {}
        standings = await self._standings(tx, sorted(customers)) if customers else {}
        trying = sorted({each.customer for each in commands if isinstance(each, NewLogin)})
        past = await rows.past(tx, trying) if trying else {}
        traces = {customer: [self._trace(each) for each in logins] for customer, logins in past.items()}
        return _Turn(standings, traces, asked)

    async def _decide(self, turn: _Turn, works: Sequence[_Work]) -> list[tuple[_Work, Answer | Refusal]]:
        """Decide in order of arrival. A refusal changes nothing."""
        said: list[tuple[_Work, Answer | Refusal]] = []
        for n, work in enumerate(works, 1):
            command = work.command
            if isinstance(command, NewAnswer):
                result: Result | Refusal = self._answer(turn, command)
            elif (refusal := turn.standings.get(command.customer, _NOBODY)) is not None:
                result = refusal
            elif isinstance(command, NewLogin):
                result = self._login(turn, work, command)
            else:
                result = self._change(turn, work, command)
            said.append((work, result if isinstance(result, Refusal) else work.render(result)))
            if not n % _BREATH:
                await asyncio.sleep(0)
        return said

    def _login(self, turn: _Turn, work: _Work, command: NewLogin) -> Result | Refusal:
        at_us = self._moment(command.at_us)
        if isinstance(at_us, Refusal):
            return at_us
        if work.judged is None:
            login = Login(
                new_id(),
                at_us,
                command.customer,
                command.succeeded,
                command.ip,
                networks.network_of(command.ip),
                agents.agent_of(command.user_agent),
                command.device,
                command.latitude,
                command.longitude,
            )
            past = turn.past[login.customer][: limits.LOGINS_COMPARED]
            work.judged = (login, self._verdict(login, compare(self._trace(login), past, self._everybody)))
        assert isinstance(work.judged, tuple)
        login, verdict = work.judged
        turn.logins.append((login, verdict))
        if login.succeeded and verdict.outcome == "allow":
            self._accept(turn, login)
        return login, verdict

    def _verdict(self, login: Login, found: Comparison) -> Verdict:
        """What the score says, and what the rules say of the score and of all that happened."""
        outcome, reasons = self._thresholds.outcome(found.score), found.reasons
        if self._judging is not None:
            ((by_rules, rules),) = self._judging.judge_events([rows.login_event(login, found.score)])
            outcome, reasons = max(outcome, by_rules, key=OUTCOMES.index), reasons + rules
        return Verdict(outcome, found.score, reasons, found.lifts, found.known)

    def _answer(self, turn: _Turn, command: NewAnswer) -> Result | Refusal:
        asked = turn.asked.get(command.login)
        if asked is None:
            return Refusal("unknown_login", "check the id", "login")
        if asked.outcome != "ask_again" or not asked.login.succeeded:
            return Refusal("login_not_asked", "only a login whose outcome is ask_again is answered")
        if asked.passed or asked.answers >= limits.LOGIN_ANSWERS:
            return Refusal("login_answered", "let the customer log in anew")
        answer = Answered(new_id(), command.login, command.passed, self._clock.now())
        turn.answers.append(answer)
        if command.passed:
            self._accept(turn, asked.login)
        return answer

    def _change(self, turn: _Turn, work: _Work, command: NewChange) -> Result | Refusal:
        at_us = self._moment(command.at_us)
        if isinstance(at_us, Refusal):
            return at_us
        if work.judged is None:
            network = networks.network_of(command.ip)
            change = SettingChange(
                new_id(), at_us, command.customer, command.kind, command.device, command.ip, network
            )
            if self._judging is not None:
                self._judging.judge_events([rows.change_event(change)])
            work.judged = change
        assert isinstance(work.judged, SettingChange)
        turn.changes.append(work.judged)
        return work.judged

    def _accept(self, turn: _Turn, login: Login) -> None:
        """From now on it is one of the customer's own."""
        trace = self._trace(login)
        turn.past.setdefault(login.customer, []).insert(0, trace)
        turn.learnt.append((login.customer, trace))

    @property
    def _everybody(self) -> Population:
        assert self._population is not None, "open() comes first"
        return self._population

    def _moment(self, at_us: int | None) -> int | Refusal:
        now = self._clock.now()
        if at_us is None:
            return to_us(now)
        if from_us(at_us) > now + timedelta(seconds=limits.LOGIN_SKEW_SECONDS):
            return Refusal("invalid_value", "a login does not lie in the future", "at")
        return at_us

    async def _write(self, tx: Tx, turn: _Turn) -> None:
        if turn.logins:
            await rows.write_logins(tx, turn.logins)
        if turn.answers:
            await rows.write_answers(tx, turn.answers)
        if turn.changes:
            await rows.write_changes(tx, turn.changes)

    def _trace(self, login: Login) -> Trace:
        offset = from_us(login.at_us).astimezone(self._zone).utcoffset() or timedelta()
        return trace_of(login, offset // timedelta(microseconds=1))

    def _learnt(self, logins: Sequence[Login]) -> Population:
        population = Population(limits.LOGINS_REMEMBERED)
        for login in logins:
            population.add(login.customer.bytes, self._trace(login))
        return population


_NOBODY: Final = Refusal("unknown_customer", "check the id", "customer")


def _refuse(works: Sequence[_Work], refusal: Refusal) -> None:
    _tell([(work, refusal) for work in works])


def _tell(said: Sequence[tuple[_Work, Answer | Refusal]]) -> None:
    for work, answer in said:
        if work.answer.done():
            continue  # whoever asked has gone
        if isinstance(answer, Refusal):
            work.answer.set_exception(Refused(answer))
        else:
            work.answer.set_result(answer)
