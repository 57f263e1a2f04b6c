"""Monitoring: what is measured and kept, what it should be, and who is told when it is not."""

from tillkeeper.monitoring.books import Books
from tillkeeper.monitoring.measures import MEASURES, measure, seconds, usual
from tillkeeper.monitoring.types import Measure, Measured, MoneyFault, MoneyLook, Second

__all__ = [
    "MEASURES",
    "Books",
    "Measure",
    "Measured",
    "MoneyFault",
    "MoneyLook",
    "Second",
    "measure",
    "seconds",
    "usual",
]
