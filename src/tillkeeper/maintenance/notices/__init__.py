"""Notices: what customers and merchants are told of maintenance, before, during and after."""

from tillkeeper.maintenance.notices.board import ahead, current, header, history, planned
from tillkeeper.maintenance.notices.herald import Herald
from tillkeeper.maintenance.notices.types import ENDS, Notice, Stage, Told, Words

__all__ = [
    "ENDS",
    "Herald",
    "Notice",
    "Stage",
    "Told",
    "Words",
    "ahead",
    "current",
    "header",
    "history",
    "planned",
]
