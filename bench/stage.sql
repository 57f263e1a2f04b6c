-- name: add_customers
-- Many customers at once.
INSERT INTO parties.customers (id, name, created_at)
SELECT id, 'bench', %(at)s FROM unnest(%(ids)b::uuid[]) AS id;

-- name: add_merchants
-- Many merchants at once.
INSERT INTO parties.merchants (id, name, category, fee_bps, created_at)
SELECT id, 'bench', 'food', %(fee_bps)s, %(at)s FROM unnest(%(ids)b::uuid[]) AS id;

-- name: add_wallets
-- A wallet for each owner, by the accounts opened for them.
INSERT INTO payments.wallets (owner, currency, purpose, account, opened_at)
SELECT owner, 'CNY', 'wallet', account, %(at)s FROM unnest(%(owners)b::uuid[], %(accounts)b::uuid[]) AS t (owner, account);

-- name: bank
-- The platform's own account that money comes from.
SELECT account FROM payments.wallets
WHERE owner = '00000000-0000-0000-0000-000000000000' AND currency = 'CNY' AND purpose = 'bank';

-- name: committed
-- What is durable of a caller's payments: payments, and stored answers that say so.
SELECT (SELECT count(*) FROM payments.payments WHERE kind = 'payment'),
       (SELECT count(*) FROM store.idempotency WHERE principal = %(principal)s AND status = 201);

-- name: outcomes
-- Payments by state and decision.
SELECT state, risk, count(*) FROM payments.payments WHERE kind = 'payment' GROUP BY 1, 2;

-- name: statistics
-- Which plans to choose; so that no run depends on when autovacuum woke up.
VACUUM (ANALYZE);

-- name: checkpoint
-- Every run begins with clean pages.
CHECKPOINT;

-- name: displace
-- Money goes from one wallet to another, and no transfer says so.
UPDATE ledger.accounts AS a SET balance = balance + CASE WHEN place = 1 THEN %(amount)s ELSE -%(amount)s END
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM ledger.accounts WHERE purpose = 'wallet' ORDER BY id LIMIT 2) AS two
WHERE a.id = two.id;
