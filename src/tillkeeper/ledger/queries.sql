-- name: post
-- The batch; see migrations/0008_ledger_post_v1.sql for the contract.
SELECT ledger.post_v1(
    %(ids)b::uuid[], %(ops)b::smallint[], %(accounts)b::uuid[], %(debits)b::integer[], %(credits)b::integer[],
    %(amounts)b::bigint[], %(kinds)b::text[], %(payments)b::uuid[], %(holds)b::uuid[], %(reverses)b::uuid[],
    %(linked)b::boolean[], %(events)b::timestamptz[], %(expires)b::timestamptz[], %(days)b::date[],
    %(booked)s::timestamptz);

-- name: open
-- New accounts.
SELECT ledger.open_v1(%(ids)b::uuid[], %(currencies)b::text[], %(sides)b::text[], %(purposes)b::text[],
                      %(lower_limits)b::bigint[], %(day_limits)b::bigint[], %(opened)s::timestamptz);

-- name: limit_day
-- What may leave an account in a day.
SELECT ledger.limit_day_v1(%(account)s::uuid, %(limit)s::bigint);

-- name: accounts
-- Accounts as they are now, in no order.
SELECT id, currency::text, side, purpose, lower_limit, day_limit, balance, held, version, day, day_spent, opened_at
FROM ledger.accounts WHERE id = ANY (%(ids)b::uuid[]);

-- name: balance_booked_by
-- The running balance of the last transfer booked up to a moment, on either side.
SELECT balance FROM (
    (SELECT debit_balance AS balance, debit_version AS version FROM ledger.transfers
      WHERE debit_account = %(account)s AND booked_at <= %(at)s ORDER BY debit_version DESC LIMIT 1)
    UNION ALL
    (SELECT credit_balance, credit_version FROM ledger.transfers
      WHERE credit_account = %(account)s AND booked_at <= %(at)s ORDER BY credit_version DESC LIMIT 1)
) AS last ORDER BY version DESC LIMIT 1;

-- name: credits_less_debits_by_event
-- What happened on an account up to a moment by event time, however late it was booked.
SELECT coalesce(sum(CASE WHEN credit_account = %(account)s THEN amount ELSE -amount END), 0)::bigint
FROM ledger.transfers
WHERE (debit_account = %(account)s OR credit_account = %(account)s) AND event_at <= %(at)s;

-- name: statement
-- An account's transfers, newest first, before a version.
SELECT * FROM (
    (SELECT id, debit_account, credit_account, amount, kind, payment, debit_balance AS balance, event_at, booked_at,
            debit_version AS version FROM ledger.transfers
      WHERE debit_account = %(account)s AND debit_version < %(before)s ORDER BY debit_version DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT id, debit_account, credit_account, amount, kind, payment, credit_balance, event_at, booked_at,
            credit_version FROM ledger.transfers
      WHERE credit_account = %(account)s AND credit_version < %(before)s ORDER BY credit_version DESC LIMIT %(limit)s)
) AS lines ORDER BY version DESC LIMIT %(limit)s;

-- name: transfers_of
-- All transfers of a payment, in the order they were booked.
SELECT id, debit_account, credit_account, amount, kind, payment, hold, reverses, debit_balance, credit_balance,
       event_at, booked_at
FROM ledger.transfers WHERE payment = %(payment)s ORDER BY booked_at, id LIMIT 1000;

-- name: holds_of
-- All holds of a payment.
SELECT id, debit_account, credit_account, amount, captured, state, payment, expires_at, held_at, closed_at
FROM ledger.holds WHERE payment = %(payment)s ORDER BY held_at LIMIT 100;

-- name: totals
-- Per currency: what the two sides add up to. They are equal, always.
SELECT currency::text, coalesce(sum(balance) FILTER (WHERE side = 'debit'), 0)::bigint AS debit_side,
       coalesce(sum(balance) FILTER (WHERE side = 'credit'), 0)::bigint AS credit_side, count(*)
FROM ledger.accounts GROUP BY currency ORDER BY currency;
