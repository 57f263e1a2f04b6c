"""What an anchor holds beside what the database holds."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Final
from uuid import UUID

from tillkeeper.audit import rows
from tillkeeper.audit.anchors import Anchor, AnchorError
from tillkeeper.audit.findings import Findings, Part
from tillkeeper.audit.keys import Restore, Ring
from tillkeeper.audit.types import Head
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Store, Tx

_GRACE: Final = timedelta(seconds=5)  # until the newest head is anchored


class Comparison:
    """One anchor against the database. Noted is the first contradiction: what follows it cannot agree either.

    `fell_back`: so many events agreed before that; None while everything does.
    """

    def __init__(self, store: Store, anchor: Anchor, ring: Ring | None, found: Findings) -> None:
        self._store, self._anchor, self._ring, self._found = store, anchor, ring, found
        self._last: Head | None = None
        self._agreed = 0
        self._unreadable = 0
        self.fell_back: int | None = None
        self._lost: dict[Restore, int] = {}

    async def part(self, trail: UUID, clock: Clock) -> Part:
        """Read the whole anchor and say what it shows."""
        name = self._anchor.name
        try:
            async with aclosing(self._batches(trail)) as batches:
                async for heads in batches:
                    await self._compare(heads)
        except AnchorError as error:
            return self._found.part(name, f"cannot be read: {error}", "not assessed")
        finally:
            await self._anchor.close()
        spoilt = f"; {self._unreadable} lines cannot be read" if self._unreadable else ""
        for each, count in self._lost.items():
            spoilt += f"; {count} heads beyond event {each.size - 1} were lost by a restore, says {each.by} ({each.at:%Y-%m-%d}): {each.reason}"
        if self._last is None:
            return self._found.part(name, f"holds no head of this trail{spoilt}", "not assessed")
        told = f"reaches to event {self._last.size - 1}, {self._last.at:%Y-%m-%d %H:%M:%S} UTC{spoilt}"
        async with self._store.tx("audit verify") as tx:
            newer = await rows.head_from(tx, self._last.size + 1)
        if newer is not None and clock.now() - newer.at > _GRACE + timedelta(seconds=self._anchor.pause):
            return self._found.part(name, f"{told}; what is newer is not anchored here", "not assessed")
        return self._found.part(name, told)

    async def _batches(self, trail: UUID) -> AsyncGenerator[list[Head], None]:
        batch: list[Head] = []
        async with aclosing(self._anchor.heads(trail)) as heads:
            async for head in heads:
                if head is None:
                    self._unreadable += 1
                elif self._is_ours(head):
                    batch.append(head)
                if len(batch) == limits.ANCHOR_READ:
                    yield batch
                    batch = []
        yield batch

    def _is_ours(self, head: Head) -> bool:
        if self._ring is None or self._ring.signed(head.key, head.form(), head.signature):
            return True
        what = f"a head of {head.size} events is not signed by our key: somebody else wrote it there"
        self._found.note(self._anchor.name, self._agreed, None, what)
        return False

    async def _compare(self, heads: Sequence[Head]) -> None:
        async with self._store.tx("audit verify") as tx:
            stored = await rows.heads_of(tx, [head.size for head in heads])
            for head in heads:
                if self._last is None or head.size > self._last.size:
                    self._last = head
                if head.size in stored and stored[head.size].root == head.root:
                    self._agreed = max(self._agreed, head.size)
                elif self._ring is not None and (restore := self._ring.lost(head.size, head.at)):
                    self._lost[restore] = self._lost.get(restore, 0) + 1
                elif self.fell_back is None:
                    self.fell_back = self._agreed
                    await self._contradict(tx, head, stored.get(head.size))

    async def _contradict(self, tx: Tx, head: Head, stored: Head | None) -> None:
        last = await rows.last_head(tx)
        size = last.head.size if last else 0
        anchored = f"{head.size} events were anchored, {head.at:%Y-%m-%d %H:%M:%S} UTC"
        if stored is not None:
            what = f"the tree of the first {head.size} events is another than was anchored: it was rewritten"
        elif head.size > size:
            what = (
                f"the trail ends after {size} events, but {anchored}: it was cut, or an older copy restored"
            )
        else:
            what = f"{anchored}, and that head is gone"
        place = size if stored is None and head.size > size else self._agreed
        self._found.note(self._anchor.name, place, None, what)
