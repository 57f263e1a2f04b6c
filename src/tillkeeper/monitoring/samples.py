"""Samples: written by every process, rolled up by the agent, read by everybody."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tillkeeper.monitoring.types import Better, Latest, Sample
from tillkeeper.store import Tx, columns, queries

_sql = queries(__package__, "queries.sql")

Key = tuple[str, str]
"""A metric and its labels, as JSON with sorted keys."""


class Recorder:
    """Writes samples. Remembers the numbers of series: they are made once and never changed."""

    def __init__(self) -> None:
        self._series: dict[Key, int] = {}

    async def write(self, tx: Tx, taken: Sequence[Sample], at: datetime) -> None:
        """Write samples of one moment; of two of one series the last counts."""
        values = {_key(each): each.value for each in taken}
        if not values.keys() <= self._series.keys():
            await self._meet(tx, [key for key in values if key not in self._series])
        series = {self._series[key]: value for key, value in values.items()}
        await tx.run(
            _sql.add_samples,
            {"at": at, "series": list(series), "values": [float(v) for v in series.values()]},
        )

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


async def _series_of(tx: Tx, metric: str) -> list[int]:
    return [number for number, _ in await tx.tuples(_sql.series_of, {"metric": metric})]


def _key(sample: Sample) -> Key:
    return sample.metric, _json(sample.labels)


def _json(labels: object) -> str:
    return msgspec.json.encode(labels, order="deterministic").decode()
