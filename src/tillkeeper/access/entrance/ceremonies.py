"""What a browser was asked and must answer once, within minutes: the challenge of a passkey, the way to a provider."""

from datetime import timedelta

import msgspec

from tillkeeper.access import tokens
from tillkeeper.access.entrance import throttle
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


class Ceremony(msgspec.Struct, frozen=True):
    """What was asked, and of whom; of nobody known yet at sign-in."""

    person: str | None
    asked: bytes


async def begin(
    tx: Tx, kind: str, asked: bytes, clock: Clock, *, person: str | None = None, origin: str | None = None
) -> str | Refusal:
    """Remember what is asked; the token that the browser keeps as a cookie.

    `origin`: the address of somebody who is not signed in. Gives too_many_tries when it leaves too many unanswered.
    """
    if origin is not None:
        counted = await throttle.count(tx, throttle.UNANSWERED, throttle.neighbourhood(origin), clock)
        if counted is None:
            return Refusal("too_many_tries")
    token = tokens.new_token()
    await tx.run(
        _sql.begin_ceremony,
        {
            "token_hash": tokens.digest(token),
            "kind": kind,
            "person": person,
            "asked": asked,
            "expires_at": clock.now() + timedelta(seconds=limits.CEREMONY_SECONDS),
        },
    )
    return token


async def take(tx: Tx, kind: str, token: str, clock: Clock, *, origin: str | None = None) -> Ceremony | None:
    """What was asked of the browser with this token. It is used up, whatever the answer turns out to be."""
    params = {"token_hash": tokens.digest(token), "kind": kind, "at": clock.now()}
    row = await tx.row(_sql.take_ceremony, params)
    if row is None:
        return None
    if origin is not None:
        await throttle.uncount(tx, throttle.UNANSWERED, throttle.neighbourhood(origin))
    return Ceremony(row.person, bytes(row.asked))
