"""What the doors of audit give out."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from tillkeeper.audit.form import head_form
from tillkeeper.base.limits import SEAL_LAG_SECONDS

Result = Literal["done", "refused", "failed"]


class Event(msgspec.Struct, frozen=True):
    """Who did what to what, and why. `at` is UTC; `origin` is where it came from (an address, "cli").

    `seq`: its place in the sealed tree; None while it waits for the seal.
    """

    id: UUID
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    origin: str
    result: str
    seq: int | None


class Filter(msgspec.Struct, frozen=True):
    """What a search asks for; None: anything. `since` and `until` bound the time, the end excluded."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    result: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def way(self) -> str:
        """The index to walk: the most selective one that fits."""
        if self.subject is not None:
            return "subject"
        if self.actor is not None:
            return "actor"
        return "time" if self.action is None else "action"


class Page(msgspec.Struct, frozen=True):
    """Events, newest first, and the id to continue before. `partial`: the walk ended at its bound."""

    events: list[Event]
    next_before: UUID | None
    partial: bool


class Head(msgspec.Struct, frozen=True):
    """The tree as it was after so many leaves, signed. An anchor keeps nothing else."""

    trail: UUID
    size: int
    root: bytes
    at: datetime
    key: str
    signature: bytes

    def form(self) -> bytes:
        """What the signature covers."""
        return head_form(self.trail, self.size, self.root, self.at, self.key)


class Standing(msgspec.Struct, frozen=True):
    """How far the seal has come.

    `waiting`: events not yet sealed, counted up to STANDING_COUNTED; `lag`: seconds the oldest of them has waited, by the
    database's clock. `failing`: anchors that cannot be written, by what the sealer last said of them.
    """

    head: Head | None
    waiting: int
    lag: float
    failing: tuple[str, ...]

    @property
    def behind(self) -> bool:
        """Whether the seal is later than it may be."""
        return self.lag > SEAL_LAG_SECONDS
