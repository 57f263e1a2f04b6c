"""Cases: what early warning queues becomes a case of one customer or merchant, a person works it, and the verdict flows back.

The agent opens and merges them (`Clerk`) and keeps who shares what with whom (`Binder`); people claim, hand over, note, decide
and reopen. A verdict labels payments, known from that moment on.
"""

from tillkeeper.risk.cases.acts import (
    LABEL_SOURCE,
    claim,
    decide,
    hand_over,
    note,
    note_listed,
    release,
    reopen,
)
from tillkeeper.risk.cases.bypass import Bypassed, measure
from tillkeeper.risk.cases.dossier import Dossier, dossier, vicinity
from tillkeeper.risk.cases.graph import Edge, Node, Picture
from tillkeeper.risk.cases.intake import Clerk, note_late, take_in
from tillkeeper.risk.cases.neighbours import neighbours, suspects
from tillkeeper.risk.cases.queue import SHOWS, Show, counts, listed
from tillkeeper.risk.cases.rows import cases_of, cases_of_payments, count_late, count_open, find, labels_of
from tillkeeper.risk.cases.ties import Binder
from tillkeeper.risk.cases.types import (
    PREFIX,
    SEVERITIES,
    VERDICTS,
    Case,
    CaseAlert,
    CaseEvent,
    Counts,
    QueuePage,
    Verdict,
)

__all__ = [
    "LABEL_SOURCE",
    "PREFIX",
    "SEVERITIES",
    "SHOWS",
    "VERDICTS",
    "Binder",
    "Bypassed",
    "Case",
    "CaseAlert",
    "CaseEvent",
    "Clerk",
    "Counts",
    "Dossier",
    "Edge",
    "Node",
    "Picture",
    "QueuePage",
    "Show",
    "Verdict",
    "cases_of",
    "cases_of_payments",
    "claim",
    "count_late",
    "count_open",
    "counts",
    "decide",
    "dossier",
    "find",
    "hand_over",
    "labels_of",
    "listed",
    "measure",
    "neighbours",
    "note",
    "note_late",
    "note_listed",
    "release",
    "reopen",
    "suspects",
    "take_in",
    "vicinity",
]
