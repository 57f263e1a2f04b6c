"""Console sessions: a way in opens one, which a cookie names until it is ended, lies idle, or is old."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tillkeeper import audit
from tillkeeper.access import tokens
from tillkeeper.access.types import OpenedSession, Session, Visitor
from tillkeeper.base import limits
from tillkeeper.base.clock import Clock
from tillkeeper.base.results import Refusal, refuse
from tillkeeper.store import Tx, queries

_sql = queries(__package__, "sessions.sql")

NOWHERE: Final = Visitor()


async def sign_in_link(
    tx: Tx, person: str, clock: Clock, *, actor: str = "system", invitation: bool = False, origin: str = ""
) -> str:
    """The token of a link that signs a person in once: within SIGN_IN_SECONDS, an invitation within INVITATION_SECONDS.

    Raises Refused: unknown_person when nobody active has this handle.
    """
    token, now = tokens.new_token(), clock.now()
    seconds = limits.INVITATION_SECONDS if invitation else limits.SIGN_IN_SECONDS
    made = await tx.value(
        _sql.create_sign_in,
        {
            "token_hash": tokens.digest(token),
            "person": person,
            "kind": "invitation" if invitation else "link",
            "created_at": now,
            "expires_at": now + timedelta(seconds=seconds),
        },
    )
    if made is None:
        raise refuse("unknown_person", f"{person} is nobody who may come in")
    await audit.append(tx, actor, "sign_in.offered", person, origin=origin)
    return token


async def open_session(
    tx: Tx, token: str, clock: Clock, visitor: Visitor = NOWHERE
) -> OpenedSession | Refusal:
    """Use a link's token up. Gives link_used when it is unknown, used or expired: the three look the same."""
    used = await tx.row(_sql.use_sign_in, {"token_hash": tokens.digest(token), "at": clock.now()})
    if used is None:
        return Refusal("link_used", "ask for a new link")
    return await begin_session(tx, used.person, "link", clock, visitor, confirmed=True)


async def begin_session(
    tx: Tx, person: str, opened_by: str, clock: Clock, visitor: Visitor, *, confirmed: bool
) -> OpenedSession | Refusal:
    """A new session, with a name that nobody could know before, for a person who has proved themselves.

    `confirmed`: the way in counts as a second factor. Gives sign_in_failed for a person who is suspended.
    """
    now, cookie = clock.now(), tokens.new_token()
    token_hash, csrf = tokens.digest(cookie), tokens.new_token()
    confirmed_at = now if confirmed else None
    roles = await tx.value(
        _sql.create_session,
        {
            "token_hash": token_hash,
            "person": person,
            "csrf": csrf,
            "at": now,
            "opened_by": opened_by,
            "origin": visitor.origin,
            "browser": visitor.browser,
            "confirmed_at": confirmed_at,
        },
    )
    if roles is None:
        return Refusal("sign_in_failed")
    await audit.append(tx, person, "session.opened", person, opened_by, visitor.origin)
    return OpenedSession(
        Session(
            token_hash.hex(),
            person,
            csrf,
            now,
            now,
            frozenset(roles),
            confirmed_at,
            opened_by,
            visitor.origin,
            visitor.browser,
        ),
        cookie,
    )


async def session(tx: Tx, cookie: str, clock: Clock) -> Session | Refusal:
    """The session of a cookie, whose idle time starts anew. Gives session_ended when there is none (any more)."""
    token_hash, now = tokens.digest(cookie), clock.now()
    rows = await tx.tuples(_sql.find_session, {"token_hash": token_hash, **_bounds(now)})
    if not rows:
        return Refusal("session_ended", "sign in again")
    found = _session(rows[0])
    if now - found.seen_at >= timedelta(seconds=limits.SESSION_TOUCH_SECONDS):
        await tx.run(_sql.touch_session, {"token_hash": token_hash, "at": now})
    return found


async def confirm_session(tx: Tx, session_id: str, clock: Clock) -> None:
    """Remember that the person gave a second factor just now."""
    await tx.run(_sql.confirm_session, {"token_hash": bytes.fromhex(session_id), "at": clock.now()})


async def doubt_session(tx: Tx, session_id: str) -> None:
    """Let the second factor that opened a session not count: the person is asked for one before what needs it fresh."""
    await tx.run(_sql.doubt_session, {"token_hash": bytes.fromhex(session_id)})


def is_fresh(session: Session, clock: Clock) -> bool:
    """Whether the person gave a second factor within the last CONFIRMED_SECONDS."""
    at = session.confirmed_at
    return at is not None and clock.now() - at < timedelta(seconds=limits.CONFIRMED_SECONDS)


async def end_session(tx: Tx, session_id: str, clock: Clock, *, actor: str, origin: str = "") -> bool:
    """Sign a browser out, by the session's id; False when it was signed out before."""
    params = {"token_hash": bytes.fromhex(session_id), "at": clock.now()}
    person = await tx.value(_sql.end_session, params)
    if person is not None:
        await audit.append(tx, actor, "session.ended", person, origin=origin)
    return person is not None


async def end_sessions_of(
    tx: Tx, person: str, clock: Clock, *, actor: str, but: Session | None = None, origin: str = ""
) -> int:
    """Sign a person out everywhere, `but` one session; how many sessions that ended. Links not yet used are void too."""
    params = {"person": person, "at": clock.now(), "but": bytes.fromhex(but.id) if but else None}
    ended = len(await tx.tuples(_sql.end_sessions_of, params))
    await void_links(tx, person)
    if ended:
        await audit.append(tx, actor, "session.ended", person, f"{ended} sessions", origin)
    return ended


async def void_links(tx: Tx, person: str) -> None:
    """Links of a person that were not used yet open nothing any more."""
    await tx.run(_sql.void_sign_ins, {"person": person})


async def list_sessions(tx: Tx, clock: Clock, person: str | None = None) -> list[Session]:
    """The browsers signed in now, of one person or all, the most recently used first."""
    rows = await tx.tuples(_sql.list_sessions, {"person": person, **_bounds(clock.now())})
    return [_session(row) for row in rows]


async def forget_dead(tx: Tx, clock: Clock) -> None:
    """Delete links, sessions and ceremonies that can no longer be used, and tries that no longer count."""
    now = clock.now()
    await tx.run(_sql.forget_sign_ins, {"at": now})
    await tx.run(_sql.forget_sessions, _bounds(now))
    await tx.run(_sql.forget_ceremonies, {"at": now})
    await tx.run(_sql.forget_tries, {"since": now - timedelta(seconds=limits.TRIES_SECONDS)})


def _session(row: Sequence[Any]) -> Session:
    token_hash, person, csrf, created_at, seen_at, roles, *rest = row
    return Session(token_hash.hex(), person, csrf, created_at, seen_at, frozenset(roles), *rest)


def _bounds(now: datetime) -> dict[str, datetime]:
    return {
        "idle_since": now - timedelta(seconds=limits.SESSION_IDLE_SECONDS),
        "created_since": now - timedelta(seconds=limits.SESSION_SECONDS),
    }
