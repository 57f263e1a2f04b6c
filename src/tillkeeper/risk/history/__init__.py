"""History: what was paid, in columns and in order of arrival, from a file or from PostgreSQL, and the walk through it.

with FileHistory(path) as history:
    walk = Walk(Profiles(rules, zone), ["amount", "payee_risk_7d"])
    for seen in walk.through(history.stretches()):
        seen.values, seen.stretch.batch.amounts, seen.stretch.truth(as_of_us)
"""

from tillkeeper.risk.history.apart import Apart
from tillkeeper.risk.history.files import LABEL_DELAY_US, FileHistory
from tillkeeper.risk.history.rows import reported_until, span, stretches
from tillkeeper.risk.history.types import (
    HANDBOOK,
    NEVER,
    Columns,
    HistoryError,
    Layout,
    Seen,
    Stretch,
    Verdicts,
)
from tillkeeper.risk.history.walk import REMEMBERED_US, Walk

__all__ = [
    "HANDBOOK",
    "LABEL_DELAY_US",
    "NEVER",
    "REMEMBERED_US",
    "Apart",
    "Columns",
    "FileHistory",
    "HistoryError",
    "Layout",
    "Seen",
    "Stretch",
    "Verdicts",
    "Walk",
    "reported_until",
    "span",
    "stretches",
]
