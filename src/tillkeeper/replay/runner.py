"""A replay: steps of a file offered to the turn in their order, labels released when they are due, a place kept.

The place is kept by three things. A checkpoint says up to which line every row is done. Rows after it are offered
again, under the same idempotency keys: what was done is answered, not done again. And the stream of steps is the same
every time, so that the payers' money, the labels still unknown and the hand rules are as they were.
"""

import asyncio
import gc
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import first_id_at, from_typeid, to_typeid
from tillkeeper.payments import Till, commands
from tillkeeper.replay import rows
from tillkeeper.replay.files import Source
from tillkeeper.replay.labels import SOURCE, Unknown, known_at
from tillkeeper.replay.mapping import Mapping
from tillkeeper.replay.people import People
from tillkeeper.replay.rejects import Rejects
from tillkeeper.replay.stream import Item, Stream
from tillkeeper.replay.tally import Tally, Told
from tillkeeper.replay.types import Bad, Record, ReplayError, Step
from tillkeeper.risk import RiskEngine, labelled
from tillkeeper.store import Answer, Key, Store, idempotency
from tillkeeper.vault import Vault

_NAMESPACE: Final = UUID("5b0f0a52-3c11-4bb0-9a3e-7d5a54c9e0d1")
_NEVER: Final = 2**62
_PACE_SECONDS: Final = 0.05  # rows due within so short a time go together


class Desk(msgspec.Struct, frozen=True, eq=False):
    """What a replay works with."""

    store: Store
    till: Till
    engine: RiskEngine
    vault: Vault
    clock: Clock


class Job(msgspec.Struct, frozen=True, eq=False):
    """What is to be replayed. `fingerprint`: of the file's content. `speed`: event seconds a second; None: no waiting.

    `limit`: rows of the file to read, None for all. `home`: folder for the reject file.
    """

    source: Source
    mapping: Mapping
    file: str
    fingerprint: str
    home: Path
    speed: float | None = None
    limit: int | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far a replay is. `carried`: payments of this run, durable; `share` of the file read.

    `finding`: it is still looking for the place where it was left.
    """

    line: int
    carried: int
    share: float
    seconds: float
    finding: bool


class Done(msgspec.Struct, frozen=True):
    """What a replay came to. `begun_at`: the line after which this run began; `finished`: the file's end was reached."""

    tally: Tally
    begun_at: int
    carried: int
    seconds: float
    finished: bool
    rejects: Path


class _Problem(msgspec.Struct, frozen=True):
    code: str
    detail: str


class _Offered(msgspec.Struct, frozen=True):
    """A step under way: the answers to come for its payment, and for the money its payer brings first."""

    step: Step
    answer: asyncio.Future[Answer]
    money: asyncio.Future[Answer] | None


class _Chunk(msgspec.Struct, frozen=True):
    """Rows under way, up to and with `line`. `due`: when the first fraud among them becomes known."""

    items: list[_Offered | Bad]
    due: int
    line: int


_told: Final = msgspec.json.Decoder(Told).decode
_problem: Final = msgspec.json.Decoder(_Problem).decode
_tally: Final = msgspec.json.Decoder(Tally).decode


async def replay(desk: Desk, job: Job, progress: Callable[[Progress], None]) -> Done:
    """Carry a file through, from where it was left. Raises ReplayError when it cannot go on.

    When cancelled, everything under way is finished and the place is kept before CancelledError is raised.
    """
    run = await _begin(desk, job)
    rejects = job.home / "replay" / f"{job.mapping.name}-{run.id.hex[:8]}.rejects.csv"
    if run.finished_at is not None:
        progress(Progress(run.line, 0, 1.0, 0.0, finding=False))
        return Done(_kept_tally(run), run.line, 0, 0.0, finished=True, rejects=rejects)
    with Rejects(rejects, run.line, job.source.columns) as file:
        this = _Replay(desk, job, run, file, progress)
        gauge = asyncio.create_task(desk.till.gauge.keep_writing())
        thresholds = gc.get_threshold()
        gc.set_threshold(*limits.REPLAY_COLLECTOR_THRESHOLDS)
        try:
            return await this.carry()
        except asyncio.CancelledError:
            await this.stop()
            raise
        finally:
            await desk.till.close()
            gc.set_threshold(*thresholds)
            gauge.cancel()


async def _begin(desk: Desk, job: Job) -> rows.Run:
    run_id = uuid5(_NAMESPACE, f"{job.fingerprint} {job.mapping.digest}")
    async with desk.store.tx("replay begins") as tx:
        return await rows.begin(tx, run_id, job.mapping.name, job.file, desk.clock.now())


class _Replay:
    """One run of a replay."""

    def __init__(
        self, desk: Desk, job: Job, run: rows.Run, rejects: Rejects, progress: Callable[[Progress], None]
    ) -> None:
        self._desk = desk
        self._job = job
        self._run = run
        self._rejects = rejects
        self._progress = progress
        self._stream = Stream(job.source, job.mapping, desk.clock.now(), job.limit)
        self._people = People(desk.store, desk.vault, job.mapping, desk.clock)
        self._unknown = Unknown()
        self._tally = _kept_tally(run)
        if desk.engine.version not in self._tally.rule_sets:
            self._tally.rule_sets.append(desk.engine.version)
        self._pays_merchants = job.mapping.payees == "merchants"
        # With ids the mapping's rows are known in whichever file they come; without, in this file only.
        scope = "" if job.mapping.columns.id else job.fingerprint
        self._principal = uuid5(_NAMESPACE, f"{job.mapping.name} {scope}")
        self._under_way: deque[_Chunk] = deque()
        self._offered = 0
        self._line = run.line
        self._carried = 0
        self._first_us: int | None = None
        self._began = self._kept = desk.clock.monotonic()

    async def carry(self) -> Done:
        """The whole of it."""
        finding = True
        for chunk in self._chunks():
            if not chunk:  # still looking for the place
                self._tell(finding=True)
                await asyncio.sleep(0)
                continue
            if finding:
                finding = False
                await self._identify()
                self._began = self._kept = self._desk.clock.monotonic()
            await self._pace(chunk)
            await self._carry(chunk)
            self._tell(finding=False)
        if finding:
            await self._identify()
        await self._settle_until(0)
        seconds = 0.0 if finding else self._seconds()
        if self._stream.whole:
            await self._release(_NEVER)  # whatever the time is now, all of them are known
        await self._keep(finished=self._stream.whole)
        self._tell(finding=False)
        return Done(
            self._tally, self._run.line, self._carried, seconds, self._stream.whole, self._rejects.path
        )

    async def stop(self) -> None:
        """Finish what is under way and keep the place."""
        await self._settle_until(0)
        await self._keep(finished=False)

    # -- finding the place, and cutting what follows into chunks

    def _chunks(self) -> Iterator[list[Item]]:
        """What is to be carried, cut into chunks; an empty one for each batch of the file that was done before."""
        chunk: list[Item] = []
        ends = _NEVER
        for batch in self._stream.batches():
            for item in batch:
                if _line(item) <= self._run.line:
                    self._pass(item)
                    continue
                if len(chunk) >= limits.REPLAY_CHUNK or (
                    isinstance(item, Step) and item.record.at_us >= ends
                ):
                    yield chunk
                    chunk, ends = [], _NEVER
                if isinstance(item, Step):
                    ends = min(ends, self._end_of_chunk(item.record))
                chunk.append(item)
            if not chunk:
                yield chunk
        if chunk:
            yield chunk

    def _pass(self, item: Item) -> None:
        """A row that was done before: its label may still be unknown."""
        if isinstance(item, Step) and item.record.fraud:
            self._unknown.add(item.record, item.record.key)

    def _end_of_chunk(self, record: Record) -> int:
        """The event time that no row of this record's chunk may reach."""
        # A label is released between chunks, so it may not fall due within the chunk of its own payment.
        due = known_at(record) if record.fraud else _NEVER
        if self._job.speed is None:
            return due
        return min(due, record.at_us + max(1, round(self._job.speed * _PACE_SECONDS * 1_000_000)))

    async def _identify(self) -> None:
        """Learn the payment ids of frauds whose labels were unknown when the replay was left."""
        names = self._unknown.names()
        ids: dict[str, UUID] = {}
        for at in range(0, len(names), limits.MAX_QUEUE):
            some = names[at : at + limits.MAX_QUEUE]
            async with self._desk.store.tx("replay finds payments") as tx:
                keys = [Key(self._principal, name, b"") for name in some]
                known = await idempotency.found(await idempotency.send(tx, keys))
            ids |= {
                some[place]: from_typeid("pay", _told(each.answer.body).id)
                for place, each in known.items()
                if each.answer.status == 201
            }
        self._unknown.identify(ids)

    # -- carrying

    async def _pace(self, chunk: Sequence[Item]) -> None:
        """Wait until a chunk is due, if time is to pass at a speed."""
        first = next((item.record for item in chunk if isinstance(item, Step)), None)
        if self._job.speed is None or first is None:
            return
        if self._first_us is None:
            self._first_us = first.at_us
        due = (first.at_us - self._first_us) / 1_000_000 / self._job.speed
        if (wait := due - self._seconds()) > 0:
            await self._settle_until(0)
            await asyncio.sleep(wait)

    async def _carry(self, chunk: list[Item]) -> None:
        records = [item.record for item in chunk if isinstance(item, Step)]
        if records:
            await self._people.prepare(records)
            newest = max(record.at_us for record in records)
            if any(each.due <= newest for each in self._under_way):
                await self._settle_until(0)
            await self._release(newest)
        due = min((known_at(record) for record in records if record.fraud), default=_NEVER)
        items = [self._offer(item) if isinstance(item, Step) else item for item in chunk]
        self._under_way.append(_Chunk(items, due, _line(chunk[-1])))
        self._offered += len(items)
        await self._settle_until(limits.REPLAY_IN_FLIGHT - limits.REPLAY_CHUNK)
        if self._desk.clock.monotonic() - self._kept >= limits.REPLAY_CHECKPOINT_SECONDS:
            await self._keep(finished=False)

    def _offer(self, step: Step) -> _Offered:
        record = step.record
        payer, offer = self._people.customers[record.payer], self._desk.till.offer
        money = None
        if step.bring:
            bring = commands.BringIn(payer, step.bring, record.currency, record.reference, record.at)
            money = offer(bring, Key(self._principal, f"money for {record.key}", _hash(record, step.bring)))
        return _Offered(step, offer(self._command(record, payer), self._key(record)), money)

    def _command(self, record: Record, payer: UUID) -> commands.Pay | commands.SendMoney:
        payee, amount, currency = self._people.payee(record), record.amount, record.currency
        context = commands.Context(record.device, record.ip, record.latitude, record.longitude)
        if not self._pays_merchants:
            return commands.SendMoney(payer, payee, amount, currency, context=context, event_at=record.at)
        return commands.Pay(
            payer, payee, amount, currency, reference=record.reference, context=context, event_at=record.at
        )

    def _key(self, record: Record) -> Key:
        return Key(self._principal, record.key, _hash(record, 0))

    async def _release(self, until_us: int) -> None:
        """Write the labels known up to and with a moment, then have risk learn them."""
        labels = self._unknown.due(until_us)
        if not labels:
            return
        async with self._desk.store.tx("replay labels") as tx:
            # After an interruption, or where files overlap, some are written already.
            written = await labelled(tx, [label.payment for label in labels], SOURCE)
            labels = [label for label in labels if label.payment not in written]
            await self._desk.engine.write_labels(tx, labels)
        self._desk.engine.learn(labels)

    # -- answers

    async def _settle_until(self, under_way: int) -> None:
        """Take in answers until at most so many rows are under way."""
        while self._offered > under_way:
            chunk = self._under_way[0]
            for item in chunk.items:
                if isinstance(item, _Offered):
                    for future in (item.money, item.answer):
                        if future is not None and not future.done():
                            await asyncio.shield(future)
            self._under_way.popleft()
            self._offered -= len(chunk.items)
            self._take_in(chunk)

    def _take_in(self, chunk: _Chunk) -> None:
        for item in chunk.items:
            if isinstance(item, Bad):
                self._reject(item)
                continue
            if item.money is not None:
                _expect_database(item.step, item.money.result())
            self._take_answer(item.step, item.answer.result())
        self._line = chunk.line

    def _take_answer(self, step: Step, answer: Answer) -> None:
        _expect_database(step, answer)
        if answer.status != 201:
            self._refused(step, answer)
            return
        told = _told(answer.body)
        if self._tally.is_double(told):
            self._reject(_bad(step, "id", "stands on an earlier row too"))
            return
        self._tally.count(step, told)
        self._carried += 1
        if step.record.fraud:
            self._unknown.add(step.record, from_typeid("pay", told.id))

    def _refused(self, step: Step, answer: Answer) -> None:
        problem = _problem(answer.body)
        if problem.code == "idempotency_key_reused":
            self._reject(_bad(step, "id", "stands for another payment, replayed before"))
        else:
            self._reject(_bad(step, "", f"{problem.code}: {problem.detail}"))

    def _reject(self, bad: Bad) -> None:
        self._rejects.add(bad)
        self._tally.rejected += 1

    # -- the place

    async def _keep(self, *, finished: bool) -> None:
        self._rejects.flush()
        now = self._desk.clock.now()
        tally = msgspec.json.encode(self._tally)
        async with self._desk.store.tx("replay checkpoint") as tx:
            await rows.advance(tx, self._run.id, self._line, tally, now, now if finished else None)
        self._kept = self._desk.clock.monotonic()

    def _tell(self, *, finding: bool) -> None:
        self._progress(Progress(self._line, self._carried, self._job.source.share, self._seconds(), finding))

    def _seconds(self) -> float:
        return self._desk.clock.monotonic() - self._began


def _kept_tally(run: rows.Run) -> Tally:
    if run.tally is not None:
        return _tally(run.tally)
    first = to_typeid("pay", first_id_at(run.started_at))
    return Tally(first, first)


def _expect_database(step: Step, answer: Answer) -> None:
    if answer.status == 503:
        said = _problem(answer.body).code
        raise ReplayError(
            f"line {step.record.line}: {said}: the database went away and did not come back in time",
            "when it is well, start the same replay again: it goes on where it was",
        )


def _line(item: Item) -> int:
    return item.record.line if isinstance(item, Step) else item.line


def _bad(step: Step, column: str, reason: str) -> Bad:
    return Bad(step.record.line, column, reason, step.record.values)


def _hash(record: Record, bring: int) -> bytes:
    """What a row asks for, as idempotency compares it."""
    said = (record.at_us, record.payer, record.payee, record.amount, record.currency, record.device, record.ip,
            record.latitude, record.longitude, bring)  # fmt: skip
    return hashlib.sha256(repr(said).encode()).digest()
