"""What a plan is. A plan never changes: another text is another plan, with another hash."""

import hashlib
from datetime import datetime
from typing import Any, Literal

import msgspec

Overrun = Literal["finish", "pause", "undo"]
"""What happens to a run that has not ended when its window has: it goes on, waits for a person, or is undone."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step: a kind by name, and its parameters. `expected_seconds`: what the author thinks; a rehearsal knows better."""

    kind: str
    parameters: dict[str, Any] = {}
    title: str = ""
    expected_seconds: float | None = None
    tries: int = 1
    timeout_seconds: float | None = None


class Guardrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A measure that must stay good while the plan runs. Those on money are always there and cannot be left out.

    `measure`: one of monitoring's measures. It fails when it is worse than `usual`, the same hour's baseline, by more than
    `worse_by` (percentage points for rates in percent; a factor for durations: 2.0 is twice as long), or beyond `limit`,
    absolute. It is inconclusive with fewer than `samples` in `seconds`.
    """

    measure: str
    worse_by: float | None = None
    limit: float | None = None
    seconds: float = 10.0
    samples: int = 20


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the run may begin and should have ended; UTC. `last_start`: the last moment to begin; unset: what the
    expected duration leaves.
    """

    begin: datetime
    end: datetime
    overrun: Overrun = "pause"
    last_start: datetime | None = None


class NoticeText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What customers and merchants are told, by language (`en`, `zh-CN`); unset fields are drafted from the plan.

    `lead_hours`: how long before the window it is published. `expect`: what they will notice. `spare_minutes`: kept free
    after the window, should it take longer.
    """

    expect: Literal["nothing", "slower", "interruption"] = "nothing"
    lead_hours: float = 0.0
    spare_minutes: int = 60
    title: dict[str, str] = {}
    text: dict[str, str] = {}


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What shall be done, why, when, guarded by what."""

    goal: str
    reason: str
    owner: str
    steps: tuple[Step, ...]
    touches: tuple[str, ...] = ()
    window: Window | None = None
    guardrails: tuple[Guardrail, ...] = ()
    notice: NoticeText | None = None
    expected_seconds: float | None = None

    @property
    def digest(self) -> bytes:
        """What approvals, rehearsals and runs are bound to: SHA-256 over its JSON with sorted keys."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).digest()
