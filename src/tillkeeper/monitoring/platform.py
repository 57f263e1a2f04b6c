"""What only one process need ask: what waits, how the money stands, how the database server does. For the agent."""

import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from tillkeeper import audit, risk, vault
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.monitoring import measures, money
from tillkeeper.monitoring.books import Books
from tillkeeper.monitoring.sampler import Source
from tillkeeper.monitoring.types import MoneyLook, Sample
from tillkeeper.payments import browse, watch, webhooks
from tillkeeper.risk import cases, warning
from tillkeeper.store import Tx, outbox, server

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class Money:
    """The agent's looks at the books, for samples and for alerts."""

    def __init__(self, books: Books, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._last: MoneyLook | None = None
        self._at = 0.0

    async def last(self) -> MoneyLook | None:
        """The newest look; None when there is none of late."""
        fresh = self._clock.monotonic() - self._at < limits.SAMPLE_STALE_SECONDS
        return self._last if fresh else None

    async def sample(self, _: Tx) -> Sequence[Sample]:
        """Look, in a transaction of its own: it sees one moment."""
        look = await self._books.look()
        self._last, self._at = look, self._clock.monotonic()
        found = [
            Sample("money.faults", len(look.faults)),
            Sample("money.look_ms", look.took_ms),
            Sample("money.accounts_below", self._books.below),
        ]
        found += [Sample("money.net", net, {"currency": each}) for each, net in self._books.nets.items()]
        for code in money.CODES:
            faults = [fault for fault in look.faults if fault.code == code]
            found.append(Sample("money.fault", len(faults), {"code": code}))
            found.append(Sample("money.fault_amount", sum(fault.amount for fault in faults), {"code": code}))
        return found


class Platform:
    """What waits, and what the database server says of itself. `home`: the folder whose disk is watched."""

    def __init__(self, home: Path, clock: Clock, books: Books) -> None:
        self.money = Money(books, clock)
        self._home = home
        self._clock = clock
        self._work: server.Work | None = None
        self._free: list[tuple[float, int]] = []

    def sources(self) -> tuple[Source, ...]:
        """What can be sampled."""
        return (
            Source("measures", lambda tx: measures.recorded(tx, self._clock)),
            Source("what waits", self._waiting),
            Source("webhooks", self._webhooks),
            Source("risk", self._risk),
            Source("early warning", self._warning),
            Source("cases", self._cases),
            Source("the seal", self._seal),
            Source("retention", self._retention, limits.SAMPLE_SLOW_SECONDS),
            Source("money", self.money.sample),
            Source("sessions", self._sessions),
            Source("the database", self._database),
            Source("the write-ahead log", self._log),
            Source("the log on disk", self._log_kept),
            Source("tables", self._tables, limits.SAMPLE_SLOW_SECONDS),
            Source("the disk", self._disk),
        )

    async def _waiting(self, tx: Tx) -> Sequence[Sample]:
        held, held_since = await browse.held_size(tx)
        ways = await watch.on_the_way(tx)
        oldest = min((way.since for way in ways), default=None)
        found = [
            Sample("payments.held", held),
            Sample("payments.held_seconds", self._age(held_since)),
            Sample("rails.unanswered_seconds", self._age(oldest)),
        ]
        known = {way.currency: way for way in ways}
        for currency in {*await browse.currencies(tx), *known}:
            way = known.get(currency)
            labels = {"currency": currency}
            found.append(Sample("rails.unanswered", way.attempts if way else 0, labels))
            found.append(Sample("money.on_the_way", way.amount if way else 0, labels))
        return found

    async def _webhooks(self, tx: Tx) -> Sequence[Sample]:
        waiting, since = await outbox.lag(tx, webhooks.READER)
        tried, failed = await watch.webhooks_of_late(tx, self._clock.now() - _HOUR)
        return [
            Sample("outbox.waiting", waiting),
            Sample("outbox.lag_seconds", self._age(since)),
            Sample("webhooks.failure_rate", 100 * failed / tried if tried else 0.0),
            Sample("webhooks.waiting", await watch.webhooks_waiting(tx)),
        ]

    async def _warning(self, tx: Tx) -> Sequence[Sample]:
        now = self._clock.now()
        queued, below = await warning.alerts_counted(tx, now - _DAY)
        found = [
            Sample("risk.signals_open", await warning.signals_counted(tx)),
            Sample("risk.alerts_day", queued, {"rank": "queued"}),
            Sample("risk.alerts_day", below, {"rank": "below"}),
        ]
        lag = await warning.lag_seconds(tx, now)
        return found if lag is None else [*found, Sample("risk.watch_lag_seconds", lag)]

    async def _risk(self, tx: Tx) -> Sequence[Sample]:
        state = await risk.engine_state(tx)
        if state is None:
            return []
        return [
            Sample("risk.faults", len(state.faults)),
            Sample("risk.features_filling", state.filling),
            Sample("risk.profiles_lag_seconds", self._age(state.behind_since)),
        ]

    async def _cases(self, tx: Tx) -> Sequence[Sample]:
        late = await cases.count_late(tx, self._clock.now())
        return [
            Sample("risk.cases_open", await cases.count_open(tx)),
            Sample("risk.cases_late", late),
        ]

    async def _seal(self, tx: Tx) -> Sequence[Sample]:
        waiting, lag = await audit.unsealed(tx)
        return [Sample("seal.waiting", waiting), Sample("seal.lag_seconds", lag)]

    async def _retention(self, tx: Tx) -> Sequence[Sample]:
        return [Sample("retention.rows", each.rows, {"table": each.name}) for each in await vault.sweeps(tx)]

    async def _sessions(self, tx: Tx) -> Sequence[Sample]:
        found = await server.sessions(tx)
        said = [
            Sample("postgres.connections", found.used),
            Sample("postgres.connections_used", 100 * found.used / found.allowed),
        ]
        if found.all_seen:  # else what others wait for is hidden, and that is not the same as nothing
            said.append(Sample("postgres.lock_waits", found.waiting))
            said.append(Sample("postgres.longest_transaction_seconds", found.oldest))
        return said

    async def _database(self, tx: Tx) -> Sequence[Sample]:
        work, before = await server.work(tx), self._work
        self._work = work
        found = [
            Sample("postgres.commits", work.commits),
            Sample("postgres.rollbacks", work.rollbacks),
            Sample("postgres.deadlocks", work.deadlocks),
            Sample("postgres.temporary_bytes", work.temporary_bytes),
            Sample("postgres.database_bytes", work.size),
        ]
        if before is not None:
            hits, reads = work.hits - before.hits, work.reads - before.reads
            if hits >= 0 and reads >= 0 and hits + reads:
                found.append(Sample("postgres.cache_hit_percent", 100 * hits / (hits + reads)))
        return found

    async def _log(self, tx: Tx) -> Sequence[Sample]:
        log = await server.log(tx)
        return [
            Sample("postgres.wal_bytes", log.written),
            Sample("postgres.checkpoints", log.checkpoints),
            Sample("postgres.checkpoint_seconds", log.checkpoint_seconds),
        ]

    async def _log_kept(self, tx: Tx) -> Sequence[Sample]:
        return [Sample("postgres.wal_kept_bytes", await server.log_kept(tx))]

    async def _tables(self, tx: Tx) -> Sequence[Sample]:
        found = []
        for each in await server.table_sizes(tx, limits.SAMPLE_TABLES):
            labels = {"table": each.name}
            found.append(Sample("postgres.table_bytes", each.size, labels))
            found.append(Sample("postgres.index_bytes", each.indexes, labels))
            found.append(Sample("postgres.dead_rows", each.dead, labels))
        return found

    async def _disk(self, _: Tx) -> Sequence[Sample]:
        free, now = shutil.disk_usage(self._home).free, self._clock.monotonic()
        self._free = [each for each in self._free if now - each[0] < limits.DISK_TREND_SECONDS]
        self._free.append((now, free))
        return [Sample("disk.free_bytes", free), Sample("disk.hours_left", hours_left(self._free))]

    def _age(self, since: datetime | None) -> float:
        """Seconds since a moment; 0 where nothing waits."""
        return max((self._clock.now() - since).total_seconds(), 0.0) if since else 0.0


def hours_left(free: Sequence[tuple[float, int]]) -> float:
    """How long the disk lasts as it fills now: from free bytes at moments (monotonic seconds), oldest first."""
    (first_at, first), (last_at, last) = free[0], free[-1]
    filled = first - last
    if filled <= 0 or last_at - first_at < limits.DISK_TREND_SECONDS / 4:
        return limits.DISK_HOURS_MOST
    return min(last * (last_at - first_at) / filled / 3600, limits.DISK_HOURS_MOST)
