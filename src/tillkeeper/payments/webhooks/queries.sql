-- name: create_endpoint
-- A new address for messages.
INSERT INTO payments.webhook_endpoints (id, url, topics, signing_secret, created_at)
VALUES (%(id)s, %(url)s, %(topics)s, %(signing_secret)s, %(created_at)s);

-- name: count_endpoints
-- How many there are.
SELECT count(*) FROM payments.webhook_endpoints;

-- name: list_endpoints
-- All endpoints, newest first.
SELECT id, url, topics, failures, paused_until, disabled_at, created_at
FROM payments.webhook_endpoints
ORDER BY id DESC;

-- name: find_endpoint
-- One endpoint.
SELECT id, url, topics, failures, paused_until, disabled_at, created_at
FROM payments.webhook_endpoints
WHERE id = %(id)s;

-- name: delete_endpoint
-- An endpoint and its messages go.
DELETE FROM payments.webhook_endpoints WHERE id = %(id)s RETURNING url;

-- name: enable_endpoint
-- A clean slate for an endpoint.
UPDATE payments.webhook_endpoints SET failures = 0, paused_until = NULL, disabled_at = NULL
WHERE id = %(id)s
RETURNING id;

-- name: subscriptions
-- Who wants what; kept from vanishing until the messages are written.
SELECT id, topics, disabled_at IS NULL FROM payments.webhook_endpoints FOR KEY SHARE;

-- name: create_deliveries
-- Messages, one per endpoint and piece of news, however often the news is read.
INSERT INTO payments.webhook_deliveries
    (id, endpoint, outbox_id, topic, subject, payload, state, last_answer, due_at, created_at)
SELECT t.*, %(now)s, %(now)s
FROM unnest(%(ids)s::uuid[], %(endpoints)s::uuid[], %(outbox_ids)s::bigint[], %(topics)s::text[], %(subjects)s::uuid[],
            %(payloads)s::text[], %(states)s::text[], %(answers)s::text[]) AS t
ON CONFLICT (endpoint, outbox_id) DO NOTHING;

-- name: claim_deliveries
-- Messages that are due, for each endpoint that is neither disabled, paused nor busy: of each subject only the
-- first, so that no payment's news overtakes itself; of an endpoint that failed last time only one, as a probe.
-- The inner limit and the count, where NOT EXISTS reads better, keep a planner without statistics from joining with
-- all that is due: 200,000 messages made that 2.5 s instead of 15 ms.
WITH due AS MATERIALIZED (
    SELECT first.id, e.url, e.secret, e.signing_secret
    FROM payments.webhook_endpoints AS e
    CROSS JOIN LATERAL (
        SELECT w.id FROM (
            SELECT id, subject, outbox_id, due_at FROM payments.webhook_deliveries
            WHERE endpoint = e.id AND state = 'due' AND due_at <= %(now)s
            ORDER BY due_at, id
            LIMIT 8 * %(batch)s
        ) AS w
        WHERE (
            SELECT count(*) FROM payments.webhook_deliveries AS earlier
            WHERE earlier.subject = w.subject AND earlier.endpoint = e.id AND earlier.state = 'due'
              AND earlier.outbox_id < w.outbox_id AND earlier.tries < %(order_tries)s
        ) = 0
        ORDER BY w.due_at, w.id
        LIMIT CASE WHEN e.failures = 0 THEN %(batch)s ELSE 1 END
    ) AS first
    WHERE e.disabled_at IS NULL AND (e.paused_until IS NULL OR e.paused_until <= %(now)s)
      AND e.id <> ALL (%(busy)s::uuid[])
), locked AS MATERIALIZED (
    SELECT d.id, due.url, due.secret, due.signing_secret
    FROM due JOIN payments.webhook_deliveries AS d USING (id)
    WHERE d.state = 'due' AND d.due_at <= %(now)s
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE payments.webhook_deliveries AS d
SET due_at = %(claimed_until)s
FROM locked
WHERE d.id = locked.id
RETURNING d.id, d.endpoint, d.outbox_id, d.tries, d.last_answer, locked.url, locked.secret, locked.signing_secret,
    d.payload;

-- name: settle_deliveries
-- How tries ended, or that they were not made after all.
UPDATE payments.webhook_deliveries AS d
SET state = t.state, tries = t.tries, due_at = t.due_at, last_answer = t.answer
FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(tries)s::smallint[], %(due_at)s::timestamptz[], %(answers)s::text[])
    AS t (id, state, tries, due_at, answer)
WHERE d.id = t.id AND d.state = 'due';

-- name: endpoint_answered
-- A success ends an endpoint's row of failures.
UPDATE payments.webhook_endpoints SET failures = 0, paused_until = NULL WHERE id = %(id)s AND failures > 0;

-- name: endpoint_failed
-- One more failure in a row, and a pause.
UPDATE payments.webhook_endpoints SET failures = failures + 1 WHERE id = %(id)s AND disabled_at IS NULL
RETURNING failures, url;

-- name: pause_endpoint
-- No try before a time.
UPDATE payments.webhook_endpoints SET paused_until = %(until)s WHERE id = %(id)s;

-- name: disable_endpoint
-- No try until somebody enables it.
UPDATE payments.webhook_endpoints SET disabled_at = %(at)s WHERE id = %(id)s;

-- name: fail_waiting
-- What waited for an endpoint that was disabled; replay brings it back.
UPDATE payments.webhook_deliveries SET state = 'failed', last_answer = %(answer)s
WHERE endpoint = %(endpoint)s AND state = 'due';

-- name: deliveries_of
-- A page of an endpoint's messages, newest first.
SELECT id, endpoint, topic, subject, state, tries, due_at, last_answer, created_at
FROM payments.webhook_deliveries
WHERE endpoint = %(endpoint)s AND (
    %(cursor)s::uuid IS NULL
    OR outbox_id < (SELECT outbox_id FROM payments.webhook_deliveries WHERE id = %(cursor)s AND endpoint = %(endpoint)s)
)
ORDER BY outbox_id DESC
LIMIT %(limit)s;

-- name: deliveries_about
-- The messages about one subject, oldest first.
SELECT id, endpoint, topic, subject, state, tries, due_at, last_answer, created_at
FROM payments.webhook_deliveries
WHERE subject = %(subject)s
ORDER BY outbox_id, endpoint
LIMIT %(limit)s;

-- name: replay
-- Send a message once more, whatever became of it.
UPDATE payments.webhook_deliveries SET state = 'due', tries = 0, due_at = %(now)s WHERE id = %(id)s RETURNING id;

-- name: replay_since
-- Send once more what an endpoint should have got since a time, up to a bound, oldest first.
WITH chosen AS (
    SELECT id FROM payments.webhook_deliveries
    WHERE endpoint = %(endpoint)s AND created_at >= %(since)s AND outbox_id > %(after)s
    ORDER BY outbox_id
    LIMIT %(limit)s
)
UPDATE payments.webhook_deliveries AS d SET state = 'due', tries = 0, due_at = %(now)s
FROM chosen
WHERE d.id = chosen.id
RETURNING d.outbox_id;

-- name: forget_old
-- Messages too old to be replayed, up to a bound.
DELETE FROM payments.webhook_deliveries
WHERE id IN (SELECT id FROM payments.webhook_deliveries WHERE id < %(before)s ORDER BY id LIMIT %(limit)s)
RETURNING id;

-- name: any_in_the_clear
-- Whether there are endpoints older than the vault.
SELECT EXISTS (SELECT FROM payments.webhook_endpoints WHERE secret IS NOT NULL);

-- name: in_the_clear
-- Some of the endpoints older than the vault, for whoever seals their secrets.
SELECT id, secret FROM payments.webhook_endpoints WHERE secret IS NOT NULL ORDER BY id LIMIT %(limit)s FOR UPDATE;

-- name: seal_secret
-- A secret in the clear gives way to its cell.
UPDATE payments.webhook_endpoints SET secret = NULL, signing_secret = %(signing_secret)s WHERE id = %(id)s;
