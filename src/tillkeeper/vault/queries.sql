-- name: lock_keys
-- Whoever changes the class keys takes turns with others; held to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('vault.keys'));

-- name: keys
-- Every class key ever made, wrapped; the destroyed ones without their key.
SELECT class AS class_, purpose, version, state, root, wrapped FROM vault.keys ORDER BY class, purpose, version;

-- name: list_keys
-- Every class key as it may be shown.
SELECT class, purpose, version, state, root, made_at, activated_at, destroyed_at
FROM vault.keys ORDER BY class, purpose, version;

-- name: add_key
-- A new class key; the first of its kind is active at once.
INSERT INTO vault.keys (class, purpose, version, state, root, wrapped, made_at, activated_at)
VALUES (%(class)s, %(purpose)s, %(version)s, %(state)s, %(root)s, %(wrapped)s, %(at)s,
        CASE WHEN %(state)s = 'active' THEN %(at)s END);

-- name: take_your_time
-- A count over whole tables may take longer than a payment's statement.
SET LOCAL statement_timeout = 0;

-- name: one_snapshot
-- All statements of the transaction see the same rows.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- name: retire_active
-- What was active seals no more.
UPDATE vault.keys SET state = 'decrypt_only' WHERE purpose = %(purpose)s AND state = 'active' AND version < %(version)s;

-- name: activate
-- A version that every process can read begins to seal.
UPDATE vault.keys SET state = 'active', activated_at = %(at)s
WHERE purpose = %(purpose)s AND version = %(version)s AND state = 'pending';

-- name: destroy_older
-- Versions of which nothing is left.
UPDATE vault.keys SET state = 'destroyed', wrapped = NULL, destroyed_at = %(at)s
WHERE purpose = %(purpose)s AND version < %(version)s AND state <> 'destroyed' RETURNING version;

-- name: rewrap_key
-- A class key under another root key.
UPDATE vault.keys SET root = %(root)s, wrapped = %(wrapped)s
WHERE class = %(class)s AND purpose = %(purpose)s AND version = %(version)s;

-- name: open_rotation
-- The rotation that is not finished.
SELECT id, version, state, walked_table, next_block, done FROM vault.rotations
WHERE purpose = %(purpose)s AND finished_at IS NULL;

-- name: begin_rotation
-- A new one.
INSERT INTO vault.rotations (id, purpose, version, state, actor, started_at, changed_at)
VALUES (%(id)s, %(purpose)s, %(version)s, 'spreading', %(actor)s, %(at)s, %(at)s);

-- name: save_rotation
-- How far it has come.
UPDATE vault.rotations
SET state = %(state)s, walked_table = %(table)s, next_block = %(block)s, done = %(done)s, changed_at = %(at)s
WHERE id = %(id)s;

-- name: finish_rotation
-- The old versions are destroyed.
UPDATE vault.rotations SET state = 'done', done = %(done)s, changed_at = %(at)s, finished_at = %(at)s WHERE id = %(id)s;

-- name: redo_after_a_crash
-- A step of a walk that a crash of the server loses is walked again: payments need not wait for its write to the disk.
SET LOCAL synchronous_commit = off;

-- name: sweep_as_of
-- Now; but not further from when nothing was left the last time than so many days: a clock that is wrong by a year would have what
-- is needed deleted in one night. After a long rest the sweeper catches up day by day.
SELECT coalesce(
    (SELECT least(%(now)s::timestamptz, done_at + %(days)s * interval '1 day') FROM vault.sweeps WHERE name = %(name)s), %(now)s
);

-- name: note_sweep
-- Rows of a table were deleted, or none was left to delete.
INSERT INTO vault.sweeps AS s (name, rows, swept_at, done_at)
VALUES (%(name)s, %(rows)s, CASE WHEN %(rows)s > 0 THEN %(at)s END, CASE WHEN %(done)s THEN %(at)s END)
ON CONFLICT (name) DO UPDATE SET rows = s.rows + excluded.rows, swept_at = coalesce(excluded.swept_at, s.swept_at),
    done_at = coalesce(excluded.done_at, s.done_at);

-- name: sweeps
-- What was deleted from each table so far.
SELECT name, rows, swept_at, done_at FROM vault.sweeps ORDER BY name;
