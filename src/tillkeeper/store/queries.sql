-- name: publish
-- News, one row each, in the order given.
INSERT INTO store.outbox (at, topic, subject, payload)
SELECT at, topic, subject, payload::json FROM unnest(%(at)b::timestamptz[], %(topics)b::text[], %(subjects)b::uuid[], %(payloads)b::text[]) AS t (at, topic, subject, payload);

-- name: lock_cursor
-- A reader's place; locked, so that a second process with the same name waits.
SELECT xid::text, id FROM store.cursors WHERE reader = %(reader)s FOR UPDATE;

-- name: start_cursor
-- A new reader starts at the beginning.
INSERT INTO store.cursors (reader, xid, id) VALUES (%(reader)s, '0', 0) ON CONFLICT DO NOTHING;

-- name: read_news
-- What follows a place, but only of transactions older than any still running: later ones may be overtaken.
SELECT id, xid::text, at, topic, subject, payload::text
FROM store.outbox
WHERE (xid, id) > (%(xid)s::xid8, %(id)s) AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, id
LIMIT %(limit)s;

-- name: advance_cursor
-- The reader has dealt with everything up to here.
UPDATE store.cursors SET xid = %(xid)s::xid8, id = %(id)s WHERE reader = %(reader)s;

-- name: outbox_lag
-- How many rows a reader has before it (counted up to a bound), and the oldest one's time.
SELECT count(*), min(at) FROM (
    SELECT at FROM store.outbox
    WHERE (xid, id) > (SELECT xid, id FROM store.cursors WHERE reader = %(reader)s)
    ORDER BY xid, id LIMIT 10000
) AS waiting;

-- name: find_answers
-- Stored answers of the keys that are known.
SELECT k.place, i.input_hash, i.status, i.body
FROM unnest(%(principals)b::uuid[], %(keys)b::text[]) WITH ORDINALITY AS k (principal, key, place)
JOIN store.idempotency AS i ON i.principal = k.principal AND i.key = k.key;

-- name: keep_answers
-- Bind keys to their answers. Sorted, so two workers with the same keys wait for each other in one order; a key
-- that another worker has just bound raises a unique violation, and the turn starts again and finds the answer.
INSERT INTO store.idempotency (principal, key, input_hash, status, body, at)
SELECT * FROM unnest(%(principals)b::uuid[], %(keys)b::text[], %(hashes)b::bytea[], %(statuses)b::smallint[],
                     %(bodies)b::bytea[], %(at)b::timestamptz[])
ORDER BY 1, 2;

-- name: take_lease
-- Take a free or expired lease, that of a holder who is dead, or renew one's own. The server's clock decides: holders may
-- disagree on the time.
INSERT INTO store.leases AS l (name, holder, taken_at, expires_at)
VALUES (%(name)s, %(holder)s, clock_timestamp(), clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    taken_at = CASE WHEN l.holder = excluded.holder THEN l.taken_at ELSE excluded.taken_at END,
    expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp() OR l.holder = %(dead)s::text
RETURNING holder;

-- name: give_lease
-- Give back one's own lease.
DELETE FROM store.leases WHERE name = %(name)s AND holder = %(holder)s;

-- name: lease_holder
-- Who holds a lease, if it has not expired.
SELECT holder, taken_at, expires_at FROM store.leases WHERE name = %(name)s AND expires_at > clock_timestamp();

-- name: beat
-- This process is alive: its row made or renewed. What is wished of it, unless that is past its time.
INSERT INTO store.processes AS p (id, kind, host, pid, incarnation, started_at, seen_at, state, detail)
VALUES (%(id)s, %(kind)s, %(host)s, %(pid)s, %(incarnation)s, clock_timestamp(), clock_timestamp(), %(state)s,
        %(detail)s::text::json)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, state = excluded.state, detail = excluded.detail
RETURNING CASE WHEN wished_until > clock_timestamp() THEN wish ELSE 'none' END;

-- name: wish_of_process
-- What a process shall do, for so many seconds; then it does as before.
UPDATE store.processes
SET wish = %(wish)s, wished_until = clock_timestamp() + %(seconds)s * interval '1 second'
WHERE id = %(id)s AND state <> 'stopped'
RETURNING id;

-- name: processes
-- All processes that are remembered, the newest start first. `silent`: seconds since they were seen.
SELECT id, kind, host, pid, incarnation, started_at, seen_at, state,
       CASE WHEN wished_until > clock_timestamp() THEN wish ELSE 'none' END AS wish,
       detail::text, extract(epoch FROM clock_timestamp() - seen_at)::double precision AS silent
FROM store.processes
ORDER BY started_at DESC;

-- name: forget_processes
-- Processes that were not seen for so long.
DELETE FROM store.processes WHERE seen_at < clock_timestamp() - %(seconds)s * interval '1 second';

-- name: set_mark
-- A step's work is done, in the transaction that does it.
INSERT INTO store.marks (id, did) VALUES (%(id)s, %(did)s::text::json);

-- name: mark
-- What a step did, if it did.
SELECT did::text AS did FROM store.marks WHERE id = %(id)s;

-- name: take_mark_back
-- A step's work is undone, in the transaction that undoes it.
DELETE FROM store.marks WHERE id = %(id)s;
