-- name: snapshot
-- Which transactions are visible at this moment.
SELECT pg_current_snapshot()::text;

-- name: unsealed
-- Events of transactions that a snapshot did not see, and that have no leaf, in the order of their transactions, from a
-- place in that order on. Visible now are they all: what still runs is not waited for, it is found later.
-- Times as numbers: one that a superuser sets to infinity must not break the one who reads. Pairs are compared, each walk
-- is sorted, and a leaf is looked up for each row: whatever the statistics say, only what is new is read.
SELECT e.id::text, trunc(extract(epoch FROM e.at) * 1000000)::text, e.actor, e.action, e.subject, e.reason, e.origin,
       e.result, e.xid::text
FROM (
    SELECT late.* FROM pg_snapshot_xip(%(seen)s::pg_snapshot) AS running (xid), LATERAL (
        SELECT * FROM audit.events
        WHERE (xid, id) >= (running.xid, CASE WHEN running.xid = %(xid)s::xid8 THEN %(id)s::uuid
                                              ELSE '00000000-0000-0000-0000-000000000000' END)
          AND (xid, id) <= (running.xid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        ORDER BY xid, id
    ) AS late
    WHERE running.xid >= %(xid)s::xid8
    UNION ALL
    (SELECT * FROM audit.events
     WHERE (xid, id) >= (greatest(%(xid)s::xid8, pg_snapshot_xmax(%(seen)s::pg_snapshot)),
                         CASE WHEN %(xid)s::xid8 >= pg_snapshot_xmax(%(seen)s::pg_snapshot) THEN %(id)s::uuid
                              ELSE '00000000-0000-0000-0000-000000000000' END)
     ORDER BY xid, id)
) AS e
WHERE NOT EXISTS (SELECT FROM audit.leaves AS l WHERE l.event = e.id OFFSET 0)
ORDER BY e.xid, e.id
LIMIT %(limit)s;

-- name: page_end
-- The last of the next so many events; no row when there are fewer.
SELECT id FROM audit.events WHERE id >= %(from_id)s ORDER BY id OFFSET %(limit)s - 1 LIMIT 1;

-- name: unsealed_between
-- Events of a range of ids that have no leaf, whatever their transactions.
SELECT e.id::text, trunc(extract(epoch FROM e.at) * 1000000)::text, e.actor, e.action, e.subject, e.reason, e.origin,
       e.result, e.xid::text
FROM audit.events AS e
WHERE e.id >= %(from_id)s AND e.id <= %(to)s AND NOT EXISTS (SELECT FROM audit.leaves AS l WHERE l.event = e.id OFFSET 0)
ORDER BY e.id;

-- name: last_head
-- The newest head. `plausible`: the snapshot is of this cluster; after a restore into a younger one it is from the future.
SELECT trail, size, root, trunc(extract(epoch FROM at) * 1000000)::text AS at, key, signature, frontier, seen::text,
       pg_snapshot_xmax(seen) <= pg_snapshot_xmax(pg_current_snapshot()) AS plausible
FROM audit.heads ORDER BY size DESC LIMIT 1;

-- name: leaf_count
-- How many leaves there are, if none is missing.
SELECT coalesce(max(seq) + 1, 0) FROM audit.leaves;

-- name: add_leaves
-- Leaves of a batch. A number or an event that has one already raises a unique violation: another sealer was faster.
INSERT INTO audit.leaves (seq, event, hash)
SELECT %(first)s + place - 1, event::uuid, hash
FROM unnest(%(events)b::text[], %(hashes)b::bytea[]) WITH ORDINALITY AS t (event, hash, place);

-- name: add_head
-- The head after a batch.
INSERT INTO audit.heads (trail, size, root, at, key, signature, frontier, seen)
VALUES (%(trail)s, %(size)s, %(root)s, %(at)s, %(key)s, %(signature)s, %(frontier)s, %(seen)s::pg_snapshot);

-- name: add_key
-- A public key in use, to be looked up; for one that is new, how many there were before.
INSERT INTO audit.keys (id, public_key, used_since) VALUES (%(id)s, %(public_key)s, %(since)s) ON CONFLICT DO NOTHING
RETURNING (SELECT count(*) FROM audit.keys);

-- name: keys
-- The public keys used so far, the oldest first.
SELECT id, public_key, used_since FROM audit.keys ORDER BY used_since, id;

-- name: waiting
-- How many events that a snapshot did not see have no leaf, counted up to a bound, and the age of the oldest in seconds.
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8
FROM (
    SELECT at FROM (
        SELECT late.* FROM pg_snapshot_xip(%(seen)s::pg_snapshot) AS running (xid), LATERAL (
            SELECT * FROM audit.events
            WHERE (xid, id) >= (running.xid, '00000000-0000-0000-0000-000000000000'::uuid)
              AND (xid, id) <= (running.xid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
            ORDER BY xid, id
        ) AS late
        UNION ALL
        (SELECT * FROM audit.events
         WHERE (xid, id) >= (pg_snapshot_xmax(%(seen)s::pg_snapshot), '00000000-0000-0000-0000-000000000000'::uuid)
         ORDER BY xid, id)
    ) AS new
    WHERE NOT EXISTS (SELECT FROM audit.leaves AS l WHERE l.event = new.id OFFSET 0)
    LIMIT %(limit)s
) AS waiting;

-- name: leaves
-- A batch of leaves with their events; columns of an event that is gone are empty.
SELECT l.seq, l.hash, l.event::text, e.id::text, trunc(extract(epoch FROM e.at) * 1000000)::text, e.actor, e.action,
       e.subject, e.reason, e.origin, e.result, e.xid::text
FROM audit.leaves AS l LEFT JOIN audit.events AS e ON e.id = l.event
WHERE l.seq >= %(from_seq)s AND l.seq < %(to_seq)s
ORDER BY l.seq
LIMIT %(limit)s;

-- name: hashes
-- A batch of bare leaves.
SELECT seq, hash FROM audit.leaves WHERE seq >= %(from_seq)s AND seq < %(to_seq)s ORDER BY seq LIMIT %(limit)s;

-- name: event_at
-- Whose leaf a number is.
SELECT event::text FROM audit.leaves WHERE seq = %(seq)s;

-- name: leaf_of
-- The leaf of an event, with the event.
SELECT l.seq, l.hash, l.event::text, e.id::text, trunc(extract(epoch FROM e.at) * 1000000)::text, e.actor, e.action,
       e.subject, e.reason, e.origin, e.result, e.xid::text
FROM audit.leaves AS l LEFT JOIN audit.events AS e ON e.id = l.event
WHERE l.event = %(event)s;

-- name: heads
-- A batch of heads, the smallest first.
SELECT trail, size, root, trunc(extract(epoch FROM at) * 1000000)::text AS at, key, signature, frontier FROM audit.heads
WHERE size > %(after)s ORDER BY size LIMIT %(limit)s;

-- name: heads_of
-- The heads of some sizes.
SELECT trail, size, root, trunc(extract(epoch FROM at) * 1000000)::text AS at, key, signature FROM audit.heads WHERE size = ANY (%(sizes)b::bigint[]);

-- name: head_from
-- The first head that covers so many leaves.
SELECT trail, size, root, trunc(extract(epoch FROM at) * 1000000)::text AS at, key, signature FROM audit.heads WHERE size >= %(size)s ORDER BY size LIMIT 1;
