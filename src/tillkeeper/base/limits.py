"""Every bound of the platform, with its reason, and the relations that must hold between them.

A loop, a list, a text or a retry without a bound from this file is a fault.
"""

from typing import Final

# -- money
# 10^12 minor units: ten billion yuan in one payment. Risk splits an amount in two 20-bit halves to keep its
# sums of squares exact, and a balance must hold a million of the largest amounts in 63 bits.
MAX_AMOUNT: Final = 10**12
assert MAX_AMOUNT < 2**40
assert MAX_AMOUNT * 1_000_000 < 2**63

# -- the turn
MAX_TURN: Final = 512  # commands carried through together: large enough to share a commit, small enough to answer soon
MAX_QUEUE: Final = 8192  # commands that may wait; beyond that the door answers 503 at once
MAX_TURNS_IN_FLIGHT: Final = 2  # one computes while the other is in the database
TURN_RETRIES: Final = 6  # tries of one turn after a lost connection, deadlock or key clash
TURN_RETRY_SECONDS: Final = 0.2  # first pause, doubled each time: 12.6 s in all, a PostgreSQL restart
MAX_TRANSFERS_PER_POST: Final = 8192
assert MAX_TURN * 4 <= MAX_TRANSFERS_PER_POST  # no flow needs more than four transfers

# -- the door
MAX_BODY_BYTES: Final = 16 * 1024
MAX_TEXT: Final = 200  # names, notes, references
MAX_IDEMPOTENCY_KEY: Final = 200
PAGE_DEFAULT: Final = 25
PAGE_MAX: Final = 100
MAX_WALLETS: Final = 16  # currencies of one owner

# -- holds, challenges, reviews (seconds)
CHALLENGE_SECONDS: Final = 10 * 60
CHALLENGE_TRIES: Final = 5
REVIEW_SECONDS: Final = 3 * 24 * 3600
AUTHORIZATION_SECONDS: Final = 7 * 24 * 3600
QR_SECONDS: Final = 24 * 3600

# -- rails
RAIL_TRIES: Final = 8
RAIL_FIRST_RETRY_SECONDS: Final = 1.0
RAIL_TIMEOUT_SECONDS: Final = 10.0
RAIL_BATCH: Final = 200

# -- webhooks
WEBHOOK_TRIES: Final = 10
WEBHOOK_FIRST_RETRY_SECONDS: Final = 5.0
WEBHOOK_MAX_RETRY_SECONDS: Final = 6 * 3600.0
WEBHOOK_TIMEOUT_SECONDS: Final = 10.0
WEBHOOK_DISABLE_AFTER: Final = 20  # failures in a row, over all messages of the endpoint
WEBHOOK_BATCH: Final = 100

# -- outbox
OUTBOX_BATCH: Final = 500

# -- database (seconds unless named otherwise)
POOL_MIN: Final = 2
POOL_MAX: Final = 8
POOL_WAIT_SECONDS: Final = 15.0
STATEMENT_TIMEOUT_MS: Final = 15_000
LOCK_TIMEOUT_MS: Final = 5_000
MIGRATION_LOCK_TIMEOUT_MS: Final = 4_000
MIGRATION_TRIES: Final = 10

# -- embedded PostgreSQL
EMBEDDED_START_SECONDS: Final = 120.0  # crash recovery after a SIGKILL under load takes longest
EMBEDDED_STOP_SECONDS: Final = 60.0  # the shutdown checkpoint writes what the pages in memory changed
EMBEDDED_FREE_BYTES: Final = 512 * 1024 * 1024  # a new data folder and its first write-ahead log

# -- leases
LEASE_SECONDS: Final = 15.0
LEASE_RENEW_SECONDS: Final = 5.0
assert LEASE_RENEW_SECONDS * 2 < LEASE_SECONDS  # one missed renewal must not lose the lease

# -- replay
REPLAY_LABEL_DELAY_SECONDS: Final = 7 * 24 * 3600

# -- access (seconds unless named otherwise)
KEY_REFRESH_SECONDS: Final = 1.0  # a key in use is looked up again behind the requests, so none of them waits
KEY_TRUST_SECONDS: Final = 2.0  # a revoked key works at most so long
KEY_CACHE_SIZE: Final = 4096  # keys in use at one time
KEY_STRANGERS_SIZE: Final = 1024  # keys lately found unknown: random keys cost no memory beyond this
KEY_LOOKUPS: Final = 2  # unknown keys looked up at one time: a flood of them leaves the pool to the others
assert KEY_REFRESH_SECONDS < KEY_TRUST_SECONDS
assert KEY_LOOKUPS < POOL_MAX
SIGN_IN_SECONDS: Final = 15 * 60  # a sign-in link
SESSION_IDLE_SECONDS: Final = 15 * 60
SESSION_TOUCH_SECONDS: Final = 30  # `seen_at` is written at most so often
SESSION_SECONDS: Final = 12 * 3600  # then one signs in again, however busy
assert SESSION_TOUCH_SECONDS < SESSION_IDLE_SECONDS < SESSION_SECONDS
