"""An audit trail for tests: a sealer that beats when it is told to, and its folder of keys and anchors."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tillkeeper import audit
from tillkeeper.audit import Report
from tillkeeper.base.clock import Clock
from tillkeeper.store import Store

ANCHORS: Final = "audit-anchors.jsonl"


@dataclass
class Trail:
    """What a test of sealing works with."""

    store: Store
    folder: Path
    clock: Clock
    others: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sealer = self.another()

    @property
    def anchors(self) -> Path:
        """The file beside the key."""
        return self.folder / ANCHORS

    def another(self) -> audit.Sealer:
        """One more sealer, which knows nothing yet."""
        return audit.Sealer(self.store, self.folder, audit.anchors_of(self.folder, self.others), self.clock)

    async def restart(self) -> None:
        """The sealer ends, and another begins."""
        await self.sealer.stop()
        self.sealer = self.another()

    async def act(self, *actions: str, actor: str = "anna", subject: str = "cus_1") -> None:
        """Events, each in a transaction of its own."""
        for action in actions:
            async with self.store.tx("test") as tx:
                await audit.append(tx, actor, action, subject, "why", "10.0.0.7")

    async def seal(self, *actions: str) -> None:
        """Each of these events under a head of its own; then all that is left; then the anchors."""
        for action in actions:
            await self.act(action)
            await self.sealer.beat()
        while await self.sealer.beat():
            pass
        self.sealer.tend()
        await self.sealer.settled()

    async def verify(self) -> Report:
        """Verify as the command does."""
        anchors = audit.anchors_of(self.folder, self.others)
        return await audit.verify(self.store, audit.find_ring(self.folder), anchors, self.clock)

    async def sealed(self) -> list[tuple[int, str]]:
        """(seq, action) of all sealed events."""
        async with self.store.tx("test") as tx:
            return [
                (seq, action)
                for seq, action in await tx.tuples(
                    b"SELECT seq, action FROM audit.leaves JOIN audit.events ON id = event ORDER BY seq"
                )
            ]


def states(report: Report) -> dict[str, str]:
    """The parts' states by name."""
    return {part.name: part.state for part in report.parts}
