"""What people can prove themselves with, and who may change that when."""

from datetime import timedelta

import msgspec

from tillkeeper import audit
from tillkeeper.access.entrance import recovery, totp
from tillkeeper.access.sessions import is_fresh
from tillkeeper.access.types import Session
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


class Factors(msgspec.Struct, frozen=True):
    """What a person can prove themselves with; `recovery_codes`: how many are left; `providers`: issuers that know them."""

    passkeys: int = 0
    password: bool = False
    authenticator: bool = False
    recovery_codes: int = 0
    providers: tuple[str, ...] = ()

    @property
    def second(self) -> bool:
        """Whether there is a second factor."""
        return self.passkeys > 0 or self.authenticator


async def of(tx: Tx, person: str) -> Factors:
    """What a person has."""
    return (await _read(tx, person)).get(person, Factors())


async def of_all(tx: Tx) -> dict[str, Factors]:
    """What everybody has, by handle."""
    return await _read(tx, None)


def may_enrol(session: Session, has: Factors, clock: Clock) -> bool:
    """Whether a session may add a factor now: with a fresh one; or soon after sign-in, for want of any that still works."""
    if is_fresh(session, clock):
        return True
    soon = clock.now() - session.created_at < timedelta(seconds=limits.CONFIRMED_SECONDS)
    return soon and (not has.second or session.opened_by == "recovery")


async def make_recovery_codes(tx: Tx, person: str, clock: Clock, *, origin: str) -> list[str]:
    """New recovery codes in place of the old ones, shown this once."""
    codes = await recovery.make(tx, person, clock)
    await audit.append(tx, person, "factor.added", person, "recovery codes", origin)
    return codes


async def prove_totp(
    tx: Tx, keeper: totp.Keeper, person: str, code: str, clock: Clock, *, origin: str
) -> bool:
    """Let a new authenticator count, by its first code."""
    proved = await totp.prove(tx, keeper, person, code, clock)
    if proved:
        await audit.append(tx, person, "factor.added", person, "authenticator", origin)
    return proved


async def remove_totp(tx: Tx, person: str, *, origin: str) -> None:
    """Forget a person's authenticator."""
    if await totp.remove(tx, person):
        await audit.append(tx, person, "factor.removed", person, "authenticator", origin)


async def remove_password(tx: Tx, person: str, *, origin: str) -> None:
    """Forget a person's password."""
    if await tx.value(_sql.remove_password, {"person": person}) is not None:
        await audit.append(tx, person, "factor.removed", person, "password", origin)


async def remove_identity(tx: Tx, person: str, issuer: str, *, origin: str) -> None:
    """Let a provider vouch for a person no more."""
    if await tx.value(_sql.remove_identity, {"person": person, "issuer": issuer}) is not None:
        await audit.append(tx, person, "factor.removed", person, "provider", origin)


async def _read(tx: Tx, person: str | None) -> dict[str, Factors]:
    rows = await tx.tuples(_sql.factors, {"person": person})
    return {row[0]: Factors(row[1], row[2], row[3], row[4], tuple(row[5])) for row in rows}
