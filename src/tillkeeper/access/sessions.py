"""Console sign-in: a one-time link opens a session, which a cookie names until it is ended, lies idle, or is old."""

from datetime import datetime, timedelta

from tillkeeper import audit
from tillkeeper.access import tokens
from tillkeeper.access.types import OpenedSession, Session
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "queries.sql")


async def sign_in_link(tx: Tx, person: str, clock: Clock) -> str:
    """The token of a link that signs a person in once, within SIGN_IN_SECONDS."""
    token, now = tokens.new_token(), clock.now()
    await tx.run(
        _sql.create_sign_in,
        {
            "token_hash": tokens.digest(token),
            "person": person,
            "created_at": now,
            "expires_at": now + timedelta(seconds=limits.SIGN_IN_SECONDS),
        },
    )
    await audit.append(tx, "system", "sign_in.offered", person)
    return token


async def open_session(tx: Tx, token: str, clock: Clock, *, origin: str = "") -> OpenedSession | Refusal:
    """Use a link's token up. Gives link_used when it is unknown, used or expired: the three look the same."""
    now = clock.now()
    person = await tx.value(_sql.use_sign_in, {"token_hash": tokens.digest(token), "at": now})
    if person is None:
        return Refusal("link_used", "ask for a new link")
    cookie, csrf = tokens.new_token(), tokens.new_token()
    token_hash = tokens.digest(cookie)
    await tx.run(_sql.create_session, {"token_hash": token_hash, "person": person, "csrf": csrf, "at": now})
    await audit.append(tx, person, "session.opened", person, origin=origin)
    return OpenedSession(Session(token_hash.hex(), person, csrf, now, now), cookie)


async def session(tx: Tx, cookie: str, clock: Clock) -> Session | Refusal:
    """The session of a cookie, whose idle time starts anew. Gives session_ended when there is none (any more)."""
    token_hash, now = tokens.digest(cookie), clock.now()
    row = await tx.row(_sql.find_session, {"token_hash": token_hash, **_bounds(now)})
    if row is None:
        return Refusal("session_ended", "sign in again")
    if now - row.seen_at >= timedelta(seconds=limits.SESSION_TOUCH_SECONDS):
        await tx.run(_sql.touch_session, {"token_hash": token_hash, "at": now})
    return Session(token_hash.hex(), row.person, row.csrf, row.created_at, row.seen_at)


async def end_session(tx: Tx, session_id: str, clock: Clock, *, actor: str) -> bool:
    """Sign a browser out, by the session's id; False when it was signed out before."""
    params = {"token_hash": bytes.fromhex(session_id), "at": clock.now()}
    person = await tx.value(_sql.end_session, params)
    if person is not None:
        await audit.append(tx, actor, "session.ended", person)
    return person is not None


async def list_sessions(tx: Tx, clock: Clock) -> list[Session]:
    """The browsers signed in now, the most recently used first."""
    rows = await tx.tuples(_sql.list_sessions, _bounds(clock.now()))
    return [Session(row[0].hex(), *row[1:]) for row in rows]


async def forget_dead(tx: Tx, clock: Clock) -> None:
    """Delete links and sessions that can no longer be used."""
    now = clock.now()
    await tx.run(_sql.forget_sign_ins, {"at": now})
    await tx.run(_sql.forget_sessions, _bounds(now))


def _bounds(now: datetime) -> dict[str, datetime]:
    return {
        "idle_since": now - timedelta(seconds=limits.SESSION_IDLE_SECONDS),
        "created_since": now - timedelta(seconds=limits.SESSION_SECONDS),
    }
