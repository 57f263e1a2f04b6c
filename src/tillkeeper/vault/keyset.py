"""The class keys in memory: read at the start, read again behind the requests."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from tillkeeper import audit
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Store, Tx, queries
from tillkeeper.vault.cells import new_secret
from tillkeeper.vault.errors import DestroyedVersionError, StaleKeysError, UnknownVersionError
from tillkeeper.vault.roots import RootKey, Wrapped

log = logging.getLogger(__name__)
_sql = queries(__package__, "queries.sql")

CLASSES: Final = ("C2", "C3")
DATA: Final = "data"
INDEX: Final = "index"
PURPOSES: Final = (DATA, INDEX)


KeyName = tuple[str, str, int]
"""Class, purpose and version."""


class Versioned(NamedTuple):
    """A class key and its version."""

    version: int
    secret: bytes


class Keyset:
    """The class keys by class, purpose and version."""

    def __init__(self, store: Store, root: RootKey) -> None:
        self._store = store
        self._root = root
        self._secrets: dict[KeyName, bytes] = {}
        self._states: dict[KeyName, str] = {}
        self._active: dict[tuple[str, str], Versioned] = {}
        self._readable: dict[tuple[str, str], list[Versioned]] = {}
        self._read_at = -limits.VAULT_TRUST_SECONDS
        self._reading = asyncio.Lock()

    def active(self, class_: str, purpose: str) -> Versioned:
        """The key that seals now. Raises StaleKeysError when what is known is too old to rely on."""
        # The machine's own clock: how old something in memory is has nothing to do with a test's noon.
        if time.monotonic() - self._read_at > limits.VAULT_TRUST_SECONDS:
            raise StaleKeysError(
                "the keys could not be read again for a while: is the database, or the key service, away?"
            )
        return self._active[class_, purpose]

    def secret(self, class_: str, purpose: str, version: int) -> bytes:
        """The key of a version. Raises UnknownVersionError and DestroyedVersionError."""
        try:
            return self._secrets[class_, purpose, version]
        except KeyError:
            what = f"version {version} of the {purpose} key of class {class_}"
            if self._states.get((class_, purpose, version)) == "destroyed":
                raise DestroyedVersionError(f"{what} was destroyed") from None
            raise UnknownVersionError(f"{what} is not known here") from None

    def readable(self, class_: str, purpose: str) -> list[Versioned]:
        """All keys that something may have been made with, the newest first."""
        return self._readable[class_, purpose]

    async def read(self) -> None:
        """Read the keys again."""
        await self.read_since(time.monotonic())

    async def read_since(self, moment: float) -> None:
        """Read the keys again unless somebody did so after the moment (of time.monotonic)."""
        async with self._reading:
            if self._read_at >= moment:
                return
            asked_at = time.monotonic()
            async with self._store.tx("vault keys") as tx:
                rows = await tx.rows(_sql.keys)
            self.hold({_name(row): (row.state, await self._secret_of(row)) for row in rows}, asked_at)

    def hold(self, keys: Mapping[KeyName, tuple[str, bytes | None]], read_at: float | None = None) -> None:
        """These are all the keys: their states and secrets. Whoever seals meanwhile sees the old set or the new one."""
        self._states = {name: state for name, (state, _) in keys.items()}
        self._secrets = {name: secret for name, (_, secret) in keys.items() if secret is not None}
        self._active = {
            name[:2]: Versioned(name[2], self._secrets[name])
            for name, state in self._states.items()
            if state == "active"
        }
        self._readable = {
            kind: sorted(
                (Versioned(name[2], secret) for name, secret in self._secrets.items() if name[:2] == kind),
                reverse=True,
            )
            for kind in self._active
        }
        self._read_at = time.monotonic() if read_at is None else read_at

    async def _secret_of(self, row: Any) -> bytes | None:
        name = _name(row)
        if row.wrapped is None:
            return None
        return self._secrets.get(name) or await self._root.unwrap(
            Wrapped(row.root, row.wrapped), key_place(*name)
        )


def _name(row: Any) -> KeyName:
    return row.class_, row.purpose, row.version


def key_place(class_: str, purpose: str, version: int) -> bytes:
    """What a wrapped class key is bound to."""
    return f"{class_}|{purpose}|{version}".encode()


async def make_first(store: Store, root: RootKey, clock: Clock) -> None:
    """Make the class keys that are missing, and with the very first the root key. Of processes that start together,
    one does it.
    """
    async with store.tx("vault first keys") as tx:
        await tx.run(_sql.lock_keys)
        rows = await tx.rows(_sql.keys)
        known = {(row.class_, row.purpose) for row in rows}
        if not known:
            await root.make()
        for class_ in CLASSES:
            for purpose in PURPOSES:
                if (class_, purpose) not in known:
                    versions = [
                        row.version for row in rows if row.purpose == purpose and row.state == "active"
                    ]
                    await add(tx, root, (class_, purpose, max(versions, default=1)), "active", clock)
                    await audit.append(tx, "vault", "key.made", f"{purpose} key of class {class_}", root.name)


async def add(tx: Tx, root: RootKey, name: KeyName, state: str, clock: Clock) -> None:
    """Store a new class key."""
    wrapped = await root.wrap(new_secret(), key_place(*name))
    class_, purpose, version = name
    params = {"class": class_, "purpose": purpose, "version": version, "state": state}
    await tx.run(_sql.add_key, params | {"root": wrapped.root, "wrapped": wrapped.secret, "at": clock.now()})


class KeyInfo(msgspec.Struct, frozen=True):
    """A class key as it may be shown. `root` names the root key that wraps it; times are UTC."""

    class_: str = msgspec.field(name="class")
    purpose: str
    version: int
    state: str
    root: str
    made_at: datetime
    activated_at: datetime | None
    destroyed_at: datetime | None


async def keys(tx: Tx) -> list[KeyInfo]:
    """Every class key ever made, by class, purpose and version."""
    return [KeyInfo(*row) for row in await tx.tuples(_sql.list_keys)]
