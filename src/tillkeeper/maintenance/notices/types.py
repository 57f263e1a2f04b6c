"""What is told of a maintenance, and how far it has come."""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from tillkeeper.base.ids import to_typeid

Stage = Literal["scheduled", "begun", "delayed", "completed", "undone", "failed", "cancelled"]
"""delayed: longer than its window. Of the last four one comes last; undone: everything is as it was; failed: people are at
work on it; cancelled: it never began.
"""

Expect = Literal["nothing", "slower", "interruption"]

ENDS: Final[frozenset[Stage]] = frozenset({"completed", "undone", "failed", "cancelled"})


class Words(msgspec.Struct, frozen=True):
    """A notice in one language. Paragraphs of `text` are parted by an empty line."""

    title: str
    text: str


class Told(msgspec.Struct, frozen=True):
    """A stage that was told. `downtime_seconds`: at the end, what payments were really interrupted; None: not known."""

    stage: Stage
    at: datetime
    downtime_seconds: float | None = None


class Notice(msgspec.Struct, frozen=True):
    """A maintenance as customers and merchants see it; times are UTC. `spare_until`: how long it may take at worst.

    `words`: by language (`en`, `zh-CN`). `told`: its stages in order, never empty.
    """

    plan: UUID
    expect: Expect
    words: dict[str, Words]
    begins: datetime
    ends: datetime
    spare_until: datetime
    told: tuple[Told, ...] = ()

    @property
    def public_id(self) -> str:
        """As customers name it; a plan has one notice."""
        return to_typeid("ntc", self.plan)

    @property
    def state(self) -> Stage:
        """Where it stands."""
        return self.told[-1].stage

    @property
    def over(self) -> bool:
        """Whether nothing more will be told."""
        return bool(self.told) and self.state in ENDS

    def at(self, *stages: Stage) -> datetime | None:
        """When the first of these stages was told."""
        return next((each.at for each in self.told if each.stage in stages), None)

    @property
    def begun_at(self) -> datetime | None:
        """When it really began."""
        return self.at("begun")

    @property
    def ended_at(self) -> datetime | None:
        """When it was over."""
        return self.told[-1].at if self.over else None

    @property
    def downtime_seconds(self) -> float | None:
        """How long payments were really interrupted; None while it is not known."""
        return self.told[-1].downtime_seconds if self.over else None
