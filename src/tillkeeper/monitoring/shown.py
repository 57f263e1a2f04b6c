"""What the console's page shows of everything measured: now, and over an hour, a day or a week."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH, Clock
from tillkeeper.monitoring import money
from tillkeeper.monitoring.catalogue import METRICS
from tillkeeper.monitoring.exposition import fresh
from tillkeeper.monitoring.measures import measure
from tillkeeper.monitoring.samples import latest, points
from tillkeeper.monitoring.types import Latest, Measured, Metric
from tillkeeper.store import Tx

Span = Literal["hour", "day", "week"]

SPANS: Final[Mapping[Span, tuple[int, int]]] = {
    "hour": (3600, 20),
    "day": (24 * 3600, limits.ROLLUP_SECONDS),
    "week": (7 * 24 * 3600, 6 * limits.ROLLUP_SECONDS),
}
"""How many seconds each shows, and seconds of one point of a picture: the longer ones are read from roll-ups."""

TILES: Final = (
    "payments.success_rate",
    "payments.rate",
    "payments.latency_p99_ms",
    "payments.queueing_p99_ms",
    "postgres.lock_waits",
    "postgres.connections_used",
    "outbox.lag_seconds",
    "seal.lag_seconds",
    "disk.free_bytes",
    "backup.age_seconds",
    "drill.age_seconds",
    "wal.waiting_bytes",
)
PICTURES: Final = (
    "payments.rate",
    "payments.success_rate",
    "payments.latency_p99_ms",
    "payments.queueing_p99_ms",
    "postgres.connections",
    "postgres.lock_waits",
    "postgres.cache_hit_percent",
    "process.cpu_percent",
    "process.loop_lag_ms",
    "outbox.lag_seconds",
)
_TILE_SECONDS: Final = 60


class Picture(msgspec.Struct, frozen=True):
    """A gauge over time: one value a point, of several series the highest; None where nothing was measured."""

    metric: Metric
    values: tuple[float | None, ...]


class Statement(msgspec.Struct, frozen=True):
    """A named statement of one process: since its start, and over the last minute (None: it was not called)."""

    process: str
    name: str
    calls: float
    seconds: float
    mean_ms: float | None
    p95_ms: float | None


class Board(msgspec.Struct, frozen=True):
    """All of it. `tables`, `processes`: values by metric, by label. `faults`: of each kind how many; None: nobody looked."""

    tiles: tuple[tuple[str, Measured], ...]
    pictures: tuple[Picture, ...]
    faults: tuple[tuple[str, float | None], ...]
    nets: tuple[tuple[str, float], ...]
    on_the_way: tuple[tuple[str, float], ...]
    server: tuple[tuple[Metric, float], ...]
    tables: Mapping[str, Mapping[str, float]]
    processes: Mapping[str, Mapping[str, float]]
    statements: tuple[Statement, ...]


async def board(tx: Tx, span: Span, clock: Clock) -> Board:
    """What is known now, and how it came about."""
    now = clock.now()
    widest = limits.SAMPLE_SLOW_SECONDS * limits.SAMPLES_MISSED
    known = fresh(await latest(tx, now - timedelta(seconds=widest), now), now)
    return Board(
        tiles=tuple([(name, await measure(tx, name, _TILE_SECONDS, clock)) for name in TILES]),
        pictures=tuple([await _picture(tx, name, span, now) for name in PICTURES]),
        faults=_faults(known),
        nets=_by(known, "money.net", "currency"),
        on_the_way=_by(known, "money.on_the_way", "currency"),
        server=tuple((METRICS[each.metric], each.value) for each in _server(known)),
        tables=_grouped(
            known, "table", ("postgres.table_bytes", "postgres.index_bytes", "postgres.dead_rows")
        ),
        processes=_grouped(
            known, "process", ("process.cpu_percent", "process.memory_bytes", "process.loop_lag_ms")
        ),
        statements=_statements(known),
    )


async def _picture(tx: Tx, name: str, span: Span, now: datetime) -> Picture:
    length, step = SPANS[span]
    until = now - (now - EPOCH) % timedelta(seconds=step)  # the present point is not complete
    since = until - timedelta(seconds=length)
    highest: dict[datetime, float] = {}
    for series in (await points(tx, name, since, until, step)).values():
        for each in series:
            highest[each.at] = max(each.mean, highest.get(each.at, each.mean))
    slots = [since + timedelta(seconds=at) for at in range(0, length, step)]
    return Picture(METRICS[name], tuple(highest.get(slot) for slot in slots))


def _faults(known: Sequence[Latest]) -> tuple[tuple[str, float | None], ...]:
    found = dict(_by(known, "money.fault", "code"))
    return tuple((code, found.get(code)) for code in money.CODES)


def _by(known: Sequence[Latest], metric: str, label: str) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((each.labels[label], each.value) for each in known if each.metric == metric))


def _server(known: Sequence[Latest]) -> list[Latest]:
    of_it = [each for each in known if each.metric.startswith("postgres.") and not each.labels]
    return sorted(of_it, key=lambda each: list(METRICS).index(each.metric))


def _grouped(known: Sequence[Latest], label: str, metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Values by what the label says and by the metric's last word; the first metric's highest come first."""
    found: dict[str, dict[str, float]] = {}
    for each in sorted(known, key=lambda each: -each.value if each.metric == metrics[0] else 0.0):
        if each.metric in metrics:
            found.setdefault(each.labels[label], {})[each.metric.partition(".")[2]] = each.value
    return found


def _statements(known: Sequence[Latest]) -> tuple[Statement, ...]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for each in known:
        kind, _, name = each.metric.partition(".")
        if kind == "statement":
            found.setdefault((each.labels["process"], each.labels["statement"]), {})[name] = each.value
    made = [
        Statement(process, name, of["calls"], of["seconds"], of.get("mean_ms"), of.get("p95_ms"))
        for (process, name), of in found.items()
        if "calls" in of and "seconds" in of
    ]
    return tuple(sorted(made, key=lambda each: each.seconds, reverse=True)[: limits.SHOWN_STATEMENTS])
