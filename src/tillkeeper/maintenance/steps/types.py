"""What a kind of step is, and where a step acts.

A kind is one file in this package: a `Parameters` struct and a class with the methods of `Kind`, listed in `kinds.py`.
Whatever a step does must bear being called again: a run that was killed in the middle calls `run` once more, so it looks
first what is already done. `undo` bears the same, and also a step that was only half done.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from tillkeeper.base.clock import Clock
from tillkeeper.base.settings import Settings
from tillkeeper.store import Store
from tillkeeper.vault import RootKey, Vault

Evidence = dict[str, Any]
"""JSON: what a step did or found, for the journal and the report; no personal data."""

LockRisk = Literal["none", "brief", "long"]
"""none: waits for nobody and nobody for it; brief: takes a lock that others wait for, bounded by a time-out; long: may
hold such a lock for as long as it works."""


class StepError(Exception):
    """A step cannot go on. The message says why and what to do; trying again does not help by itself."""


class Aborted(Exception):  # noqa: N818 - no error: somebody wished it
    """The run is to stop: raised by `Attempt.checkpoint`."""


class Finding(msgspec.Struct, frozen=True):
    """What a look before or after a step found. `code` for machines (as in `disk_too_small`), `said` for people."""

    code: str
    said: str
    ok: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """Where steps act: production, or a restored copy of it. `admin_url`: the database as the schema's owner sees it.

    `settings` are those of this place: `settings.home` is its data folder, `settings.database_url` None where the server is an
    embedded one under it.
    """

    store: Store
    admin_url: str
    clock: Clock
    settings: Settings
    vault: Vault
    root: RootKey
    production: bool


class Attempt(Protocol):
    """One try of a step, as the step sees it. All of it is kept in the run's journal."""

    @property
    def saved(self) -> Evidence:
        """What the last `save` of this step kept, also before a crash; {} at first."""
        ...

    async def save(self, state: Evidence) -> None:
        """Keep how far the step is, durably. At most one a second is worth its cost."""
        ...

    async def progress(self, share: float, said: str = "") -> None:
        """Tell how far the step is (0 to 1), and in one line what it does. Cheap: written at most once a second."""
        ...

    async def checkpoint(self) -> None:
        """A point at which the step may rest: waits while the run is paused. Raises Aborted when it is to stop.

        A step that can stop in between calls this often; one that cannot is cancelled (CancelledError).
        """
        ...


class Kind(Protocol):
    """One kind of step."""

    name: str
    """As plans say it: `index.create`."""
    parameters: type[msgspec.Struct]
    """Frozen, forbid_unknown_fields; its docstring and its fields' defaults make the form and the reference."""
    reversible: bool
    lock_risk: LockRisk
    money_risk: bool
    """Whether it writes where money is kept, so that its plan takes the strictest guardrails."""

    async def preflight(self, site: Site, given: Any) -> Sequence[Finding]:
        """What stands in the way, looked at just before a run; findings that are `ok` are told too."""
        ...

    async def run(self, site: Site, given: Any, attempt: Attempt) -> Evidence:
        """Do it, or the rest of it. Raises StepError."""
        ...

    async def verify(self, site: Site, given: Any, evidence: Evidence) -> Sequence[Finding]:
        """Whether it is done and right."""
        ...

    async def undo(self, site: Site, given: Any, evidence: Evidence, attempt: Attempt) -> Evidence:
        """Put things back as they were before it, whole or half done (`evidence`: of `run`, or what was saved last).

        Only called where `reversible`. Raises StepError.
        """
        ...


Kinds = Mapping[str, Kind]
"""The registry: every kind of step by its name. Packages above add theirs in wiring."""

Tell = Callable[[float, str], Awaitable[None]]
MAX_STEPS: Final = 50
