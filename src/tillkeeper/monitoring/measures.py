"""What guardrails and objectives ask for by name. An absent measurement is unknown: it is never taken for a good one.

A measure of payments comes from the api's own seconds. Every other is a gauge that some process samples every
SAMPLE_SECONDS: over a stretch of time it is the worst that was sampled. `recorded` makes gauges of all of them, so that
their history, which `usual` reads, is one like any other.
"""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from tillkeeper.base import histogram, limits
from tillkeeper.base.clock import Clock
from tillkeeper.monitoring import samples
from tillkeeper.monitoring.types import Measure, Measured, Sample, Second
from tillkeeper.payments import browse
from tillkeeper.store import Tx

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

MEASURES: Final[Mapping[str, Measure]] = {
    "payments.success_rate": Measure(
        "percent",
        "higher",
        {
            "en": "Orders not failed by fault of ours; a decline is an answer",
            "zh-CN": "未因我方故障失败的订单；拒绝也是回答",
        },
        least=20,
    ),
    "payments.error_rate": Measure(
        "percent", "lower", {"en": "Answers 500 and above", "zh-CN": "500 及以上的应答"}, least=20
    ),
    "payments.rate": Measure(
        "per second", "higher", {"en": "Orders carried through", "zh-CN": "已处理的订单"}, least=1
    ),
    "payments.latency_p50_ms": Measure(
        "ms", "lower", {"en": "Time to the answer, median", "zh-CN": "应答用时，中位数"}, least=20
    ),
    "payments.latency_p99_ms": Measure(
        "ms", "lower", {"en": "Time to the answer, 99 of 100", "zh-CN": "应答用时，99 分位"}, least=20
    ),
    "payments.queueing_p99_ms": Measure(
        "ms", "lower", {"en": "Waiting for a turn, 99 of 100", "zh-CN": "等待轮次，99 分位"}, least=20
    ),
    "payments.held_seconds": Measure(
        "seconds",
        "lower",
        {"en": "The longest wait for a person's verdict", "zh-CN": "等待人工审核的最长时间"},
    ),
    "risk.decision_rate": Measure(
        "percent", "higher", {"en": "Payments that got a decision of risk", "zh-CN": "得到风控决定的支付"}
    ),
    "rails.unanswered_seconds": Measure(
        "seconds",
        "lower",
        {"en": "The longest wait for a bank's final word", "zh-CN": "等待银行最终答复的最长时间"},
    ),
    "outbox.lag_seconds": Measure(
        "seconds", "lower", {"en": "Age of the oldest news not passed on", "zh-CN": "最早未转发消息的时长"}
    ),
    "webhooks.failure_rate": Measure(
        "percent", "lower", {"en": "Webhook messages that failed", "zh-CN": "失败的 Webhook 消息"}
    ),
    "seal.lag_seconds": Measure(
        "seconds", "lower", {"en": "Age of the oldest unsealed event", "zh-CN": "最早未封存事件的时长"}
    ),
    "postgres.lock_waits": Measure(
        "sessions", "lower", {"en": "Sessions that wait for a lock", "zh-CN": "等待锁的会话"}
    ),
    "postgres.connections_used": Measure(
        "percent", "lower", {"en": "Connections in use", "zh-CN": "已用连接"}
    ),
    "postgres.longest_transaction_seconds": Measure(
        "seconds", "lower", {"en": "Age of the oldest transaction", "zh-CN": "最久的事务"}
    ),
    "disk.free_bytes": Measure("bytes", "higher", {"en": "Free disk space", "zh-CN": "磁盘剩余空间"}),
    "disk.hours_left": Measure(
        "hours",
        "higher",
        {"en": "Until the disk is full, as it fills now", "zh-CN": "按当前速度磁盘写满前的时间"},
    ),
    "wal.waiting_bytes": Measure(
        "bytes", "lower", {"en": "Write-ahead log not yet archived", "zh-CN": "尚未归档的 WAL"}
    ),
    "backup.age_seconds": Measure(
        "seconds", "lower", {"en": "Age of the newest backup", "zh-CN": "最新备份的时长"}
    ),
    "drill.age_seconds": Measure(
        "seconds",
        "lower",
        {"en": "Age of the newest passed restore drill", "zh-CN": "最近一次通过的恢复演练的时长"},
    ),
    "money.faults": Measure(
        "faults", "lower", {"en": "Faults found in the books", "zh-CN": "账簿中发现的错误"}
    ),
}
"""By name: unit, what is better, words."""
