"""Samples: written by every process, rolled up by the agent, read by everybody."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tillkeeper.base import limits
from tillkeeper.base.clock import EPOCH
from tillkeeper.monitoring.catalogue import COUNTERS, METRICS
from tillkeeper.monitoring.types import Better, Latest, Point, Sample
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")

Key = tuple[str, str]
"""A metric and its labels, as JSON with sorted keys."""


class Recorder:
    """Writes samples of what the catalogue declares (else KeyError). Remembers the numbers of series while they last."""

    def __init__(self) -> None:
        self._series: dict[Key, int] = {}

    async def write(self, tx: Tx, taken: Sequence[Sample], at: datetime) -> None:
        """Write samples of one moment; of two of one series the last counts."""
        values = {_key(each): each.value for each in taken}
        if strangers := {metric for metric, _ in values} - METRICS.keys():
            raise KeyError(f"not in the catalogue: {', '.join(sorted(strangers))}")
        if not values.keys() <= self._series.keys():
            await self._meet(tx, [key for key in values if key not in self._series])
        series = {self._series[key]: value for key, value in values.items()}
        params = {"at": at, "series": list(series), "values": [float(v) for v in series.values()]}
        if await tx.value(_sql.add_samples, params) < len(series):
            self._series = {}  # one of them was past its time and deleted: the next sample begins it anew

    async def _meet(self, tx: Tx, keys: Sequence[Key]) -> None:
        await tx.run(
            _sql.add_series,
            {
                "metrics": columns.texts([metric for metric, _ in keys]),
                "labels": columns.texts([labels for _, labels in keys]),
            },
        )
        self._series = {
            (metric, _json(msgspec.json.decode(labels))): number
            for number, metric, labels in await tx.tuples(_sql.all_series)
        }


async def keep_partitions(tx: Tx, moment: datetime) -> int:
    """Make the partitions of a moment and of the time after it, drop those past their age; how many."""
    changed: int = await tx.value(_sql.keep_partitions, {"moment": moment})
    return changed


async def roll_up(tx: Tx, now: datetime) -> bool:
    """Roll up what is complete, at most ROLLUP_AT_ONCE_SECONDS of it; whether anything was."""
    last: datetime | None = await tx.value(_sql.rolled_up_to)
    oldest = last + timedelta(seconds=limits.ROLLUP_SECONDS) if last else EPOCH
    first: datetime | None = await tx.value(_sql.first_sample, {"since": oldest})
    if first is None:
        return False
    since = _slot_of(first)
    ready = _slot_of(now - timedelta(seconds=limits.ROLLUP_GRACE_SECONDS))
    until = min(ready, since + timedelta(seconds=limits.ROLLUP_AT_ONCE_SECONDS))
    if since >= until:
        return False
    params = {"since": since, "until": until, "seconds": limits.ROLLUP_SECONDS, "counters": list(COUNTERS)}
    await tx.run(_sql.roll_up, params)
    return True


async def latest(tx: Tx, since: datetime, until: datetime) -> list[Latest]:
    """The newest sample of every series that has one after a moment: what is stale is left out."""
    rows = await tx.tuples(_sql.latest, {"since": since, "until": until})
    return [Latest(metric, msgspec.json.decode(labels), at, value) for metric, labels, at, value in rows]


async def worst(
    tx: Tx, metric: str, since: datetime, until: datetime, better: Better
) -> tuple[float | None, int]:
    """The worst sample of a metric between two moments, and how many there are."""
    series = await _series_of(tx, metric)
    params = {"series": series, "since": since, "until": until}
    ((count, low, high, _),) = await tx.tuples(_sql.stretch_of, params)
    return (low if better == "higher" else high), count


async def means(
    tx: Tx, metric: str, stretches: Sequence[tuple[datetime, datetime]]
) -> list[tuple[float, int]]:
    """The mean of a metric in stretches of time, from roll-ups, with how many samples; stretches without any are left out."""
    params = {
        "series": await _series_of(tx, metric),
        "since": [since for since, _ in stretches],
        "until": [until for _, until in stretches],
    }
    return [(mean, count) for _, mean, count in await tx.tuples(_sql.means_of_slots, params)]


async def points(tx: Tx, metric: str, since: datetime, until: datetime, step: int) -> dict[str, list[Point]]:
    """A metric's series between two moments, in stretches of `step` seconds, by labels as JSON: from raw samples, or from
    roll-ups where `step` is a multiple of theirs.
    """
    params = {
        "series": await _series_of(tx, metric),
        "since": since,
        "until": until,
        "step": step,
    }
    if step % limits.ROLLUP_SECONDS:
        rows = await tx.tuples(_sql.points, params | {"counter": METRICS[metric].kind == "counter"})
    else:
        rows = await tx.tuples(_sql.long_points, params)
    found: dict[str, list[Point]] = {}
    for labels, *point in rows:
        found.setdefault(labels, []).append(Point(*point))
    return found


def _slot_of(moment: datetime) -> datetime:
    return moment - (moment - EPOCH) % timedelta(seconds=limits.ROLLUP_SECONDS)


async def _series_of(tx: Tx, metric: str) -> list[int]:
    return [number for number, _ in await tx.tuples(_sql.series_of, {"metric": metric})]


def _key(sample: Sample) -> Key:
    return sample.metric, _json(sample.labels)


def _json(labels: object) -> str:
    return msgspec.json.encode(labels, order="deterministic").decode()
