"""Objectives and alerts: what should be, who is told when it is not, and how the parts of the platform stand."""

from tillkeeper.monitoring.alerting import browse
from tillkeeper.monitoring.alerting.acts import SILENCE_PREFIX, acknowledge, end_silence, silence
from tillkeeper.monitoring.alerting.book import BadBookError, own_text, parse, read_book
from tillkeeper.monitoring.alerting.channels import Channel, ChannelError, read_channels, send_all
from tillkeeper.monitoring.alerting.components import Day, days
from tillkeeper.monitoring.alerting.telling import Teller
from tillkeeper.monitoring.alerting.types import (
    BURNS,
    COMPONENTS,
    Alert,
    AlertEvent,
    Component,
    ComponentState,
    Objective,
    Rule,
    RuleBook,
    Silence,
    Span,
    Standing,
    Words,
)
from tillkeeper.monitoring.alerting.watch import Sources, Watch, sources
from tillkeeper.monitoring.alerting.words import PREFIX, figure, public_id

__all__ = [
    "BURNS",
    "COMPONENTS",
    "PREFIX",
    "SILENCE_PREFIX",
    "Alert",
    "AlertEvent",
    "BadBookError",
    "Channel",
    "ChannelError",
    "Component",
    "ComponentState",
    "Day",
    "Objective",
    "Rule",
    "RuleBook",
    "Silence",
    "Sources",
    "Span",
    "Standing",
    "Teller",
    "Watch",
    "Words",
    "acknowledge",
    "browse",
    "days",
    "end_silence",
    "figure",
    "own_text",
    "parse",
    "public_id",
    "read_book",
    "read_channels",
    "send_all",
    "silence",
    "sources",
]
