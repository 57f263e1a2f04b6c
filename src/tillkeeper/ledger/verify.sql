-- name: account_differences
-- Accounts whose stored balance or version differs from what their transfers add up to.
WITH legs AS (
    SELECT debit_account AS account, -amount AS credit, 1 AS one FROM ledger.transfers
    UNION ALL SELECT credit_account, amount, 1 FROM ledger.transfers
), sums AS (
    SELECT account, sum(credit) AS net, count(*) AS transfers FROM legs GROUP BY account
)
SELECT a.id, a.currency::text, a.balance, (CASE a.side WHEN 'credit' THEN 1 ELSE -1 END * coalesce(s.net, 0))::bigint,
       a.version, coalesce(s.transfers, 0)
FROM ledger.accounts AS a LEFT JOIN sums AS s ON s.account = a.id
WHERE a.balance <> CASE a.side WHEN 'credit' THEN 1 ELSE -1 END * coalesce(s.net, 0)
   OR a.version <> coalesce(s.transfers, 0)
ORDER BY a.id LIMIT %(limit)s;

-- name: chain_differences
-- Transfers whose running balance does not follow from the one before it on the same account, or whose version
-- leaves a gap.
WITH legs AS (
    SELECT t.id, t.debit_account AS account, t.debit_version AS version, t.debit_balance AS balance,
           -t.amount AS credit
    FROM ledger.transfers AS t
    UNION ALL
    SELECT t.id, t.credit_account, t.credit_version, t.credit_balance, t.amount FROM ledger.transfers AS t
), chained AS (
    SELECT legs.*, row_number() OVER w AS place,
           CASE a.side WHEN 'credit' THEN 1 ELSE -1 END * sum(credit) OVER w AS expected, a.currency
    FROM legs JOIN ledger.accounts AS a ON a.id = legs.account
    WINDOW w AS (PARTITION BY legs.account ORDER BY legs.version, legs.id ROWS UNBOUNDED PRECEDING)
)
SELECT account, currency::text, id, balance, expected::bigint, version, place FROM chained
WHERE balance <> expected OR version <> place
ORDER BY account, place LIMIT %(limit)s;

-- name: orphan_transfers
-- Transfers on accounts that do not exist, or between two currencies.
SELECT t.id, coalesce(d.currency, c.currency, '')::text, d.id IS NULL OR c.id IS NULL AS missing
FROM ledger.transfers AS t
LEFT JOIN ledger.accounts AS d ON d.id = t.debit_account
LEFT JOIN ledger.accounts AS c ON c.id = t.credit_account
WHERE d.id IS NULL OR c.id IS NULL OR d.currency <> c.currency
ORDER BY t.id LIMIT %(limit)s;

-- name: held_differences
-- Accounts whose reserved amount is not what their open holds add up to.
SELECT a.id, a.currency::text, a.held, coalesce(h.held, 0)::bigint
FROM ledger.accounts AS a
LEFT JOIN (SELECT debit_account, sum(amount - captured) AS held FROM ledger.holds WHERE state = 'open'
           GROUP BY debit_account) AS h ON h.debit_account = a.id
WHERE a.held <> coalesce(h.held, 0)
ORDER BY a.id LIMIT %(limit)s;

-- name: hold_differences
-- Holds whose captured amount is not what was transferred out of them, and transfers out of holds that do not exist.
SELECT coalesce(h.debit_account, t.account), coalesce(a.currency, '')::text, coalesce(h.id, t.hold),
       coalesce(h.captured, 0), coalesce(t.moved, 0)::bigint
FROM ledger.holds AS h
FULL JOIN (SELECT hold, (array_agg(debit_account))[1] AS account, sum(amount) AS moved FROM ledger.transfers
           WHERE hold IS NOT NULL GROUP BY hold) AS t ON t.hold = h.id
LEFT JOIN ledger.accounts AS a ON a.id = coalesce(h.debit_account, t.account)
WHERE coalesce(h.captured, 0) <> coalesce(t.moved, 0)
ORDER BY 3 LIMIT %(limit)s;

-- name: limit_breaches
-- Accounts below their lower limit.
SELECT id, currency::text, balance - held, lower_limit FROM ledger.accounts
WHERE lower_limit IS NOT NULL AND balance - held < lower_limit
ORDER BY id LIMIT %(limit)s;

-- name: day_differences
-- Accounts whose counted spending of their newest day is not what transfers and holds of that day add up to.
WITH counted AS (
    SELECT debit_account AS account, counted_day AS day, amount FROM ledger.transfers WHERE counted_day IS NOT NULL
    UNION ALL
    SELECT debit_account, counted_day, CASE state WHEN 'open' THEN amount ELSE captured END
    FROM ledger.holds WHERE counted_day IS NOT NULL
), sums AS (
    SELECT account, day, sum(amount) AS spent FROM counted GROUP BY account, day
)
SELECT a.id, a.currency::text, a.day_spent, coalesce(s.spent, 0)::bigint
FROM ledger.accounts AS a LEFT JOIN sums AS s ON s.account = a.id AND s.day = a.day
WHERE a.day_spent <> coalesce(s.spent, 0)
ORDER BY a.id LIMIT %(limit)s;

-- name: recomputed_totals
-- Per currency: stored balances of both sides, and the same from transfers.
WITH legs AS (
    SELECT debit_account AS account, -amount AS credit FROM ledger.transfers
    UNION ALL SELECT credit_account, amount FROM ledger.transfers
), sums AS (
    SELECT account, sum(credit) AS net FROM legs GROUP BY account
)
SELECT a.currency::text, count(*), coalesce(sum(a.balance) FILTER (WHERE a.side = 'debit'), 0)::bigint,
       coalesce(sum(a.balance) FILTER (WHERE a.side = 'credit'), 0)::bigint,
       coalesce(sum(-s.net) FILTER (WHERE a.side = 'debit'), 0)::bigint,
       coalesce(sum(s.net) FILTER (WHERE a.side = 'credit'), 0)::bigint
FROM ledger.accounts AS a LEFT JOIN sums AS s ON s.account = a.id
GROUP BY a.currency ORDER BY a.currency;

-- name: sides_before
-- Per currency: both sides as they were, from the transfers booked before a moment.
WITH legs AS (
    SELECT debit_account AS account, -amount AS credit FROM ledger.transfers WHERE booked_at < %(at)s
    UNION ALL SELECT credit_account, amount FROM ledger.transfers WHERE booked_at < %(at)s
), sums AS (
    SELECT account, sum(credit) AS net FROM legs GROUP BY account
)
SELECT a.currency::text, coalesce(sum(-s.net) FILTER (WHERE a.side = 'debit'), 0)::bigint,
       coalesce(sum(s.net) FILTER (WHERE a.side = 'credit'), 0)::bigint
FROM ledger.accounts AS a LEFT JOIN sums AS s ON s.account = a.id
GROUP BY a.currency ORDER BY a.currency;

-- name: count_transfers
-- How much was looked at.
SELECT count(*) FROM ledger.transfers;

-- name: long_statements
-- A full recomputation takes as long as it takes, and reads one snapshot.
SET LOCAL statement_timeout = 0;

-- name: one_snapshot
-- All checks see the same moment: payments go on meanwhile.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
