"""Codes of authenticator apps: six digits every half minute, from a secret that is kept sealed; no code counts twice."""

import hmac
from typing import Any, Final, Protocol

import pyotp

from tillkeeper.base.clock import Clock
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")

ISSUER: Final = "Tillkeeper"
_STEP_SECONDS: Final = 30
_DRIFT: Final = 1  # steps that the clock of a phone may be off


class Keeper(Protocol):
    """Keeps a secret text so that the database does not have it. `row` is the person's handle."""

    def seal(self, row: str, text: str) -> bytes:
        """The text as it may be stored."""
        ...

    async def open(self, row: str, cell: bytes) -> str:
        """The text again."""
        ...


async def begin(tx: Tx, keeper: Keeper, person: str, clock: Clock) -> str | None:
    """A new secret, which counts once a code has proved that the person's app has it. None: there is a proved one."""
    secret = pyotp.random_base32()
    params = {"person": person, "secret": keeper.seal(person, secret), "at": clock.now()}
    return secret if await tx.value(_sql.begin_totp, params) is not None else None


def address(secret: str, person: str) -> str:
    """What the QR code says to an app."""
    return pyotp.TOTP(secret, interval=_STEP_SECONDS).provisioning_uri(name=person, issuer_name=ISSUER)


async def unproved(tx: Tx, keeper: Keeper, person: str) -> str | None:
    """The secret that waits for its first code; None if none does."""
    row = await tx.row(_sql.find_totp, {"person": person})
    return await keeper.open(person, bytes(row.secret)) if row and row.proved_at is None else None


async def prove(tx: Tx, keeper: Keeper, person: str, code: str, clock: Clock) -> bool:
    """Take the first code of a new secret."""
    row = await tx.row(_sql.find_totp, {"person": person})
    if row is None or row.proved_at is not None or not await _use(tx, keeper, person, row, code, clock):
        return False
    await tx.run(_sql.prove_totp, {"person": person, "at": clock.now()})
    return True


async def check(tx: Tx, keeper: Keeper, person: str, code: str, clock: Clock) -> bool:
    """Take a code of a proved authenticator: it is used up. Whoever asks has counted the try."""
    row = await tx.row(_sql.find_totp, {"person": person})
    if row is None or row.proved_at is None:
        return False
    return await _use(tx, keeper, person, row, code, clock)


async def remove(tx: Tx, person: str) -> bool:
    """Take a person's authenticator away; whether a proved one was there."""
    return await tx.value(_sql.remove_totp, {"person": person}) is not None


async def _use(tx: Tx, keeper: Keeper, person: str, row: Any, code: str, clock: Clock) -> bool:
    app = pyotp.TOTP(await keeper.open(person, bytes(row.secret)), interval=_STEP_SECONDS)
    now = int(clock.now().timestamp()) // _STEP_SECONDS
    given = "".join(code.split())
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        if step > row.last_step and hmac.compare_digest(app.generate_otp(step).encode(), given.encode()):
            return await tx.value(_sql.use_totp, {"person": person, "step": step}) is not None
    return False
