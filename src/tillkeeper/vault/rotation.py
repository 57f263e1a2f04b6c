"""Rotation of the data and index keys while everybody works, and of the root key.

A new version is pending until every process can read it, then it is active and seals; then every sealed column is walked, and
what an older version made is made anew. The old version is destroyed when a count over all columns finds nothing of it, and
no writer that still knew it can be left. Each of these states is stored, so whoever starts a rotation that was killed goes on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.ids import new_id
from tillkeeper.store import Store, Tx, queries
from tillkeeper.vault.errors import RootKeyError, VaultError
from tillkeeper.vault.keyset import CLASSES, add, key_place
from tillkeeper.vault.roots import RootKey, Wrapped
from tillkeeper.vault.vault import Vault
from tillkeeper.vault.walk import Walk, blocks, by_version, old_rows, step, walks

_sql = queries(__package__, "queries.sql")

JOB: Final = "rotation of keys"
"""The name of the job that one process does at a time (store.sole)."""


_NAMED: Final = 3  # of the cells that do not open


class StuckError(VaultError):
    """Cells that do not open stand in the way of destroying the old version. The message names the first of them."""


class Pace(msgspec.Struct, frozen=True):
    """How fast a rotation may be; seconds. `trust` and `writers` are never shorter than the limits, but in tests."""

    trust: float = limits.VAULT_TRUST_SECONDS
    writers: float = limits.VAULT_WRITERS_SECONDS
    blocks: int = limits.ROTATION_BLOCKS
    lanes: int = limits.ROTATION_LANES
    rest: float = 0.0
    """Of the time that a step takes, so much more is paused after it: 1.0 works half of the time."""

    @classmethod
    def resting(cls, rest: float) -> "Pace":
        """Whoever rests takes one short step at a time, so that payments never find more than one of them before them."""
        return cls(rest=rest, blocks=limits.ROTATION_SHORT_BLOCKS, lanes=1) if rest else cls()


class Progress(msgspec.Struct, frozen=True):
    """How far a rotation is: what it does now, which share of that is done, how many rows were made anew in all."""

    doing: str
    share: float
    done: int


class Proof(msgspec.Struct, frozen=True):
    """What a rotation ended with: the cells or tags by column and version, in one snapshot."""

    purpose: str
    version: int
    done: int
    counted: dict[str, dict[int, int]]
    destroyed: list[int]


class _Open(msgspec.Struct):
    """A rotation under way, as it is stored."""

    id: UUID
    version: int
    state: str
    walked_table: str = ""
    next_block: int = 0
    done: int = 0
    saved_at: float = 0.0


class _Front:
    """The ranges of a table's blocks, handed out in order to several lanes. All blocks before `behind` are done."""

    def __init__(self, first: int, end: int, size: int) -> None:
        self._next = first
        self._end = end
        self._size = size
        self.under_way: set[int] = set()

    @property
    def behind(self) -> int:
        return min(self.under_way, default=min(self._next, self._end))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while (first := self._next) < self._end:
            self._next += self._size
            self.under_way.add(first)
            yield first, self._next


Tell = Callable[[Progress], None]


async def _go_on() -> None:
    """Nobody wishes a rest."""


class Rotation:
    """The rotation of the keys of one purpose. Only one process at a time may run it: see JOB.

    `checkpoint` is awaited between two pieces of work: it may wait, or raise to break the rotation off.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        root: RootKey,
        clock: Clock,
        purpose: str,
        actor: str,
        checkpoint: Callable[[], Awaitable[None]] = _go_on,
    ) -> None:
        self._store = store
        self._vault = vault
        self._root = root
        self._clock = clock
        self._purpose = purpose
        self._actor = actor
        self._checkpoint = checkpoint

    async def run(self, tell: Tell, pace: Pace | None = None) -> Proof:
        """Begin, or go on where a rotation was left. Raises StuckError when cells do not open; nothing is destroyed then."""
        pace = pace or Pace()
        now = await self._begin()
        if now.state == "spreading":
            await _wait(pace.trust, now, "every process learns the new version", tell)
            await self._activate(now)
        await self._vault.refresh()
        last_writer = time.monotonic() + pace.writers
        await self._walk_until_none_is_left(now, pace, tell)
        await self._set(now, "settling")
        await _wait(last_writer - time.monotonic(), now, "the last writers of the old version end", tell)
        while (proof := await self._destroy(now)) is None:
            await self._walk_until_none_is_left(now, pace, tell)
        return proof

    async def _begin(self) -> _Open:
        async with self._store.tx("vault rotation begins") as tx:
            await tx.run(_sql.lock_keys)
            if found := await tx.tuples(_sql.open_rotation, {"purpose": self._purpose}):
                return _Open(*found[0])
            rows = [row for row in await tx.rows(_sql.keys) if row.purpose == self._purpose]
            version = max(row.version for row in rows) + 1
            for class_ in CLASSES:
                await add(tx, self._root, (class_, self._purpose, version), "pending", self._clock)
            begun = _Open(new_id(), version, "spreading")
            params = {"id": begun.id, "purpose": self._purpose, "version": version, "actor": self._actor}
            await tx.run(_sql.begin_rotation, params | {"at": self._clock.now()})
            await audit.append(
                tx, self._actor, "key.rotation_started", f"{self._purpose} key", f"version {version}"
            )
            return begun

    async def _activate(self, now: _Open) -> None:
        async with self._store.tx("vault activates") as tx:
            await tx.run(_sql.lock_keys)
            params = {"purpose": self._purpose, "version": now.version, "at": self._clock.now()}
            await tx.run(_sql.retire_active, params)
            await tx.run(_sql.activate, params)
            await self._save(tx, now, "walking")

    async def _walk_until_none_is_left(self, now: _Open, pace: Pace, tell: Tell) -> None:
        """Rows that others held, or that moved, are met by the next walk."""
        left = 0
        for _ in range(limits.ROTATION_WALKS):
            stuck = await self._walk_all(now, pace, tell)
            async with self._store.tx("vault count") as tx:
                left = await self._count(tx, now.version)
            if left == 0:
                return
            if stuck:
                raise StuckError(
                    f"{left} rows keep the old version alive, as they do not open: {'; '.join(stuck)}"
                )
            await asyncio.sleep(pace.trust / 10)
        raise StuckError(f"{left} rows are held by transactions that do not end; look in pg_stat_activity")

    async def _walk_all(self, now: _Open, pace: Pace, tell: Tell) -> list[str]:
        """Walk the tables from where the rotation stands, then begin again at the first. What did not open, if any."""
        stuck: list[str] = []
        for walk in walks(self._vault, self._purpose):
            if walk.table < now.walked_table:
                continue
            if walk.table > now.walked_table:
                now.walked_table, now.next_block = walk.table, 0
            stuck += await self._walk(now, walk, pace, tell)
        now.walked_table, now.next_block = "", 0
        return stuck

    async def _walk(self, now: _Open, walk: Walk, pace: Pace, tell: Tell) -> list[str]:
        async with self._store.tx("vault table size") as tx:
            end = await blocks(tx, walk.table)
        front = _Front(now.next_block, end, pace.blocks)
        stuck: list[str] = []

        async def lane() -> None:
            for first, last in front:
                await self._checkpoint()
                begun = time.monotonic()
                await self._vault.refresh(limits.VAULT_REFRESH_SECONDS)  # a busy machine may be late with it
                found = await step(self._store, walk, first, last, now.version)
                front.under_way.remove(first)
                now.done += found.done
                stuck.extend(found.stuck[: _NAMED - len(stuck)])
                now.next_block = front.behind
                tell(Progress(walk.table, min(1.0, now.next_block / end), now.done))
                if time.monotonic() - now.saved_at > limits.ROTATION_SAVE_SECONDS:
                    await self._set(now, "walking")
                await asyncio.sleep((time.monotonic() - begun) * pace.rest)

        async with asyncio.TaskGroup() as group:
            for _ in range(pace.lanes):
                group.create_task(lane())
        return stuck

    async def _count(self, tx: Tx, version: int) -> int:
        await tx.run(_sql.take_your_time)
        return sum([await old_rows(tx, walk, version) for walk in walks(self._vault, self._purpose)])

    async def _destroy(self, now: _Open) -> Proof | None:
        """Destroy all older versions if one last count finds nothing of them; else None."""
        async with self._store.tx("vault destroys") as tx:
            await tx.run(_sql.one_snapshot)
            await tx.run(_sql.lock_keys)
            if await self._count(tx, now.version):
                return None
            counted = await by_version(tx, self._vault.tables, self._purpose)
            params = {"purpose": self._purpose, "version": now.version, "at": self._clock.now()}
            destroyed = sorted({row[0] for row in await tx.tuples(_sql.destroy_older, params)})
            await tx.run(_sql.finish_rotation, {"id": now.id, "done": now.done, "at": self._clock.now()})
            said = (
                f"version {now.version} active, {', '.join(map(str, destroyed))} destroyed, {now.done} rows"
            )
            await audit.append(tx, self._actor, "key.rotated", f"{self._purpose} key", said)
        await self._vault.refresh()
        return Proof(self._purpose, now.version, now.done, counted, destroyed)

    async def _set(self, now: _Open, state: str) -> None:
        async with self._store.tx("vault rotation") as tx:
            await self._save(tx, now, state)

    async def _save(self, tx: Tx, now: _Open, state: str) -> None:
        now.state, now.saved_at = state, time.monotonic()
        params: dict[str, Any] = {"id": now.id, "state": state, "at": self._clock.now(), "done": now.done}
        await tx.run(_sql.save_rotation, params | {"table": now.walked_table, "block": now.next_block})


class NewRoot(msgspec.Struct, frozen=True):
    """What the rotation of the root key ended with. `remark`: what to do with the old one; `others`: keys that are kept
    elsewhere.
    """

    name: str
    keys: int
    remark: str
    others: int = 0


async def _none() -> int:
    """No keys are kept elsewhere."""
    return 0


async def rotate_root(
    store: Store,
    old: RootKey,
    new: RootKey,
    actor: str,
    also: Callable[[], Awaitable[int]] = _none,
) -> NewRoot:
    """Wrap all class keys with a new root key, in its old place or (`new` is not `old`) in another. `also`: wraps what the
    root key has wrapped elsewhere (backups), in the same way, and says how many that were.

    The new root key is durable before the database uses it, and the old one readable until the database does not: killed
    anywhere, it is begun again. Raises RootKeyError, or what `also` raises; the database has not changed then.
    """
    async with store.tx("vault rotates root") as tx:
        await tx.run(_sql.lock_keys)
        rows = [row for row in await tx.rows(_sql.keys) if row.wrapped is not None]
        if not rows:
            raise RootKeyError("there are no keys yet: the first process that starts makes them")
        used = {row.root for row in rows}
        if new is not old:
            await new.make()
        await new.renew(used)
        for row in rows:
            place = key_place(row.class_, row.purpose, row.version)
            secret = await _unwrapped(old, new, Wrapped(row.root, row.wrapped), place)
            wrapped = await new.wrap(secret, place)
            if await new.unwrap(wrapped, place) != secret:
                raise RootKeyError(f"{new.name} does not give back what it wrapped: nothing was changed")
            params = {"class": row.class_, "purpose": row.purpose, "version": row.version}
            await tx.run(_sql.rewrap_key, params | {"root": wrapped.root, "wrapped": wrapped.secret})
        others = await also()
        await audit.append(tx, actor, "key.rotated", "root key", f"{new.name}, {len(rows)} class keys")
    moved = f"Only backups of the database made before this need the {old.name}; keep it as long as they are kept."
    remark = await new.retire() if new is old else moved
    return NewRoot(new.name, len(rows), remark, others)


async def _unwrapped(old: RootKey, new: RootKey, wrapped: Wrapped, place: bytes) -> bytes:
    try:
        return await old.unwrap(wrapped, place)
    except RootKeyError:
        if new is old:
            raise
    return await new.unwrap(wrapped, place)  # an earlier try has brought this one over


async def _wait(seconds: float, now: _Open, why: str, tell: Tell) -> None:
    """Sleep, and say why."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        tell(Progress(why, passed / seconds, now.done))
        await asyncio.sleep(min(limits.ROTATION_TELL_SECONDS, seconds - passed))
