"""PostgreSQL: the pool, transactions, migrations, news, idempotency answers and leases."""

from tillkeeper.store import children, columns, guards, idempotency, leases, outbox, processes, server, sole
from tillkeeper.store.database import (
    APP_ROLE,
    Sent,
    Store,
    StoreUnavailableError,
    Tx,
    is_transient,
    took_too_long,
)
from tillkeeper.store.fingerprint import Fingerprint, fingerprint
from tillkeeper.store.idempotency import Answer, Key
from tillkeeper.store.migrate import MigrationError, migrate, pending
from tillkeeper.store.outbox import News
from tillkeeper.store.owner import BusyError, Owner, OwnerError, SlowError, as_owner, quoted, quoted_text
from tillkeeper.store.sql import Queries, Statement, queries
from tillkeeper.store.timings import Timing, Timings

__all__ = [
    "APP_ROLE",
    "Answer",
    "BusyError",
    "Fingerprint",
    "Key",
    "MigrationError",
    "News",
    "Owner",
    "OwnerError",
    "Queries",
    "Sent",
    "SlowError",
    "Statement",
    "Store",
    "StoreUnavailableError",
    "Timing",
    "Timings",
    "Tx",
    "as_owner",
    "children",
    "columns",
    "fingerprint",
    "guards",
    "idempotency",
    "is_transient",
    "leases",
    "migrate",
    "outbox",
    "pending",
    "processes",
    "queries",
    "quoted",
    "quoted_text",
    "server",
    "sole",
    "took_too_long",
]
