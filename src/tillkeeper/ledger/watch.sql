-- name: one_snapshot
-- All parts of a look see the same moment: payments go on meanwhile.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: one_core
-- A look must cost what it takes and not the time of several processes.
SET LOCAL max_parallel_workers_per_gather = 0;

-- name: long_statements
-- To read every transfer takes as long as it takes.
SET LOCAL statement_timeout = 0;

-- name: snapshot
-- What this transaction sees, to be asked of a later one.
SELECT pg_snapshot_xmax(s)::text::bigint, array(SELECT x::text::bigint FROM pg_snapshot_xip(s) AS x)
FROM pg_current_snapshot() AS s;

-- name: standing
-- Per currency: credits less debits, the fingerprint of net balances (in two parts, so that no product overflows), and
-- accounts below their limit.
SELECT currency::text, sum(net), sum(weight * (net >> 31)), sum(weight * (net & 2147483647)), count(*), count(*) FILTER (WHERE below > 0),
       coalesce(sum(below) FILTER (WHERE below > 0), 0)
FROM (SELECT currency, uuid_hash_extended(id, 0) & 2147483647 AS weight,
             CASE side WHEN 'credit' THEN balance ELSE -balance END AS net, lower_limit - (balance - held) AS below
      FROM ledger.accounts) AS a
GROUP BY currency;

-- name: moved_since
-- Transfers that an earlier snapshot did not see, among ids from `lower` on: their number, what they add to the
-- fingerprint, and their payments. A transaction's full number is reckoned back from the present one.
SELECT count(*), coalesce(sum(turn * (amount >> 31)), 0), coalesce(sum(turn * (amount & 2147483647)), 0),
       coalesce(array_agg(DISTINCT payment), '{}')
FROM (SELECT amount, payment, (uuid_hash_extended(credit_account, 0) & 2147483647)
                              - (uuid_hash_extended(debit_account, 0) & 2147483647) AS turn,
             %(xmax)s::bigint - ((%(xmax)s::bigint - xmin::text::bigint) & 4294967295) AS xid
      FROM ledger.transfers WHERE id >= %(lower)s) AS t
WHERE xid >= %(before)s::bigint OR xid = ANY (%(open)s::bigint[]);

-- name: moved_ever
-- The fingerprint of all transfers.
SELECT count(*), coalesce(sum(turn * (amount >> 31)), 0), coalesce(sum(turn * (amount & 2147483647)), 0)
FROM (SELECT amount, (uuid_hash_extended(credit_account, 0) & 2147483647)
                     - (uuid_hash_extended(debit_account, 0) & 2147483647) AS turn
      FROM ledger.transfers) AS t;

-- name: changed_transfers
-- How many transfers were ever changed or deleted, by the server's count: it never rises.
SELECT n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relid = 'ledger.transfers'::regclass;

-- name: displaced
-- Accounts whose balance is not the one that their last transfer left, with what it should be.
SELECT a.id, a.currency::text, a.balance, coalesce(t.balance, 0)
FROM ledger.accounts AS a
LEFT JOIN LATERAL (
    (SELECT debit_balance AS balance FROM ledger.transfers WHERE debit_account = a.id AND debit_version = a.version)
    UNION ALL
    (SELECT credit_balance FROM ledger.transfers WHERE credit_account = a.id AND credit_version = a.version)
) AS t ON true
WHERE a.balance <> coalesce(t.balance, 0)
LIMIT %(limit)s;

-- name: booked_for
-- What the books say of payments: by kind of transfer how many and how much.
SELECT payment, kind, count(*), sum(amount)::bigint FROM ledger.transfers
WHERE payment = ANY (%(payments)b::uuid[]) GROUP BY payment, kind;

-- name: held_for
-- What the books hold for payments: how much was captured out of holds, and what is still held.
SELECT payment, sum(captured)::bigint, coalesce(sum(amount - captured) FILTER (WHERE state = 'open'), 0)::bigint
FROM ledger.holds WHERE payment = ANY (%(payments)b::uuid[]) GROUP BY payment;
