-- name: backups
-- The newest backups, each with its last drill.
SELECT b.id, b.kind, b.parent, b.state, b.asked_by, b.begun_at, b.ended_at, b.bytes, b.database_bytes, b.timeline,
       b.start_lsn::text, b.end_lsn::text, b.said,
       d.id, d.backup, d.target, d.passed, d.rpo_seconds, d.rto_seconds, d.checks, d.asked_by, d.begun_at, d.ended_at
FROM maintenance.backups b
LEFT JOIN LATERAL (
    SELECT * FROM maintenance.drills WHERE backup = b.id ORDER BY ended_at DESC LIMIT 1
) d ON true
WHERE b.state = ANY (%(states)b::text[])
ORDER BY b.begun_at DESC
LIMIT %(limit)s;

-- name: backup
-- One backup with its last drill.
SELECT b.id, b.kind, b.parent, b.state, b.asked_by, b.begun_at, b.ended_at, b.bytes, b.database_bytes, b.timeline,
       b.start_lsn::text, b.end_lsn::text, b.said,
       d.id, d.backup, d.target, d.passed, d.rpo_seconds, d.rto_seconds, d.checks, d.asked_by, d.begun_at, d.ended_at
FROM maintenance.backups b
LEFT JOIN LATERAL (
    SELECT * FROM maintenance.drills WHERE backup = b.id ORDER BY ended_at DESC LIMIT 1
) d ON true
WHERE b.id = %(id)s;

-- name: begin_backup
-- A backup that is about to be taken.
INSERT INTO maintenance.backups (id, kind, parent, state, asked_by, begun_at)
VALUES (%(id)s, %(kind)s, %(parent)s, 'running', %(by)s, %(at)s);

-- name: finish_backup
-- It lies in the repository.
UPDATE maintenance.backups
SET state = 'done', ended_at = %(at)s, bytes = %(bytes)s, database_bytes = %(database_bytes)s, timeline = %(timeline)s,
    start_lsn = %(start_lsn)s::text::pg_lsn, end_lsn = %(end_lsn)s::text::pg_lsn
WHERE id = %(id)s;

-- name: fail_backup
-- It does not.
UPDATE maintenance.backups SET state = 'failed', ended_at = %(at)s, said = %(said)s WHERE id = %(id)s AND state = 'running';

-- name: adopt_backup
-- It lies in the repository, whatever was noted of it: its process may have been killed, or this database restored.
INSERT INTO maintenance.backups (id, kind, parent, state, asked_by, begun_at, ended_at, bytes, database_bytes, timeline, start_lsn,
    end_lsn)
VALUES (%(id)s, %(kind)s, %(parent)s, 'done', 'unknown', %(begun_at)s, %(ended_at)s, %(bytes)s, %(database_bytes)s,
    %(timeline)s, %(start_lsn)s::text::pg_lsn, %(end_lsn)s::text::pg_lsn)
ON CONFLICT (id) DO UPDATE
SET state = 'done', ended_at = excluded.ended_at, bytes = excluded.bytes, database_bytes = excluded.database_bytes,
    timeline = excluded.timeline, start_lsn = excluded.start_lsn, end_lsn = excluded.end_lsn, said = ''
WHERE backups.state <> 'done';

-- name: backups_not_there
-- Those that do not lie in the repository: pruned, or never finished. Only asked by whoever alone may take one.
UPDATE maintenance.backups
SET state = CASE state WHEN 'done' THEN 'gone' ELSE 'failed' END,
    said = CASE state WHEN 'done' THEN '' ELSE 'its process was killed' END,
    ended_at = coalesce(ended_at, %(at)s)
WHERE state IN ('running', 'done') AND id <> ALL (%(there)b::uuid[]);

-- name: forget_backups
-- They were pruned.
UPDATE maintenance.backups SET state = 'gone' WHERE id = ANY (%(ids)b::uuid[]);

-- name: add_drill
-- What a drill found.
INSERT INTO maintenance.drills (id, backup, target, passed, rpo_seconds, rto_seconds, checks, asked_by, begun_at, ended_at)
VALUES (%(id)s, %(backup)s, %(target)s, %(passed)s, %(rpo_seconds)s, %(rto_seconds)s, %(checks)s::text::jsonb, %(asked_by)s,
        %(begun_at)s, %(ended_at)s);

-- name: drills
-- The newest drills.
SELECT id, backup, target, passed, rpo_seconds, rto_seconds, checks, asked_by, begun_at, ended_at
FROM maintenance.drills ORDER BY ended_at DESC LIMIT %(limit)s;

-- name: order_work
-- Ask the agent; nothing happens when one of a kind is open.
INSERT INTO maintenance.backup_orders (id, kind, asked_by, asked_at, state)
VALUES (%(id)s, %(kind)s, %(by)s, %(at)s, 'waiting')
ON CONFLICT DO NOTHING
RETURNING id;

-- name: orders
-- What was asked lately.
SELECT id, kind, asked_by, asked_at, state, ended_at, said
FROM maintenance.backup_orders ORDER BY asked_at DESC LIMIT %(limit)s;

-- name: claim_order
-- The oldest that waits.
UPDATE maintenance.backup_orders SET state = 'running'
WHERE id = (SELECT id FROM maintenance.backup_orders WHERE state = 'waiting' ORDER BY asked_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, kind, asked_by, asked_at, state, ended_at, said;

-- name: end_order
-- What came of it.
UPDATE maintenance.backup_orders SET state = %(state)s, ended_at = %(at)s, said = %(said)s WHERE id = %(id)s;

-- name: orders_left_running
-- Their agent died.
UPDATE maintenance.backup_orders SET state = 'failed', ended_at = %(at)s, said = 'the agent was killed'
WHERE state = 'running';

-- name: note_archived
-- How far the repository is now. The rate is smoothed over about a minute of looks.
INSERT INTO maintenance.wal_archive AS w (lsn, reached, looked_at, looked_lsn)
VALUES (%(lsn)s::text::pg_lsn, %(reached)s, %(at)s, pg_current_wal_lsn())
ON CONFLICT (one) DO UPDATE
SET lsn = greatest(w.lsn, excluded.lsn), reached = greatest(w.reached, excluded.reached), failing_since = NULL, said = '';

-- name: note_archive_fails
-- The archive does not keep up, and why. If it never began, it reaches nowhere.
INSERT INTO maintenance.wal_archive AS w (lsn, reached, looked_at, looked_lsn, failing_since, said)
VALUES (%(lsn)s::text::pg_lsn, to_timestamp(0), %(at)s, pg_current_wal_lsn(), %(at)s, %(said)s)
ON CONFLICT (one) DO UPDATE SET failing_since = coalesce(w.failing_since, excluded.failing_since), said = excluded.said;

-- name: note_rate
-- How much is written in a second, smoothed: a tenth of each look is new.
UPDATE maintenance.wal_archive AS w
SET rate = CASE WHEN w.looked_lsn > pg_current_wal_lsn() THEN w.rate
           ELSE 0.9 * w.rate + 0.1 * (pg_current_wal_lsn() - w.looked_lsn)::float8
                / greatest(0.001, extract(epoch FROM %(at)s - w.looked_at)::float8) END,
    looked_at = %(at)s, looked_lsn = pg_current_wal_lsn()
WHERE %(at)s > w.looked_at;

-- name: wal_state
-- How the archive stands.
SELECT reached, greatest(0, pg_current_wal_lsn() - lsn)::bigint AS waiting, rate, failing_since, said
FROM maintenance.wal_archive;
