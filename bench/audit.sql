-- name: plain
-- The yardstick: the same columns, one index, nothing sealed.
CREATE TABLE plain (
    id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), actor text NOT NULL, action text NOT NULL,
    subject text NOT NULL, reason text NOT NULL, origin text NOT NULL, result text NOT NULL
);

-- name: backlog
-- Events that nobody sealed yet.
INSERT INTO audit.events (id, actor, action, subject, reason, origin)
SELECT uuidv7(), 'person-' || n %% 50, 'customer.revealed', 'cus_' || n %% 5000, 'phone: ticket T-' || n, '203.0.113.7'
FROM generate_series(1, %(rows)s) AS n;

-- name: statistics
-- As autovacuum would.
VACUUM (ANALYZE) audit.events, audit.leaves;

-- name: an_event
-- One in the middle of the tree.
SELECT event FROM audit.leaves WHERE seq = (SELECT max(seq) / 3 FROM audit.leaves);
