"""The latest samples of all processes as Prometheus reads them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.monitoring.catalogue import METRICS
from tillkeeper.monitoring.samples import latest
from tillkeeper.monitoring.types import Latest
from tillkeeper.store import Tx

CONTENT_TYPE: Final = "text/plain; version=0.0.4"  # the framework adds the character set
_HISTOGRAM: Final = "le"
_SUM: Final = "_seconds"


async def exposition(tx: Tx, clock: Clock) -> bytes:
    """Everything that is known now, as text. A series whose last sample is stale is left out: it must not look fine."""
    now = clock.now()
    widest = limits.SAMPLE_SLOW_SECONDS * limits.SAMPLES_MISSED
    return text_of(fresh(await latest(tx, now - timedelta(seconds=widest), now), now))


def fresh(found: Iterable[Latest], now: datetime) -> list[Latest]:
    """Those that still say something of now; what the catalogue no longer has is left out."""
    return [
        each
        for each in found
        if each.metric in METRICS and (now - each.at).total_seconds() <= METRICS[each.metric].stale_after
    ]


def text_of(found: Iterable[Latest]) -> bytes:
    """Samples in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(found))
    return generate_latest(registry)


def prometheus_name(metric: str) -> str:
    """What a metric is called there; a counter gets `_total` besides."""
    return f"till_{metric.replace('.', '_')}"


class _Samples(Collector):
    """A scrape's worth of samples, grouped by metric."""

    def __init__(self, found: Iterable[Latest]) -> None:
        self._by_metric: dict[str, list[Latest]] = defaultdict(list)
        for each in found:
            self._by_metric[each.metric].append(each)

    def collect(self) -> Iterator[Metric]:
        for name, found in sorted(self._by_metric.items()):
            if METRICS[name].labels == (_HISTOGRAM,):
                yield from _histogram(name, found, self._by_metric.get(name + _SUM, []))
            elif not (name.endswith(_SUM) and name.removesuffix(_SUM) in self._by_metric):
                yield _plain(name, found)


def _plain(name: str, found: Sequence[Latest]) -> Metric:
    metric = METRICS[name]
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(prometheus_name(name), _help(name), labels=metric.labels)
    for each in found:
        family.add_metric([each.labels.get(label, "") for label in metric.labels], each.value)
    return family


def _histogram(name: str, found: Sequence[Latest], sums: Sequence[Latest]) -> Iterator[Metric]:
    """One histogram in seconds, of its buckets and their sum; nothing while one of the two is missing."""
    if sums:
        family = HistogramMetricFamily(f"{prometheus_name(name)}_seconds", _help(name))
        buckets = sorted(
            ((each.labels[_HISTOGRAM], each.value) for each in found), key=lambda each: float(each[0])
        )
        family.add_metric([], buckets, sums[0].value)
        yield family


def _help(name: str) -> str:
    return f"{METRICS[name].words['en']} ({METRICS[name].unit})"
