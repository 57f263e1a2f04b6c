"""Tables with sealed columns of every kind, made for a test beside those of the packages, and what fills them.

guests: the customers, with their keys. notes: rows of customers whose keys are kept there. links: rows of nobody.
"""

import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from tillkeeper.base.clock import ManualClock
from tillkeeper.base.ids import new_id
from tillkeeper.store import Store, columns
from tillkeeper.vault import Catalogue, FileRoot, Sealed, SubjectKey, Vault
from tillkeeper.vault.declarations import read
from tillkeeper.vault.keyset import Keyset

DECLARED: Final = """
[guests]
subject = "id"
key = "sealing_key"
since = "came_at"
internal = ["id", "sealing_key", "came_at", "visits"]
[guests.sealed.name]
class = "C2"
purpose = "who comes"
mask = "name"
search = "beacon"
erase = "subject"
[guests.sealed.phone]
class = "C2"
purpose = "to call them"
mask = "phone"
search = "exact"
retention = "P2Y"
erase = "subject"
[guests.sealed.code]
class = "C3"
purpose = "the door's code"
mask = "secret"
erase = "subject"

[notes]
row = "number"
subject = "guest"
keeper = "shop.guests"
internal = ["number", "guest"]
[notes.sealed.said]
class = "C2"
purpose = "what they said"
mask = "text"
erase = "subject"

[links]
row = "name"
internal = ["name"]
[links.sealed.secret]
class = "C3"
purpose = "signs"
mask = "secret"
"""

TABLES: Final[Catalogue] = read({"shop": DECLARED})

_SQL: Final = b"""
CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO till_app;
CREATE TABLE shop.guests (
    id uuid PRIMARY KEY, sealing_key bytea, came_at timestamptz NOT NULL, visits integer NOT NULL DEFAULT 0,
    name bytea NOT NULL, name_tag bytea, phone bytea, phone_tag bytea, code bytea
);
CREATE INDEX guests_by_phone ON shop.guests (phone_tag);
CREATE INDEX guests_by_name ON shop.guests (name_tag);
CREATE TABLE shop.notes (number bigint PRIMARY KEY, guest uuid NOT NULL, said bytea);
CREATE TABLE shop.links (name text PRIMARY KEY, secret bytea NOT NULL);
GRANT SELECT, INSERT, UPDATE ON shop.guests, shop.notes, shop.links TO till_app;
"""
_ADD: Final = (
    b"INSERT INTO shop.guests (id, sealing_key, came_at, name, name_tag, phone, phone_tag, code)"
    b" SELECT id, key, %(at)s, name, name_tag, phone, phone_tag, code FROM unnest(%(ids)b::uuid[], %(keys)b::bytea[],"
    b" %(names)b::bytea[], %(name_tags)b::bytea[], %(phones)b::bytea[], %(phone_tags)b::bytea[], %(codes)b::bytea[])"
    b" AS t (id, key, name, name_tag, phone, phone_tag, code)"
)
_GUESTS: Final = b"SELECT id, sealing_key, name, phone, code FROM shop.guests ORDER BY id"


class Guest(msgspec.Struct, frozen=True):
    """Who was put in."""

    id: UUID
    name: str
    phone: str
    code: str


class Found(msgspec.Struct, frozen=True):
    """A guest as read."""

    id: UUID
    name: Sealed
    phone: Sealed | None
    code: Sealed | None


class Strongroom(msgspec.Struct, frozen=True):
    """The tables, the vault over them, and where its root key is."""

    store: Store
    vault: Vault
    root: FileRoot
    clock: ManualClock
    admin: psycopg.AsyncConnection

    async def fill(self, number: int, seed: int) -> list[Guest]:
        """Add guests, each with a note, and one link."""
        guests = people(number, seed)
        await add(self.store, self.vault, guests, self.clock)
        said = self.vault.field("shop.notes", "said")
        keys: dict[Any, Any] = dict(await self.rows(b"SELECT id, sealing_key FROM shop.guests"))
        notes = [
            (n, guest.id, said.seal(self.vault.subject_key(keys[guest.id]), n, f"{guest.name} was here"))
            for n, guest in enumerate(guests)
        ]
        async with self.store.tx("notes") as tx:
            for n, guest_id, note in notes:
                params = {"n": n, "guest": guest_id, "said": note}
                await tx.run(b"INSERT INTO shop.notes VALUES (%(n)s, %(guest)s, %(said)s)", params)
            link = self.vault.field("shop.links", "secret").seal(None, "front door", "open sesame")
            await tx.run(b"INSERT INTO shop.links VALUES ('front door', %(link)s)", {"link": link})
        return guests

    async def rows(self, statement: bytes) -> list[tuple[Any, ...]]:
        async with self.store.tx("test") as tx:
            return await tx.tuples(statement)

    async def found(self) -> list[Found]:
        """All guests as read."""
        return [_found(self.vault, *row) for row in await self.rows(_GUESTS)]

    async def opened(self) -> list[Guest]:
        """All guests in the clear."""
        return [
            Guest(each.id, *await self.vault.open_all([each.name, _sure(each.phone), _sure(each.code)]))
            for each in await self.found()
        ]

    async def states(self) -> dict[tuple[str, str, int], str]:
        """The class keys' states."""
        cursor = await self.admin.execute("SELECT class, purpose, version, state FROM vault.keys")
        return {
            (class_, purpose, version): state for class_, purpose, version, state in await cursor.fetchall()
        }


def _sure(value: Sealed | None) -> Sealed:
    assert value is not None
    return value


def _found(vault: Vault, *row: Any) -> Found:
    guest, wrapped, name, phone, code = row
    key = vault.subject_key(wrapped)
    fields = [vault.field("shop.guests", each) for each in ("name", "phone", "code")]
    loaded = [field.load(key, guest, cell) for field, cell in zip(fields, (name, phone, code), strict=True)]
    return Found(guest, _sure(loaded[0]), *loaded[1:])


def people(number: int, seed: int) -> list[Guest]:
    """Invented guests, in the order of their ids."""
    draw = random.Random(seed)
    return [
        Guest(
            new_id(),
            draw.choice("王李张刘陈") + draw.choice("伟芳娜敏静") * draw.randint(1, 2),
            f"+86138{draw.randrange(10**8):08}",
            f"{draw.randrange(10**6):06}",
        )
        for _ in range(number)
    ]


async def add(store: Store, vault: Vault, guests: list[Guest], clock: ManualClock) -> None:
    """Seal guests and store them."""
    name, phone, code = (vault.field("shop.guests", each) for each in ("name", "phone", "code"))
    keys: list[SubjectKey] = [vault.new_key() for _ in guests]
    pairs = list(zip(keys, guests, strict=True))
    async with store.tx("guests") as tx:
        await tx.run(
            _ADD,
            {
                "at": clock.now(),
                "ids": columns.uuids([guest.id for guest in guests]),
                "keys": columns.blobs([key.wrapped for key in keys]),
                "names": columns.blobs([name.seal(key, guest.id, guest.name) for key, guest in pairs]),
                "name_tags": columns.blobs([name.tag(guest.name) for guest in guests]),
                "phones": columns.blobs([phone.seal(key, guest.id, guest.phone) for key, guest in pairs]),
                "phone_tags": columns.blobs([phone.tag(guest.phone) for guest in guests]),
                "codes": columns.blobs([code.seal(key, guest.id, guest.code) for key, guest in pairs]),
            },
        )


@asynccontextmanager
async def strongroom(
    store: Store, admin: psycopg.AsyncConnection, clock: ManualClock, folder: Path
) -> AsyncIterator[Strongroom]:
    """The tables in a test's database, empty, and a vault that knows them."""
    await admin.execute(_SQL)
    root = FileRoot(folder / "keys" / "root.key")
    async with Vault.opened(store, root, clock, TABLES) as vault:
        yield Strongroom(store, vault, root, clock, admin)


def bare_vault(seed: int = 0, tables: Catalogue = TABLES, versions: int = 1) -> Vault:
    """A vault without a database, whose keys are made of the seed; the newest version is active."""
    keyset = Keyset(None, None)  # type: ignore[arg-type]
    names = [
        (class_, purpose, version)
        for class_ in ("C2", "C3")
        for purpose in ("data", "index")
        for version in range(1, versions + 1)
    ]
    states = {name: "active" if name[2] == versions else "decrypt_only" for name in names}
    secrets = {name: random.Random(f"{seed} {name}").randbytes(32) for name in names}
    keyset.hold({name: (states[name], secrets[name]) for name in names}, math.inf)
    return Vault(keyset, tables)
