-- name: touched_since
-- Payments of which something is new to an earlier snapshot, among ids from `lower` on.
WITH rows AS (
    SELECT id AS payment, xmin FROM payments.payments WHERE id >= %(lower)s
    UNION ALL SELECT payment, xmin FROM payments.moves WHERE id >= %(lower)s
    UNION ALL SELECT payment, xmin FROM payments.refunds WHERE id >= %(lower)s
), numbered AS (
    SELECT payment, %(xmax)s::bigint - ((%(xmax)s::bigint - xmin::text::bigint) & 4294967295) AS xid FROM rows
)
SELECT DISTINCT payment FROM numbered WHERE xid >= %(before)s::bigint OR xid = ANY (%(open)s::bigint[]);

-- name: next_payments
-- The payments after an id, for a walk over all of them.
SELECT id FROM payments.payments WHERE id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: claims
-- What payments say of themselves, with their refunds and what banks accepted.
SELECT p.id, p.kind, p.state, p.currency::text, p.amount, p.captured, p.refunded, p.fee, p.hold IS NOT NULL,
       coalesce(r.count, 0), coalesce(r.amount, 0)::bigint, coalesce(r.fee, 0)::bigint, coalesce(a.count, 0), coalesce(a.amount, 0)::bigint
FROM payments.payments AS p
LEFT JOIN LATERAL (SELECT count(*) AS count, sum(amount) AS amount, sum(fee_returned) AS fee
                   FROM payments.refunds WHERE payment = p.id) AS r ON true
LEFT JOIN LATERAL (SELECT count(*) AS count, sum(amount) FILTER (WHERE state = 'accepted') AS amount
                   FROM payments.rail_attempts WHERE payment = p.id) AS a ON p.kind IN ('top_up', 'withdrawal', 'payout')
WHERE p.id = ANY (%(payments)b::uuid[]);

-- name: webhooks_of_late
-- Webhook messages since an id that were tried: how many, and how many of them have failed so far.
SELECT count(*), count(*) FILTER (WHERE state <> 'delivered')
FROM payments.webhook_deliveries WHERE id >= %(since)s AND (tries > 0 OR state = 'delivered');

-- name: webhooks_waiting
-- Messages that wait, counted up to a bound.
SELECT count(*) FROM (SELECT FROM payments.webhook_deliveries WHERE state = 'due' LIMIT 10000) AS due;

-- name: on_the_way
-- What banks have not said their final word on: by currency how many, how much, and the oldest.
SELECT currency::text, count(*), sum(amount)::bigint, min(created_at)
FROM payments.rail_attempts
WHERE state IN ('due', 'sent') AND due_at < '9999-01-01'  -- later: a person has to let it go first
GROUP BY currency;
