"""One key, one effect, for ever: answers bound to keys in the transaction that made the effect."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg import errors

from tillkeeper.store import columns
from tillkeeper.store.database import Sent, Tx
from tillkeeper.store.sql import queries

_sql = queries(__package__, "queries.sql")


class Answer(msgspec.Struct, frozen=True):
    """An HTTP status and body, the same for every repetition of the request."""

    status: int
    body: bytes


class Key(msgspec.Struct, frozen=True):
    """A caller's key: unique per principal. `input_hash` tells a repetition from a misuse."""

    principal: UUID
    key: str
    input_hash: bytes


class Known(msgspec.Struct, frozen=True):
    """What is stored under a key."""

    input_hash: bytes
    answer: Answer


async def send(tx: Tx, keys: Sequence[Key]) -> Sent:
    """Ask for the stored answers of keys; read them with `found`."""
    return await tx.send(
        _sql.find_answers,
        {
            "principals": columns.uuids([key.principal for key in keys]),
            "keys": columns.texts([key.key for key in keys]),
        },
    )


async def found(sent: Sent) -> dict[int, Known]:
    """The stored answers, by the key's place among those asked for."""
    return {row[0] - 1: Known(bytes(row[1]), Answer(row[2], bytes(row[3]))) for row in await sent.tuples()}


async def keep(tx: Tx, keys: Sequence[Key], answers: Sequence[Answer], at: datetime) -> None:
    """Bind keys to answers. A key bound by another process meanwhile fails the transaction: see is_clash."""
    await tx.run(
        _sql.keep_answers,
        {
            "principals": columns.uuids([key.principal for key in keys]),
            "keys": columns.texts([key.key for key in keys]),
            "hashes": columns.blobs([key.input_hash for key in keys]),
            "statuses": columns.smallints([answer.status for answer in answers]),
            "bodies": columns.blobs([answer.body for answer in answers]),
            "at": columns.times([at] * len(keys)),
        },
    )


def is_clash(error: BaseException) -> bool:
    """Whether a transaction failed because another process bound one of its keys first."""
    return isinstance(error, errors.UniqueViolation) and error.diag.constraint_name == "idempotency_pkey"
