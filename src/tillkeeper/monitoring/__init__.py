"""Monitoring: what is measured and kept, what it should be, and who is told when it is not."""

from tillkeeper.monitoring.api import Payments
from tillkeeper.monitoring.books import Books
from tillkeeper.monitoring.catalogue import COUNTERS, MEASURES, METRICS
from tillkeeper.monitoring.exposition import CONTENT_TYPE, exposition, prometheus_name
from tillkeeper.monitoring.measures import measure, seconds, usual
from tillkeeper.monitoring.platform import Platform
from tillkeeper.monitoring.process import Oneself
from tillkeeper.monitoring.sampler import Sampler, Source, keep_rolling
from tillkeeper.monitoring.samples import latest, points
from tillkeeper.monitoring.shown import SPANS, Board, Picture, Span, board
from tillkeeper.monitoring.types import (
    Latest,
    Measure,
    Measured,
    Metric,
    MoneyFault,
    MoneyLook,
    Point,
    Sample,
    Second,
)

__all__ = [
    "CONTENT_TYPE",
    "COUNTERS",
    "MEASURES",
    "METRICS",
    "SPANS",
    "Board",
    "Books",
    "Latest",
    "Measure",
    "Measured",
    "Metric",
    "MoneyFault",
    "MoneyLook",
    "Oneself",
    "Payments",
    "Picture",
    "Platform",
    "Point",
    "Sample",
    "Sampler",
    "Second",
    "Source",
    "Span",
    "board",
    "exposition",
    "keep_rolling",
    "latest",
    "measure",
    "points",
    "prometheus_name",
    "seconds",
    "usual",
]
