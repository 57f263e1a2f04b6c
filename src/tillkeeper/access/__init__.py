"""Access: API keys for programs, one-time links and sessions for people."""

from tillkeeper.access.keyring import KeyRing
from tillkeeper.access.keys import create_key, list_keys, revoke_key
from tillkeeper.access.sessions import (
    end_session,
    forget_dead,
    list_sessions,
    open_session,
    session,
    sign_in_link,
)
from tillkeeper.access.types import SCOPES, KeyInfo, OpenedSession, Principal, Session

__all__ = [
    "SCOPES",
    "KeyInfo",
    "KeyRing",
    "OpenedSession",
    "Principal",
    "Session",
    "create_key",
    "end_session",
    "forget_dead",
    "list_keys",
    "list_sessions",
    "open_session",
    "revoke_key",
    "session",
    "sign_in_link",
]
