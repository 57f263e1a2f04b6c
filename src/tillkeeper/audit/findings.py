"""What a verification finds."""

from typing import Literal

import msgspec

from tillkeeper.base import limits

State = Literal["holds", "broken", "not assessed"]


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it was sealed. `seq`: the first place in the tree that it can concern, `event` who stands there."""

    part: str
    seq: int
    event: str | None
    what: str


class Part(msgspec.Struct, frozen=True):
    """What one part of a verification came to."""

    name: str
    state: State
    detail: str


class Findings:
    """Faults as they are found: a bounded list, and all of them counted."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._counts: dict[str, int] = {}

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self._counts.values())

    def note(self, part: str, seq: int, event: str | None, what: str) -> None:
        """One more."""
        self._counts[part] = self._counts.get(part, 0) + 1
        if len(self.faults) < limits.AUDIT_FAULTS:
            self.faults.append(Fault(part, seq, event, what))

    def part(self, name: str, good: str, state: State = "holds") -> Part:
        """What a part came to: broken if a fault was noted, else what is given."""
        count = self._counts.get(name, 0)
        if not count:
            return Part(name, state, good)
        return Part(name, "broken", f"{count} {'fault' if count == 1 else 'faults'}; {good}")
