"""What guardrails and objectives ask for by name. An absent measurement is unknown: it is never taken for a good one.

A measure of payments comes from the api's own seconds. Every other is a gauge that some process samples every
SAMPLE_SECONDS: over a stretch of time it is the worst that was sampled, and of what can be asked at once the present too. `recorded` makes gauges of all of them, so that
their history, which `usual` reads, is one like any other.
"""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from tillkeeper import audit
from tillkeeper.base import histogram, limits
from tillkeeper.base.clock import Clock
from tillkeeper.monitoring import samples
from tillkeeper.monitoring.catalogue import MEASURES
from tillkeeper.monitoring.types import Measured, Sample, Second
from tillkeeper.payments import browse, webhooks
from tillkeeper.store import Tx, outbox, server

_Read = Callable[[Tx, datetime, datetime], Awaitable[tuple[float | None, int]]]

_HOUR: Final = timedelta(hours=1)
_WEEK: Final = timedelta(weeks=1)


async def measure(
    tx: Tx, name: str, seconds: float, clock: Clock, *, until: datetime | None = None
) -> Measured:
    """A measure over the seconds before `until` (by default now). Raises KeyError for a name that is not in MEASURES."""
    kind, end = MEASURES[name], until or clock.now()
    if name in _OF_PAYMENTS:
        value, count = await _OF_PAYMENTS[name](tx, end - timedelta(seconds=seconds), end)
    else:
        # A sample is taken every SAMPLE_SECONDS: in a shorter stretch there may be none, and one from before it counts.
        since = end - timedelta(seconds=max(seconds, limits.SAMPLE_STALE_SECONDS))
        value, count = await samples.worst(tx, name, since, end, kind.better)
        if until is None and name in _LIVE:
            live = await _LIVE[name](tx, clock)
            if live is not None:
                value, count = max(live, value or 0.0), count + 1
    return Measured(value, count, kind.unit)


async def usual(tx: Tx, name: str, clock: Clock) -> float | None:
    """What a measure is in this hour of the week: the median of the same hour in up to four weeks before. None: less than
    half of two such hours is known.
    """
    now = clock.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    hours = [(hour - week * _WEEK, hour - week * _WEEK + _HOUR) for week in range(1, limits.USUAL_WEEKS + 1)]
    means = [mean for mean, count in await samples.means(tx, name, hours) if count >= limits.USUAL_SAMPLES]
    return statistics.median(means) if len(means) >= limits.USUAL_HOURS else None


async def recorded(tx: Tx, clock: Clock) -> list[Sample]:
    """The measures of payments as gauges, over the last SAMPLE_SECONDS; what is unknown is left out."""
    found = []
    for name in _OF_PAYMENTS:
        measured = await measure(tx, name, limits.SAMPLE_SECONDS, clock)
        if measured.value is not None:
            found.append(Sample(name, measured.value))
    return found


async def seconds(tx: Tx, since: datetime, until: datetime) -> list[Second]:
    """The api's own seconds after one moment and up to another, oldest first; several processes stand together."""
    return [
        Second(
            each.second,
            each.asked - each.failed,
            each.failed,
            each.payments,
            each.succeeded,
            each.waiting,
            each.declined,
            each.refused,
            each.p50_us / 1000 if each.payments else None,
            each.p99_us / 1000 if each.payments else None,
        )
        for each in await browse.every_second(tx, since, until)
    ]


async def _lock_waits(tx: Tx, _: Clock) -> float | None:
    found = await server.sessions(tx)
    return found.waiting if found.all_seen else None


async def _oldest_transaction(tx: Tx, _: Clock) -> float | None:
    found = await server.sessions(tx)
    return found.oldest if found.all_seen else None


async def _connections_used(tx: Tx, _: Clock) -> float | None:
    found = await server.sessions(tx)
    return 100 * found.used / found.allowed


async def _outbox_lag(tx: Tx, clock: Clock) -> float | None:
    _, since = await outbox.lag(tx, webhooks.READER)
    return max((clock.now() - since).total_seconds(), 0.0) if since else 0.0


async def _seal_lag(tx: Tx, _: Clock) -> float | None:
    _waiting, lag = await audit.unsealed(tx)
    return lag


async def _success_rate(tx: Tx, since: datetime, until: datetime) -> tuple[float | None, int]:
    counted = await browse.seconds(tx, since, until)
    return _percent(counted.asked - counted.failed, counted.asked), counted.asked


async def _error_rate(tx: Tx, since: datetime, until: datetime) -> tuple[float | None, int]:
    counted = await browse.seconds(tx, since, until)
    return _percent(counted.errors, counted.answers), counted.answers


async def _rate(tx: Tx, since: datetime, until: datetime) -> tuple[float | None, int]:
    counted = await browse.seconds(tx, since, until)
    return (counted.commands / counted.seconds if counted.seconds else None), counted.seconds


def _percentile(which: browse.Which, percent: float) -> _Read:
    async def read(tx: Tx, since: datetime, until: datetime) -> tuple[float | None, int]:
        counts = await browse.buckets(tx, which, since, until)
        found = histogram.percentile(counts, percent)
        return (None if found is None else found * 1000), sum(counts)

    return read


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


_OF_PAYMENTS: Final[Mapping[str, _Read]] = {
    "payments.success_rate": _success_rate,
    "payments.error_rate": _error_rate,
    "payments.rate": _rate,
    "payments.latency_p50_ms": _percentile("latency", 50),
    "payments.latency_p99_ms": _percentile("latency", 99),
    "payments.queueing_p99_ms": _percentile("queueing", 99),
}

# Asked for besides the samples when it is about now: a guardrail looks every second. Of all of them less is better.
_LIVE: Final[Mapping[str, Callable[[Tx, Clock], Awaitable[float | None]]]] = {
    "postgres.lock_waits": _lock_waits,
    "postgres.longest_transaction_seconds": _oldest_transaction,
    "postgres.connections_used": _connections_used,
    "outbox.lag_seconds": _outbox_lag,
    "seal.lag_seconds": _seal_lag,
}
