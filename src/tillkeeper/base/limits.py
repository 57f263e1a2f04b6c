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
MAX_TURN: Final = (
    512  # commands carried through together: large enough to share a commit, small enough to answer soon
)
MAX_QUEUE: Final = 8192  # commands that may wait; beyond that the door answers 503 at once
MAX_TURNS_IN_FLIGHT: Final = 2  # one computes while the other is in the database
TURN_TRIES: Final = 9  # of one turn, after a lost connection, a deadlock or a key clash
TURN_RETRY_SECONDS: Final = 0.05  # first pause, doubled each time: 12.7 s in all, a PostgreSQL restart
WALLETS_REMEMBERED: Final = 100_000  # whose account is whose, in each process: about 40 MB
MAX_TRANSFERS_PER_POST: Final = 8192
assert MAX_TURN * 4 <= MAX_TRANSFERS_PER_POST  # no flow needs more than four transfers

# -- the door
MAX_BODY_BYTES: Final = 16 * 1024
MAX_TEXT: Final = 200  # names, notes, references
MAX_IDEMPOTENCY_KEY: Final = 200
PAGE_DEFAULT: Final = 25
PAGE_MAX: Final = 100
MAX_WALLETS: Final = 16  # currencies of one owner

# -- how long a payment waits: holds, challenges, reviews; seconds
CHALLENGE_SECONDS: Final = 10 * 60
CHALLENGE_TRIES: Final = 5
REVIEW_SECONDS: Final = 3 * 24 * 3600
AUTHORIZATION_SECONDS: Final = 7 * 24 * 3600
QR_SECONDS: Final = 24 * 3600

# -- rails (seconds unless named otherwise)
RAIL_TRIES: Final = 3  # submissions of one attempt; after that the bank is only asked what became of it
RAIL_QUESTIONS: Final = 200  # then the attempt waits, visible, for a person or a late notice: about a week
RAIL_FIRST_RETRY_SECONDS: Final = 1.0  # doubled each time
RAIL_MAX_RETRY_SECONDS: Final = 3600.0
RAIL_TIMEOUT_SECONDS: Final = 10.0
RAIL_BATCH: Final = 200  # attempts claimed by one statement
RAIL_IN_FLIGHT: Final = 1000  # calls open at one time: 100 a second that all run into the time-out
RAIL_POLL_SECONDS: Final = 0.25  # each look costs the idle agent a third of a millisecond
assert RAIL_BATCH <= RAIL_IN_FLIGHT

# -- webhooks (seconds unless named otherwise)
MAX_WEBHOOK_ENDPOINTS: Final = 32  # each costs a row per piece of news
MAX_WEBHOOK_URL: Final = 2000
MAX_WEBHOOK_TOPICS: Final = 32
WEBHOOK_TRIES: Final = 10  # of one message: with the pauses below, about 20 hours
WEBHOOK_FIRST_RETRY_SECONDS: Final = 5.0  # four times as long each time
WEBHOOK_MAX_RETRY_SECONDS: Final = 6 * 3600.0
WEBHOOK_TIMEOUT_SECONDS: Final = 10.0
WEBHOOK_DISABLE_AFTER: Final = 20  # failures in a row, over all messages of the endpoint: about three days
WEBHOOK_BATCH: Final = 100  # messages claimed for one endpoint
WEBHOOK_LANES: Final = 8  # messages to one endpoint at one time, of different subjects
WEBHOOK_ORDER_TRIES: Final = 3  # a message that failed so often no longer holds back its subject's later ones
WEBHOOK_CLAIM_SECONDS: Final = 60.0  # after a crash in the midst of a batch it is sent again so much later
WEBHOOK_ANSWER_BYTES: Final = 64 * 1024  # of an endpoint's answer, read and thrown away
WEBHOOK_POLL_SECONDS: Final = 0.25
WEBHOOK_KEEP_SECONDS: Final = 30 * 24 * 3600.0  # so long a message can be replayed
assert WEBHOOK_ORDER_TRIES < WEBHOOK_TRIES <= WEBHOOK_DISABLE_AFTER
assert WEBHOOK_CLAIM_SECONDS > 2 * WEBHOOK_TIMEOUT_SECONDS  # a claim outlives the sends begun under it

# -- outbox
OUTBOX_BATCH: Final = 500

# -- database (seconds unless named otherwise)
POOL_MIN: Final = 2
POOL_MAX: Final = 8
POOL_WAIT_SECONDS: Final = 15.0
PAGE_WAIT_SECONDS: Final = 2.0  # a page of the console says so much sooner that the database is away
STATEMENT_TIMEOUT_MS: Final = 15_000
LOCK_TIMEOUT_MS: Final = 5_000
MIGRATION_LOCK_TIMEOUT_MS: Final = 4_000
LEAVING_WAIT_MS: Final = 1_000  # an erasure waits for turns under way, and new turns for it: so long at most
MIGRATION_TRIES: Final = 10
assert PAGE_WAIT_SECONDS < POOL_WAIT_SECONDS

# -- embedded PostgreSQL
EMBEDDED_START_SECONDS: Final = 120.0  # crash recovery after a SIGKILL under load takes longest
EMBEDDED_STOP_SECONDS: Final = 60.0  # the shutdown checkpoint writes what the pages in memory changed
EMBEDDED_CHECK_SECONDS: Final = 0.5  # how soon its users notice that it was killed, and start it again
EMBEDDED_FREE_BYTES: Final = 512 * 1024 * 1024  # a new data folder and its first write-ahead log

# -- processes (seconds unless named otherwise)
SERVE_READY_SECONDS: Final = 300.0  # the api rebuilds the risk profiles of all its history first
SERVE_DRAIN_SECONDS: Final = 10  # requests in flight may finish; a live page in a browser never does
SERVE_LAST_WORDS_SECONDS: Final = (
    0.25  # between the door's closing and the hanging up on those who have not spoken
)
CHILD_STOP_SECONDS: Final = 20.0  # then SIGKILL
CHILD_RESTARTS: Final = 5  # within CHILD_RESTART_WINDOW_SECONDS; beyond that something is wrong for good
CHILD_RESTART_WINDOW_SECONDS: Final = 60.0
CHILD_RESTART_PAUSE_SECONDS: Final = 0.5
CHILD_LOG_BYTES: Final = 16 * 1024 * 1024  # then the log begins anew and one old one is kept
assert SERVE_DRAIN_SECONDS < CHILD_STOP_SECONDS

# Allocations before Python looks for garbage in cycles, and looks among what survived: a turn makes about 50 values for
# each of up to 512 payments.
COLLECTOR_THRESHOLDS: Final = (20_000, 20, 50)

PROCESS_BEAT_SECONDS: Final = 1.0  # how soon a process hears what is wished of it
PROCESS_DRAIN_BEAT_SECONDS: Final = 0.1  # while it drains: how soon it is known that its last call has ended
PROCESS_SILENT_SECONDS: Final = 5.0  # not seen for so long: it is dead or stuck
PROCESS_KEEP_SECONDS: Final = 24 * 3600.0  # then it is forgotten
PROCESS_WISH_SECONDS: Final = (
    120.0  # a wish holds at most so long: nobody stays drained because the wisher died
)
assert PROCESS_BEAT_SECONDS * 3 < PROCESS_SILENT_SECONDS < PROCESS_WISH_SECONDS

SOLE_CHECK_SECONDS: Final = 1.0  # how soon a process notices that the server restarted and its job is open

# -- leases
LEASE_SECONDS: Final = 15.0
LEASE_RENEW_SECONDS: Final = 5.0
assert LEASE_RENEW_SECONDS * 2 < LEASE_SECONDS  # one missed renewal must not lose the lease

# -- the agent (seconds unless named otherwise)
EXPIRY_BATCH: Final = 500
EXPIRY_POLL_SECONDS: Final = 1.0
SAMPLES_KEEP_SECONDS: Final = 24 * 3600
SAMPLES_UNWRITTEN: Final = 120  # seconds of the api kept in memory while the database is away: its restart
HOUSEKEEPING_SECONDS: Final = 60.0
HOUSEKEEPING_BATCH: Final = 5000  # rows deleted by one statement
LOOP_FIRST_PAUSE_SECONDS: Final = 0.5  # before a failed loop starts again; doubled each time
LOOP_MAX_PAUSE_SECONDS: Final = 30.0

# -- monitoring (seconds unless named otherwise)
SAMPLE_SECONDS: Final = 10.0  # between two samples of a process
SAMPLE_SLOW_SECONDS: Final = 60.0  # of what moves slowly or has many series: sizes of tables, statements
SAMPLES_MISSED: Final = 3  # times that between two samples: then what they would say is unknown
SAMPLE_STALE_SECONDS: Final = SAMPLES_MISSED * SAMPLE_SECONDS
SHOWN_STATEMENTS: Final = 15  # on the page, of all processes
SAMPLE_STATEMENTS: Final = 25  # of a process, those that cost most
SAMPLE_TABLES: Final = 12  # the largest
ROLLUP_SECONDS: Final = 300  # one row of a series for so long: 105,000 a year
ROLLUP_GRACE_SECONDS: Final = 20.0  # a slot is rolled up so long after its end: samples are written by then
ROLLUP_AT_ONCE_SECONDS: Final = 3600  # of history by one statement, after the agent was away
PARTITIONS_SECONDS: Final = 3600.0  # between two looks whether partitions are due
DISK_TREND_SECONDS: Final = 600.0  # free space is followed so long to say how fast it goes
DISK_HOURS_MOST: Final = 10_000.0  # more than a year is not foretold
LOOP_LAG_SECONDS: Final = 0.25  # how often the event loop is asked how late it is
USUAL_WEEKS: Final = 4  # so far back the same hour of the week is asked for
USUAL_HOURS: Final = 2  # of them must be known: one alone may be the odd one
USUAL_SAMPLES: Final = 180  # of an hour: half of what is sampled in it
BOOKS_SHARE: Final = 0.05  # of one core, for summing up all accounts: a million take 0.3 s, so every 6 s
BOOKS_RUN_SHARE: Final = 0.15  # the same while a run is at work, then it is worth more: a million every 2 s
BOOKS_LATE_SECONDS: Final = (
    10.0  # from a transfer's id to its commit; what comes later is found by the wide look
)
BOOKS_PAYMENTS: Final = 5000  # with something new, compared by one look; the rest by the next
BOOKS_WALK: Final = 100  # of all payments in turn, compared by one look
BOOKS_SUSPECTS: Final = 1000  # payments found wrong that each look compares again, and names
BOOKS_NAMED: Final = 20  # accounts named of those whose balance is wrong
assert 2 * SAMPLE_SECONDS < SAMPLE_STALE_SECONDS
assert SAMPLE_SECONDS < SAMPLE_SLOW_SECONDS
assert USUAL_HOURS <= USUAL_WEEKS

# -- replay
REPLAY_LABEL_DELAY_SECONDS: Final = 7 * 24 * 3600
REPLAY_LATENESS_SECONDS: Final = 24 * 3600  # how far a row may lie behind or leap ahead of its neighbours
REPLAY_CHUNK: Final = 512  # rows offered together
REPLAY_IN_FLIGHT: Final = 2048  # rows offered and not yet durable: enough that no turn begins half empty
# Allocations before Python looks for garbage in cycles, of which there is none: with its own thresholds a third of a
# replay's time went there. A row under way is about 50 values.
REPLAY_COLLECTOR_THRESHOLDS: Final = (100_000, 20, 50)
REPLAY_CHECKPOINT_SECONDS: Final = 2.0  # so much work an interruption makes the next run look up again
REPLAY_PROBE_ROWS: Final = 1000  # none of the first so many can be read: the mapping is wrong, not the rows
REPLAY_PARTY_ID: Final = 120  # of a file: with the mapping's name before it, it is a reference
REPLAY_ROW_TEXT: Final = 1000  # of a row in the reject file
assert REPLAY_CHUNK * 2 + MAX_TURN * MAX_TURNS_IN_FLIGHT <= REPLAY_IN_FLIGHT
assert REPLAY_IN_FLIGHT * 2 <= MAX_QUEUE  # each row may bring money in first
assert REPLAY_LATENESS_SECONDS < REPLAY_LABEL_DELAY_SECONDS  # a label is never due before its row was carried

# -- the simulation, a client of the API (seconds)
CLIENT_TRIES: Final = 7
CLIENT_FIRST_PAUSE_SECONDS: Final = 0.2  # doubled each time: 12.6 s in all, a server's restart
CLIENT_ANSWER_SECONDS: Final = 10.0
CITY_FUNDED_SECONDS: Final = 60.0  # until the bank has paid the first top-ups of a whole city

# -- access (seconds unless named otherwise)
KEY_REFRESH_SECONDS: Final = 1.0  # a key in use is looked up again behind the requests, so none of them waits
KEY_TRUST_SECONDS: Final = 2.0  # a revoked key works at most so long
KEY_CACHE_SIZE: Final = 4096  # keys in use at one time
KEY_STRANGERS_SIZE: Final = 1024  # keys lately found unknown: random keys cost no memory beyond this
KEY_LOOKUPS: Final = 2  # unknown keys looked up at one time: a flood of them leaves the pool to the others
assert KEY_REFRESH_SECONDS < KEY_TRUST_SECONDS
assert KEY_LOOKUPS < POOL_MAX
SIGN_IN_SECONDS: Final = 15 * 60  # a sign-in link
INVITATION_SECONDS: Final = 3 * 24 * 3600  # a link for somebody new, who may be away today
TRIES_OF_PERSON: Final = 10  # wrong passwords and codes in a row; then a pause (PCI DSS 8.3.4)
TRIES_OF_ADDRESS: Final = 50  # of everybody behind one address: an office forgets more often than a person
TRIES_SECONDS: Final = 30 * 60
CEREMONY_SECONDS: Final = 5 * 60  # to find the key ring, or to sign in at the company's provider
CEREMONIES_OF_ADDRESS: Final = 100  # begun without being signed in and not finished
assert CEREMONY_SECONDS <= TRIES_SECONDS  # housekeeping forgets what is older than TRIES_SECONDS
PASSWORD_HASHES: Final = 2  # at one time: each takes 64 MiB and a tenth of a second
PASSWORDS_WAITING: Final = 32  # about two seconds of hashing; whoever comes then is told to try again
PASSWORD_LEAST: Final = 12  # characters (PCI DSS 8.3.6)
PASSWORD_MOST: Final = 200
PASSWORD_SUBSTANCE: Final = 6  # different characters that are no common word
PASSKEYS: Final = 16  # of one person
RECOVERY_CODES: Final = 10
PROVIDER_SECONDS: Final = 10.0  # one answer of an identity provider
PROVIDER_REFRESH_SECONDS: Final = 3600.0  # its addresses and keys are read again so often
CONFIRMED_SECONDS: Final = 5 * 60  # so long a second factor is fresh, and a new one may be enrolled
SESSION_IDLE_SECONDS: Final = 15 * 60
SESSION_TOUCH_SECONDS: Final = 30  # `seen_at` is written at most so often
SESSION_SECONDS: Final = 12 * 3600  # then one signs in again, however busy
assert CONFIRMED_SECONDS <= SESSION_IDLE_SECONDS
assert SESSION_TOUCH_SECONDS < SESSION_IDLE_SECONDS < SESSION_SECONDS
KEY_USED_SECONDS: Final = (
    60.0  # a key's last use is written at most so often, with a look-up that is due anyway
)
KEY_NETWORKS: Final = 32  # address ranges of one key
KEY_OVERLAP_SECONDS: Final = 30 * 24 * 3600  # the longest that a key and the one in its place both work
REFUSED_AGAIN_SECONDS: Final = 10.0  # the same refusal of the same key is in the audit trail at most so often
assert KEY_REFRESH_SECONDS < KEY_USED_SECONDS

# -- four eyes and purpose grants (seconds unless named otherwise)
FOUR_EYES_AMOUNT: Final = 1_000_000  # minor units: unless set otherwise, so much takes a second person
APPROVAL_SECONDS: Final = 24 * 3600  # until somebody must have decided
APPROVAL_USE_SECONDS: Final = 4 * 3600  # then, until the deed must be done: whoever asked tries again by then
APPROVALS_WAITING: Final = 200  # questions of one asker: a program gone wild fills no list
GRANT_ROWS: Final = 10  # people looked at under one grant; more is a bulk reveal, which takes four eyes
GRANT_DAY_ROWS: Final = 100  # in 24 hours, by one person alone: more than a desk has tickets
GRANT_BULK_ROWS: Final = 1000
GRANT_SECONDS: Final = 8 * 3600  # the longest time box: a working day
assert (
    APPROVAL_USE_SECONDS <= APPROVAL_SECONDS < REVIEW_SECONDS
)  # a held payment outlives the question about it
assert GRANT_ROWS < GRANT_DAY_ROWS < GRANT_BULK_ROWS

# -- the audit trail (seconds unless named otherwise)
SEAL_SECONDS: Final = 0.25  # between two beats of the sealer
SEAL_LAG_SECONDS: Final = 1.0  # an event that waits longer for its seal is an alarm
SEAL_BATCH: Final = 5000  # events sealed by one transaction: 0.1 s, in which the agent does nothing else
ANCHOR_RETRY_SECONDS: Final = 1.0  # between two tries of an anchor that cannot be written
ANCHOR_NEWS_SECONDS: Final = 60.0  # an anchor that comes and goes is reported at most so often
ANCHOR_OBJECT_SECONDS: Final = 60.0  # between two objects: half a million a year
ANCHOR_FILE_BYTES: Final = 64 * 1024 * 1024  # then a new file begins: 200,000 heads
ANCHOR_READ: Final = 1000  # heads read and compared at one time
AUDIT_PAGE: Final = 5000  # events read at one time by verification, proof and export
AUDIT_SCAN: Final = 20_000  # events one page of a search may look at: about 20 ms
AUDIT_FAULTS: Final = 100  # listed by a verification; beyond that they are counted
AUDIT_WAITING: Final = 10_000  # unsealed events are counted up to so many
AUDIT_ACTIONS: Final = 500  # different actions offered by a search form
AUDIT_EXPORT: Final = 100_000  # events in one export
TALLY_SECONDS: Final = 60.0  # refusals that anybody can cause are summed up over so long
TALLY_KEYS: Final = 100  # different ones among them; the rest is summed up in one
assert 2 * SEAL_SECONDS < SEAL_LAG_SECONDS  # one beat that fails is no alarm

# -- the vault (seconds unless named otherwise)
VAULT_REFRESH_SECONDS: Final = 1.0  # the keys are read again behind the requests
VAULT_TRUST_SECONDS: Final = 5.0  # keys that could not be read again seal nothing after that
VAULT_WRITERS_SECONDS: Final = (  # what was sealed with the keys of before is in the database by then, or never
    VAULT_TRUST_SECONDS + POOL_WAIT_SECONDS + STATEMENT_TIMEOUT_MS / 1000
)
RETENTION_SECONDS: Final = 3600.0  # between two looks for what is past its retention
RETENTION_BATCH: Final = 5000  # cells emptied by one statement
SWEEP_HOURS: Final = (1, 5)  # of the business day: rows past their time are deleted when few pay
SWEEP_ROWS: Final = 2000  # deleted by one statement: some 20 ms, of rows that nobody touches
SWEEP_REST: Final = 9.0  # times as long as that: a tenth of one core at most
SWEEP_DAYS: Final = 1  # one look goes at most so much further than the last: no clock is trusted with a year
SWEEP_COUNTED: Final = 100_000  # beyond this there are "more than"
KEY_SERVICE_SECONDS: Final = 10.0  # one question to an external key service
ROTATION_BLOCKS: Final = 32  # of a table, walked in one transaction: about a thousand rows
ROTATION_SHORT_BLOCKS: Final = 6  # where a rotation rests between its steps: some milliseconds of work
ROTATION_LANES: Final = 3  # such transactions at one time: one computes while the others are in the database
ROTATION_SAVE_SECONDS: Final = 0.5  # how far it has come is written so often
ROTATION_WALKS: Final = 100  # of all tables, for rows that others held
ROTATION_TELL_SECONDS: Final = 0.2
assert VAULT_REFRESH_SECONDS * 3 < VAULT_TRUST_SECONDS  # two reads may fail

# -- personal data
LOOKUPS: Final = (
    60  # searches by phone, id number or name of one caller in LOOKUPS_SECONDS: a desk needs fewer, and
)
LOOKUPS_SECONDS: Final = 60.0  # whoever tries all phone numbers of one prefix needs three years
NAMESAKES: Final = 2000  # rows that share a name's beacon: of ten million customers 150 do by chance
SEALING_BATCH: Final = (
    500  # rows sealed in one transaction when a database from before the vault is brought up to date
)
ERASURE_BATCH: Final = 500  # customers erased again in one transaction

# -- steps of maintenance (seconds unless named otherwise)
STEP_LOCK_TIMEOUT_MS: Final = (
    500  # a step that waits for a lock holds up everybody behind it: so long at most
)
STEP_LOCK_TRIES: Final = 20  # then whoever holds the lock is named, and a person decides
STEP_LOCK_PAUSE_SECONDS: Final = (
    0.5  # first pause, doubled up to STEP_LOCK_MAX_PAUSE_SECONDS: others go first
)
STEP_LOCK_MAX_PAUSE_SECONDS: Final = 4.0
STEP_BUILD_LOCK_TIMEOUT_MS: Final = 60_000  # of work that nobody waits behind (concurrent builds, vacuum)
STEP_STATEMENT_MS: Final = 2_000  # a change that holds a lock longer is no brief one; nothing of it is left
STEP_CLIENT_CHECK_MS: Final = (
    500  # how soon PostgreSQL notices that the agent was killed, and ends its statement
)
STEP_TELL_SECONDS: Final = 1.0  # between two looks at how far a long statement is
STEP_SAVE_SECONDS: Final = 1.0  # so much work is done again after a kill
STEP_FREE_BYTES: Final = 512 * 1024 * 1024  # of disk that a step leaves to everybody else
STEP_RELOAD_SECONDS: Final = 5.0  # until PostgreSQL has read its settings again
COMMAND_OUTPUT_BYTES: Final = 4096  # of what a program says, the last of it, kept in the journal
MAX_STATEMENTS: Final = 20  # of one step
MAX_STATEMENT: Final = 8_000  # characters of one of them
assert STEP_LOCK_TIMEOUT_MS < LOCK_TIMEOUT_MS  # a turn outlives a step that waits before it
assert STEP_STATEMENT_MS < LOCK_TIMEOUT_MS  # and one that holds the lock
assert STEP_LOCK_TRIES * STEP_LOCK_MAX_PAUSE_SECONDS < 120

# -- notices and reports of maintenance (seconds unless named otherwise)
NOTICE_POLL_SECONDS: Final = 1.0  # how soon a run's beginning and end are told
NOTICE_EXPECTED_SECONDS: Final = 1800  # what a run is said to take that was neither announced nor estimated
NOTICE_AHEAD_SECONDS: Final = (
    24 * 3600
)  # so long before it begins every answer of the api and every page says so
NOTICE_LEAD_HOURS: Final = 90 * 24  # nobody plans around what comes later
NOTICE_SPARE_MINUTES: Final = 7 * 24 * 60  # kept free after a window: more is another window
NOTICE_REFRESH_SECONDS: Final = 2.0  # the api reads it again behind the requests
NOTICES_OPEN: Final = 100  # maintenances told of and not over
NOTICES_PAST: Final = 200  # those of a quarter of a year
SAMPLES_SILENCE_SECONDS: Final = 2.5  # between two rows of the api: longer, and nobody was there to answer
SAMPLES_READ: Final = 100_000  # rows of one look: a day of one process
REPORT_BEFORE_SECONDS: Final = 60  # of the time before a run that its report looks at, at least
REPORT_BEFORE_MOST_SECONDS: Final = 1800
REPORT_AFTER_SECONDS: Final = 10  # of the time after it: the report is written then
REPORT_DIFFERENCES: Final = 100  # of the books, listed; beyond that they are counted
REPORT_POLL_SECONDS: Final = 1.0
REPORTS_BEHIND: Final = 10  # ended runs reported on by one beat
NOTICES_FOLLOWED: Final = (
    20  # the newest plans looked at by each beat: more are not agreed to between two of them
)

# -- maintenance runs (seconds unless named otherwise)
RUN_LOOK_SECONDS: Final = 0.25  # how soon a person's wish and the calendar are noticed
RUN_IDLE_SECONDS: Final = 1.0  # how soon a run that was asked for is noticed while none is open
RUN_GUARD_SECONDS: Final = 1.0  # between two looks at the guardrails
RUN_MONEY_SECONDS: Final = 0.5  # the same at the money while a step writes where money is kept
RUN_BLIND_SECONDS: Final = 5.0  # so long a guardrail may be without an answer before the run pauses
RUN_WIDEN_SECONDS: Final = 60.0  # a measure with too few samples looks back so far before it is inconclusive
RUN_SETTLE_SECONDS: Final = 2.0  # after a step of a plan without measures: two looks at the money
RUN_STEP_SECONDS: Final = 6 * 3600.0  # a step that says nothing else: a large index
RUN_STOP_SECONDS: Final = 10.0  # a step that was told to stop has ended by then, or the run has failed
RUN_RETRY_SECONDS: Final = 1.0  # before a step is tried again
RUN_UNDO_TRIES: Final = 3
RUN_INTERRUPTIONS: Final = 20  # of one step by a dying agent: more is the step's doing, and a person looks
RUN_PREFLIGHT_SECONDS: Final = 120.0
RUN_WRITE_TRIES: Final = 240  # of a journal line, RUN_LOOK_SECONDS apart: a minute without PostgreSQL
RUN_SAYING: Final = 500  # characters of what a step or an error says
REHEARSAL_STEP_SECONDS: Final = 1800.0  # of a step that says nothing else
REHEARSAL_PAYMENTS: Final = 500  # of each kind, the latest, are made again
REHEARSAL_LEAST_RATE: Final = 5.0  # payments a second; a quiet night's rate would show nothing
REHEARSAL_MOST_RATE: Final = 50.0  # the copy shares the machine with production
REHEARSAL_IN_FLIGHT: Final = 200
REHEARSAL_LOCKS_SECONDS: Final = 0.05  # between two looks at who waits for a lock
REHEARSAL_WAIT_MS: Final = 1_000.0  # whoever waits longer for a step's lock would have noticed
REHEARSAL_PACE_SECONDS: Final = 3.0  # of payments, to know what one takes: before the steps and after each
REHEARSAL_SLOWER: Final = 3.0  # times as long as before, and
REHEARSAL_SLOWER_MS: Final = 20.0  # so much longer: then a step made payments slow
REHEARSAL_SILENT_SECONDS: Final = 60.0  # a rehearsal that wrote nothing for so long is dead
assert 2 * RUN_GUARD_SECONDS <= RUN_SETTLE_SECONDS
assert RUN_GUARD_SECONDS + RUN_LOOK_SECONDS <= 2.0  # a money fault is answered within two seconds

# -- plans
PLAN_APPROVED_SECONDS: Final = 14 * 24 * 3600  # then agreement is asked again: who agreed no longer remembers
PLAN_REHEARSAL_SECONDS: Final = 7 * 24 * 3600  # an older rehearsal knew another database
PLAN_OVERRIDE_SECONDS: Final = 4 * 3600  # leave to go against the calendar is for now, not for some day
PLAN_BYTES: Final = 256 * 1024  # of one plan: fifty steps with their statements
PLAN_SECONDS: Final = 30 * 24 * 3600  # of one plan or step: what takes longer is no maintenance
PLANS_OPEN: Final = 200  # drafts and submitted ones together: a program gone wild fills no list
GUARDRAIL_SECONDS: Final = (
    3600  # of one guardrail's look back: what is slower is no guardrail but an objective
)
CALENDAR_DAYS: Final = (
    62  # looked ahead for the next window: two months hold every holiday with room beside it
)
FREEZES: Final = 200  # looked at for one question about the calendar
FREEZE_DAYS: Final = 92  # of one freeze: what is frozen longer is not maintained
REHEARSAL_STOP_SECONDS: Final = 15.0  # to take its copy away; the agent itself has CHILD_STOP_SECONDS
REHEARSAL_SECONDS: Final = 12 * 3600.0  # a rehearsal with its restore; then it is killed
REHEARSAL_POLL_SECONDS: Final = 1.0
REHEARSAL_SAID: Final = 500  # of what a rehearsal that came to nothing said
SUGGESTIONS: Final = 3  # windows proposed: enough to choose from
SUGGESTION_DAYS: Final = 14  # looked ahead: every hour of the week twice
SUGGESTION_SECONDS: Final = 1800  # the shortest window proposed: people need time too
PREFLIGHT_TRANSACTION_SECONDS: Final = (
    300  # an older transaction would stand in the way of any lock, and of every index
)
PREFLIGHT_CONNECTIONS_PERCENT: Final = 80  # a step needs a few, and payments need theirs
PREFLIGHT_REPLICA_SECONDS: Final = 10  # a replica further behind would fall out under a step that writes much
PREFLIGHT_SEEN_SECONDS: Final = 3600  # an operator whose browser did something since is on duty
PREFLIGHT_BACKUP_SECONDS: Final = 26 * 3600  # a daily backup, and two hours for it
PREFLIGHT_DRILL_SECONDS: Final = 8 * 24 * 3600  # a weekly drill, and a day for it
PREFLIGHT_DISK_BYTES: Final = 1024**3  # left whatever a plan grows by: the write-ahead log needs room
PREFLIGHT_CERTIFICATE_SECONDS: Final = 24 * 3600  # of validity left after the run: nobody renews one at night
assert PLAN_OVERRIDE_SECONDS < PLAN_APPROVED_SECONDS

# -- backups (seconds unless named otherwise)
BACKUPS_LISTED: Final = 400  # the repository keeps fewer: a year of days
BACKUP_SAID: Final = 500  # of what went wrong with one, in its row
BACKUP_ORDERS_SHOWN: Final = 8  # on the console's page
BACKUP_LANES: Final = (
    4  # frames of 1 MiB being compressed and sealed at one time: two processors are kept busy
)
BACKUP_CHAIN: Final = 7  # a full backup and the incremental ones on it: a week; each makes a restore longer
BACKUP_KEEP_CHAINS: Final = 2  # whatever their age
BACKUP_KEEP_DAYS: Final = 28
DRILL_MARGIN_SECONDS: Final = 60.0  # a row's id is made before it commits; statements end long before that
RESTORE_POLL_SECONDS: Final = 0.1  # between two looks whether PostgreSQL has replayed the log
BACKUP_HOUR: Final = 3  # of the night, in the business time zone
BACKUP_FIRST_SECONDS: Final = 300.0  # after the agent's start: a new platform shall start quickly first
BACKUP_RETRY_SECONDS: Final = 3600.0  # after one that failed
BACKUP_LOOK_SECONDS: Final = 2.0  # between two looks for what is due or ordered
BACKUP_TIMEOUT_SECONDS: Final = 6 * 3600.0  # of one backup or drill
WAL_SHIP_SECONDS: Final = 3.0  # between two looks at the log: about so much is lost with the machine
WAL_RECEIVE_SECONDS: Final = 0.1  # pg_receivewal tells every second how far it is
WAL_RECEIVE_TRIES: Final = 100
REPOSITORY_TRIES: Final = 5  # of one request to a store, within REPOSITORY_RETRY_SECONDS
REPOSITORY_RETRY_SECONDS: Final = 30.0

# -- objectives, alerts and the status page (seconds unless named otherwise)
ALERT_SECONDS: Final = 10.0  # between two looks at everything that is watched
ALERT_STALE_SECONDS: Final = 60.0  # looks older than that say nothing of now: the agent is away
ALERT_SLOT_SECONDS: Final = 10  # objectives count in steps of so much; each second is counted once
ALERT_SETTLED_SECONDS: Final = 3.0  # after so long every process has written what it counted in a second
ALERT_CATCH_UP_SECONDS: Final = (
    300  # an agent that was away counts so much again; what was before is not counted
)
ALERT_REMIND_SECONDS: Final = 4 * 3600.0  # an alert that nobody has acknowledged is told again
ALERT_AGAIN_SECONDS: Final = 3600.0  # between two notices of a kind of attack because another one of it began
ALERT_TOGETHER_SECONDS: Final = 60.0  # what began so soon after a notice is seen by whoever it sent to look
ALERT_GROUP_SECONDS: Final = 15.0  # what two looks after each other find is told in one notice
ALERT_LINES: Final = 50  # of one notice; the rest goes with another
ALERT_KEEP_SECONDS: Final = 91 * 24 * 3600.0  # counts, states and notices: the status page shows 90 days
ALERTS_OPEN: Final = 500  # at one time: more is one trouble, not five hundred
ALERTS_PAST: Final = 50  # shown on one page
SILENCE_SECONDS: Final = 7 * 24 * 3600.0  # the longest: what is silenced longer is no alert
BURN_LEAST_FAILED: Final = 3  # failures within the long window before a budget can burn: one is an accident
ANOMALY_WEEKS: Final = 8  # the same hour of so many weeks back is what is usual
ANOMALY_WEEKS_LEAST: Final = 3  # with fewer it still learns
ANOMALY_REFRESH_SECONDS: Final = 600.0  # what is usual changes with the hour
CHANNELS: Final = 20  # addresses that one notice goes to
CHANNEL_SECONDS: Final = 20.0  # one channel's answer
CHANNEL_TRIES: Final = 6  # of one notice: with the pauses below about half an hour
CHANNEL_FIRST_RETRY_SECONDS: Final = 20.0  # doubled each time
CHANNEL_POLL_SECONDS: Final = 2.0
COMPONENT_GAP_SECONDS: Final = 60.0  # a component that was not looked at for longer was not seen in between
STATUS_SECONDS: Final = 5.0  # between two looks of the status page; every visitor reads what it saw last
STATUS_WAIT_SECONDS: Final = 4.0  # a database that does not answer within it does not answer
STATUS_KEPT_SECONDS: Final = (
    60.0  # what was seen is written to the file at least so often, and when it changes
)
STATUS_DAYS: Final = 90
STATUS_INCIDENTS: Final = 50  # past ones shown
STATUS_SPANS: Final = 20_000  # changes of state in 90 days: one every six minutes
assert ALERT_SETTLED_SECONDS < ALERT_SLOT_SECONDS <= ALERT_SECONDS
assert ALERT_SECONDS < ALERT_TOGETHER_SECONDS < ALERT_AGAIN_SECONDS <= ALERT_REMIND_SECONDS
assert ALERT_SECONDS * 3 < ALERT_STALE_SECONDS  # two looks may fail
assert STATUS_DAYS * 24 * 3600 <= ALERT_KEEP_SECONDS
assert BACKUP_KEEP_CHAINS >= 2  # while the newest is not proven yet, the one before it is there

# -- cases of risk (seconds unless named otherwise)
CASE_CLAIM_SECONDS: Final = 30 * 60.0  # who claimed a case and does nothing for so long has gone home
CASE_HANDED_SECONDS: Final = 8 * 3600.0  # whoever a case was handed to may come only with the next shift
CASE_DUE_SECONDS: Final = {"critical": 3600.0, "high": 4 * 3600.0, "medium": 24 * 3600.0, "low": 72 * 3600.0}
CASE_LOSSES: Final = {"critical": 5_000_000, "high": 500_000, "medium": 50_000}  # expected, minor units
CASE_ALERTS: Final = 500  # of one case, read for a page or a verdict; the sum counts all of them
CASE_PAYMENTS: Final = 500  # one verdict is about so many at most: all that are read of one case
CASE_EVENTS: Final = 200  # shown of one case
CASES_EARLIER: Final = 10  # of the same subject, shown
CASES_COUNTED: Final = 1000  # beyond this the queue is "more than"
CASE_INTAKE: Final = 200  # alerts made into cases in one transaction
CASE_LOOK_SECONDS: Final = 1.0  # between two looks for new alerts and for cases that are late
CASE_INTAKE_DAYS: Final = 7  # an alert that became no case within so long never will
TIE_DAYS: Final = 30  # a picture of neighbours looks back so far
TIE_BATCH: Final = 2000  # decisions read at one time
TIE_SECONDS: Final = 2.0  # between two looks for new decisions
TIE_LAG_SECONDS: Final = 15.0  # a turn may commit so long after its ids were made
TIE_HUB: Final = 20  # customers of one device, address or payee: with more of them it ties nobody to anybody
TIES_OF_ONE: Final = 30  # devices, addresses and payees followed from one customer, the newest
NEIGHBOURS: Final = 60  # customers, devices, addresses and payees in one picture
BYPASS_DAYS: Final = 30  # what was let through as a sample is measured over so long
BYPASSED: Final = 20_000  # of them, the newest
assert CASE_DUE_SECONDS["low"] <= REVIEW_SECONDS  # a held payment is decided before its time is over
assert CASE_DUE_SECONDS["critical"] > CASE_CLAIM_SECONDS
assert CASE_PAYMENTS >= CASE_ALERTS  # "all that were alerted about" is a verdict that can be given
assert TIE_LAG_SECONDS > TURN_RETRY_SECONDS * 2**TURN_TRIES / 2

# -- history and backtests
HISTORY_ROWS: Final = 8192  # payments read together: a call's cost is lost among them
HISTORY_FILE_MEMORY: Final = "1GB"  # of DuckDB while it sorts a file; what does not fit is spilled to disk

# -- rules and what else is in force of risk (seconds unless named otherwise)
MAX_RULES: Final = 200  # each costs a turn three microseconds, and a person's understanding
MAX_RULES_TEXT: Final = 512 * 1024  # bytes of a rule set
MAX_CONDITION: Final = 4000  # characters
RULE_FAULTS: Final = 50  # named of one rule set; the rest is counted
BREAKER_LEAST: Final = 500  # hits that any rule may have within BREAKER_SECONDS
BREAKER_SHARE: Final = 0.5  # of the traffic that any rule may hold or deny
BREAKER_SECONDS: Final = 600
BREAKER_LONGEST_SECONDS: Final = 6 * 3600  # `at_most = "30 in 6h"`: so much is read again after a restart
BREAKER_MOST: Final = 100_000  # `at_most`: a deeper memory is no breaker
BYPASS_MOST: Final = 0.1  # of would-be holds and challenges, as a sample
LIST_ENTRIES: Final = 100_000  # in force at one time: about 30 MB in the process that decides
LIST_KEY: Final = 200  # characters
MUTES: Final = 1000  # in force at one time
TRUST_SECONDS: Final = 90 * 24 * 3600  # the longest trust and mute: else change the rule
FORCE_POLL_SECONDS: Final = 1.0  # how soon the process that decides hears what people put in force
FORCE_REREAD_SECONDS: Final = 60.0  # everything is read again so often, whatever the revision says
ALERTS_A_DAY: Final = 100  # what analysts can look at, unless the rules' [analysts] says otherwise
RENEWAL_WAIT_SECONDS: Final = 20.0  # what a turn decided is committed by then, or given up
RENEWAL_BATCH: Final = 512  # payments lived through again between two turns: about ten milliseconds
RENEWAL_TURNS: Final = 8  # likewise of the turns heard meanwhile
LABELS_READ: Final = 2000  # labels of other processes, learnt between two turns: two milliseconds
LABEL_READS: Final = 50  # such reads of one look
PROPOSALS_SHOWN: Final = 50
assert RENEWAL_WAIT_SECONDS > TURN_RETRY_SECONDS * 2 ** (TURN_TRIES - 1)
assert FORCE_POLL_SECONDS < 2  # promised: active everywhere within two seconds
assert BREAKER_SECONDS <= BREAKER_LONGEST_SECONDS

# -- logins
LOGINS_COMPARED: Final = 64  # accepted ones of the customer, the newest: habits change
LOGINS_LOOKED: Final = 256  # among so many: of those that were asked again, some were never answered
LOGINS_REMEMBERED: Final = 200_000  # of everybody, to know what is common: about 150 MB, two seconds at start
MAX_LOGIN_TURN: Final = 256  # decided together, in one transaction
MAX_LOGIN_QUEUE: Final = 4096  # that may wait; beyond that the door answers 503 at once
LOGIN_ANSWERS: Final = 5  # to one login that was asked again
MAX_USER_AGENT: Final = 1000  # characters of a User-Agent that are looked at
NETWORKS_REMEMBERED: Final = 65_536  # addresses whose network was looked up lately: 20 MB
TAKEOVER_SECONDS: Final = (
    24 * 3600
)  # after a login: a payment of its device or address, reported, says who logged in
AGENTS_REMEMBERED: Final = 8192  # User-Agents that were parsed lately: 5 MB
LOGIN_SKEW_SECONDS: Final = 24 * 3600  # `at` may lie so far ahead of our clock: other clocks are wrong, too
assert LOGINS_COMPARED <= LOGINS_LOOKED

# -- models
MODEL_BYTES: Final = 32 * 1024 * 1024  # of one model; 500 trees of 15 leaves take half a megabyte
MODEL_FEATURES: Final = 400
MODEL_CHALLENGERS: Final = 4  # each scores every payment: 10 to 20 microseconds
MODELS_LISTED: Final = 50  # the newest; older ones stay and open by their number
MODEL_COMPARED: Final = 200_000  # payments of a comparison, the newest; read in seconds

# -- early warning of risk (seconds unless named otherwise)
WATCH_SECONDS: Final = 1.0  # between two looks for new decisions, logins and labels
WATCH_BATCH: Final = 500  # decisions taken in at one time: some 20 ms of a thread
WATCH_RELIVED: Final = 100_000  # of the newest decisions, lived through again when the agent starts
WATCH_LATE_SECONDS: Final = 20.0  # from an id to its commit at most
WATCH_KEYS: Final = 50_000  # devices, addresses, merchants, accounts remembered by a detector: the last seen
WATCH_RULES: Final = 500  # rules whose hit rates are followed, those that hit first
WATCH_LABELS_LATE: Final = 5000  # labels written while one waits for its commit at most
STREAM_SLOT_SECONDS: Final = 10  # a stream is judged once in so long
STREAM_FALSE_ALARM_DAYS: Final = 365.0  # of one stream and direction, between two false alarms on average
STREAM_LEAST_TRIALS: Final = 2000  # with fewer a stream still learns
STREAM_LEAST_HOURS: Final = 24  # with fewer its nights would be a surprise
STREAM_LEAST_AMOUNTS: Final = 8  # a mean of money that rests on fewer amounts says little
STREAM_LEARN_SECONDS: Final = 600.0  # learnt so much later: a trouble shall not teach itself
STREAM_ACCEPT_SECONDS: Final = 24 * 3600.0  # out of its band for so long, and it is learnt all the same
STREAM_WEEKS: Final = 8  # of stored hours that the rhythm is read from
SIGNAL_QUIET_SECONDS: Final = 1800.0  # an attack of which nothing was seen for so long is over
SIGNALS_OPEN: Final = 400  # at one time: more is one trouble
SIGNALS_OF_A_KIND: Final = 30  # about devices, say: a storm of one kind shall not crowd out the others
SIGNAL_ALERTS: Final = 20  # customers alerted about by one signal, those with the most to lose
SIGNAL_EVIDENCE: Final = 20  # payments, customers, devices named in a signal, of each
SIGNALS_PAST: Final = 100  # shown on one page
ALERT_BUDGET_SUBJECTS: Final = 100_000  # ranked against each other: those of the last 24 hours
ALERT_SCORE: Final = 0.5  # so probable a fraud is alerted about whatever was decided
ACCOUNT_STAKE: Final = 100_000  # minor units: an account in a thief's hands, at least
REMEDY_TRIAL_SECONDS: Final = 3600.0  # between two backtests of rules proposed against one kind of attack
REMEDY_SECONDS: Final = 24 * 3600.0  # a rule proposed by the machine ends so soon
assert WATCH_LATE_SECONDS > TURN_RETRY_SECONDS * 2**TURN_TRIES / 2
TIMELINE_LOOK: Final = 2000  # entries before in which a known device stands
LOGIN_WATCH_ROWS: Final = 200_000  # of one look at all logins of a time
STAFF_LOGINS_REMEMBERED: Final = 5000  # sign-ins of the platform's own people: what is common among them
TRAINING_CELLS: Final = 50_000_000  # payments times features held for a training: 400 MB

# -- backtests
BACKTEST_DAYS: Final = 400  # of a report, the latest: more than a year
BACKTEST_EXAMPLES: Final = 20  # payments named of each kind of change
BACKTEST_PAST_SECONDS: Final = 38 * 24 * 3600  # before the range: so long do profiles remember
BACKTEST_MOST_SECONDS: Final = 2 * 366 * 24 * 3600  # of one range
BACKTESTS_OPEN: Final = 20  # asked for and not done: a program gone wild fills no queue
BACKTESTS_SHOWN: Final = 50
BACKTEST_REPORT_BYTES: Final = 2 * 1024 * 1024  # of one report; rules and days are bounded
BACKTEST_POLL_SECONDS: Final = 2.0  # between two looks for what was asked
BACKTEST_SECONDS: Final = 3600.0  # of one backtest; then it is ended
BACKTEST_TOLD_SECONDS: Final = 1.0  # between two words about how far it is
BACKTEST_SAID: Final = 500  # of what went wrong

# -- declared features of risk
DECLARED_FEATURES: Final = 100  # beside the package's; each that is read costs a decision half a microsecond
DECLARATION_CHARS: Final = 4000  # of one, as it is kept
