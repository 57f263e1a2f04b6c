-- name: start_reader
-- Where a reader begins that never read.
INSERT INTO risk.case_readers (reader, last) VALUES (%(reader)s, %(first)s) ON CONFLICT (reader) DO NOTHING;

-- name: read_from
-- How far a reader has come, locked.
SELECT last FROM risk.case_readers WHERE reader = %(reader)s FOR UPDATE;

-- name: advance_reader
-- Everything up to and with an id has been read.
UPDATE risk.case_readers SET last = %(last)s WHERE reader = %(reader)s;

-- name: tie_decisions
-- Who was tied to what by a batch of decisions; how many were read, and the last of them.
WITH batch AS (
    SELECT id, at, kind, customer, payee, device, ip FROM risk.decisions
    WHERE id > %(last)s AND id < %(until)s ORDER BY id LIMIT %(limit)s
), seen AS (
    SELECT 'device' AS kind, device AS entity, customer, at FROM batch WHERE device IS NOT NULL
    UNION ALL
    SELECT 'ip', ip, customer, at FROM batch WHERE ip IS NOT NULL
    UNION ALL
    SELECT CASE WHEN kind IN ('withdrawal', 'payout') THEN 'account' ELSE 'payee' END, payee::text, customer, at
    FROM batch WHERE payee <> customer
), kept AS (
    INSERT INTO risk.ties (kind, entity, customer, first_at, last_at, times)
    SELECT kind, entity, customer, min(at), max(at), count(*) FROM seen WHERE at >= %(since)s GROUP BY kind, entity, customer
    ON CONFLICT (kind, entity, customer) DO UPDATE
    SET first_at = least(ties.first_at, excluded.first_at), last_at = greatest(ties.last_at, excluded.last_at),
        times = ties.times + excluded.times
)
SELECT count(*), (SELECT id FROM batch ORDER BY id DESC LIMIT 1) FROM batch;

-- name: tie_logins
-- Who was tied to what by a batch of logins that succeeded; how many were read, and the last of them.
WITH batch AS (
    SELECT id, at, customer, device, ip, succeeded FROM risk.logins
    WHERE id > %(last)s AND id < %(until)s ORDER BY id LIMIT %(limit)s
), seen AS (
    SELECT 'device' AS kind, device AS entity, customer, at FROM batch WHERE succeeded AND device IS NOT NULL
    UNION ALL
    SELECT 'ip', ip, customer, at FROM batch WHERE succeeded AND ip IS NOT NULL
), kept AS (
    INSERT INTO risk.ties (kind, entity, customer, first_at, last_at, times)
    SELECT kind, entity, customer, min(at), max(at), count(*) FROM seen WHERE at >= %(since)s GROUP BY kind, entity, customer
    ON CONFLICT (kind, entity, customer) DO UPDATE
    SET first_at = least(ties.first_at, excluded.first_at), last_at = greatest(ties.last_at, excluded.last_at),
        times = ties.times + excluded.times
)
SELECT count(*), (SELECT id FROM batch ORDER BY id DESC LIMIT 1) FROM batch;

-- name: forget_ties
-- Ties that are too old for any picture, a bounded number.
DELETE FROM risk.ties WHERE (kind, entity, customer) IN (
    SELECT kind, entity, customer FROM risk.ties WHERE last_at < %(since)s ORDER BY last_at LIMIT %(limit)s
);

-- name: ties_of
-- What each of some customers used and whom they paid, the newest first, a bounded number of each.
SELECT t.kind, t.entity, t.customer, t.last_at, t.times
FROM unnest(%(customers)b::uuid[]) AS c (customer)
CROSS JOIN LATERAL (
    SELECT kind, entity, customer, last_at, times FROM risk.ties
    WHERE customer = c.customer AND last_at >= %(since)s ORDER BY last_at DESC LIMIT %(limit)s
) AS t;

-- name: tied_to
-- Which customers are tied to each of some devices, addresses, payees and accounts, a bounded number of each.
SELECT t.kind, t.entity, t.customer, t.last_at, t.times
FROM unnest(%(kinds)b::text[], %(entities)b::text[]) AS e (kind, entity)
CROSS JOIN LATERAL (
    SELECT kind, entity, customer, last_at, times FROM risk.ties
    WHERE kind = e.kind AND entity = e.entity AND last_at >= %(since)s LIMIT %(limit)s
) AS t;

-- name: suspects
-- Those of some customers and merchants that have an open case, or one that was decided as fraud.
SELECT DISTINCT ON (subject) subject, id FROM risk.cases
WHERE subject = ANY (%(subjects)b::uuid[]) AND (state = 'open' OR verdict = 'fraud') ORDER BY subject, id DESC;
