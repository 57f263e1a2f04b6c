-- name: find_payments
-- A page of payments, newest first. Exactly one branch runs (`way`); each walks an index in the order of the ids and
-- stops after `scan` rows, so a filter that matches nothing cannot read the whole table.
SELECT id, kind, state, payer, payee, amount, currency::text, fee_bps, fee, captured, refunded, manual, risk, failure, hold,
       reference, note, event_at, created_at, changed_at, expires_at
FROM (
    (SELECT * FROM payments.payments
     WHERE %(way)s = 'time' AND id < %(before)s AND id >= %(since)s
     ORDER BY id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT * FROM payments.payments
     WHERE %(way)s = 'party' AND payer = %(party)s AND id < %(before)s AND id >= %(since)s
     ORDER BY id DESC LIMIT %(scan)s)
    UNION ALL
    -- A top-up or withdrawal has its owner on both sides: the branch above has it already.
    (SELECT * FROM payments.payments
     WHERE %(way)s = 'party' AND payee = %(party)s AND payer <> payee AND id < %(before)s AND id >= %(since)s
     ORDER BY id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT * FROM payments.payments
     WHERE %(way)s = 'reference' AND reference = %(reference)s AND id < %(before)s AND id >= %(since)s
     ORDER BY id DESC LIMIT %(scan)s)
    UNION ALL
    -- The list of states repeats the partial index's condition: without it a generic plan could not use the index.
    (SELECT * FROM payments.payments
     WHERE %(way)s = 'waiting' AND state IN ('pending', 'challenged', 'in_review', 'authorized')
       AND state = %(state)s AND id < %(before)s AND id >= %(since)s
     ORDER BY id DESC LIMIT %(scan)s)
) AS scanned
WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(risk)s::text IS NULL OR risk = %(risk)s)
  AND (%(failure)s::text IS NULL OR failure = %(failure)s)
  AND (%(party)s::uuid IS NULL OR payer = %(party)s OR payee = %(party)s)
  AND (%(reference)s::text IS NULL OR reference = %(reference)s)
  AND (%(currency)s::text IS NULL OR currency = %(currency)s)
  AND (%(least)s::bigint IS NULL OR amount >= %(least)s)
  AND (%(most)s::bigint IS NULL OR amount <= %(most)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: scan_end_of_time
-- Where a walk of `scan` rows over all payments ended; no row when it reached the end.
SELECT id FROM payments.payments
WHERE id < %(before)s AND id >= %(since)s
ORDER BY id DESC OFFSET %(scan)s - 1 LIMIT 1;

-- name: scan_end_of_waiting
-- Where a walk of `scan` rows over the payments waiting in one state ended; no row when it reached the end.
SELECT id FROM payments.payments
WHERE state IN ('pending', 'challenged', 'in_review', 'authorized')
  AND state = %(state)s AND id < %(before)s AND id >= %(since)s
ORDER BY id DESC OFFSET %(scan)s - 1 LIMIT 1;

-- name: scan_end_of_reference
-- Where a walk of `scan` rows over the payments with one reference ended; no row when it reached the end.
SELECT id FROM payments.payments
WHERE reference = %(reference)s AND id < %(before)s AND id >= %(since)s
ORDER BY id DESC OFFSET %(scan)s - 1 LIMIT 1;

-- name: scan_end_of_party
-- Where a walk of `scan` rows over one party's payments ended; no row when it reached the end.
SELECT id FROM (
    (SELECT id FROM payments.payments
     WHERE payer = %(party)s AND id < %(before)s AND id >= %(since)s
     ORDER BY id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT id FROM payments.payments
     WHERE payee = %(party)s AND payer <> payee AND id < %(before)s AND id >= %(since)s
     ORDER BY id DESC LIMIT %(scan)s)
) AS walked
ORDER BY id DESC OFFSET %(scan)s - 1 LIMIT 1;

-- name: payments_by_id
-- Some payments, newest first.
SELECT id, kind, state, payer, payee, amount, currency::text, fee_bps, fee, captured, refunded, manual, risk, failure, hold,
       reference, note, event_at, created_at, changed_at, expires_at
FROM payments.payments WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id DESC;

-- name: moves_of
-- A payment's changes of state, in order.
SELECT id, payment, from_state, to_state, amount, actor, reason, at
FROM payments.moves WHERE payment = %(id)s ORDER BY id LIMIT %(limit)s;

-- name: refunds_of
-- A payment's refunds, in order.
SELECT id, payment, amount, fee_returned, reason, created_at
FROM payments.refunds WHERE payment = %(id)s ORDER BY id LIMIT %(limit)s;

-- name: rail_attempts_of
-- What was asked of an external rail for a payment.
SELECT id, rail, direction, amount, currency::text, state, tries, due_at, answer, created_at
FROM payments.rail_attempts WHERE payment = %(id)s ORDER BY id LIMIT %(limit)s;

-- name: deliveries_of
-- Webhook messages about a payment.
SELECT d.id, e.url, d.topic, d.state, d.tries, d.due_at, d.last_answer, d.created_at
FROM payments.webhook_deliveries AS d JOIN payments.webhook_endpoints AS e ON e.id = d.endpoint
WHERE d.subject = %(id)s ORDER BY d.id LIMIT %(limit)s;

-- name: held
-- Payments that wait for a person, the longest waiting first.
SELECT id, kind, state, payer, payee, amount, currency::text, fee_bps, fee, captured, refunded, manual, risk, failure, hold,
       reference, note, event_at, created_at, changed_at, expires_at
FROM payments.payments
WHERE state IN ('pending', 'challenged', 'in_review', 'authorized') AND state = 'in_review' AND id > %(after)s
ORDER BY id LIMIT %(limit)s;

-- name: held_size
-- How many wait for a person (counted up to a bound) and since when.
SELECT count(*), min(created_at) FROM (
    SELECT created_at FROM payments.payments
    WHERE state IN ('pending', 'challenged', 'in_review', 'authorized') AND state = 'in_review'
    ORDER BY id LIMIT %(limit)s
) AS waiting;

-- name: wallets_of
-- The wallets of owners.
SELECT owner, currency::text, purpose, account FROM payments.wallets
WHERE owner = ANY(%(owners)s::uuid[]) ORDER BY owner, currency, purpose;

-- name: wallets_by_account
-- Whose wallets these ledger accounts are.
SELECT owner, currency::text, purpose, account FROM payments.wallets WHERE account = ANY(%(accounts)s::uuid[]);

-- name: currencies
-- The currencies in use: those the platform has accounts in.
SELECT DISTINCT currency::text FROM payments.wallets
WHERE owner = '00000000-0000-0000-0000-000000000000' ORDER BY 1;

-- name: counts
-- Payments per slot of `step` seconds since a moment: how many, and how much was taken, by state, decision and currency.
-- `first` and `last` bound the walk of the primary key. Ids are made before created_at is set, so `first` lies a little
-- before `since`, and created_at has the last word at both ends.
SELECT floor(extract(epoch FROM created_at))::bigint / %(step)s * %(step)s AS slot,
       state, risk, currency::text, count(*), sum(captured)::bigint
FROM payments.payments
WHERE id >= %(first)s AND id < %(last)s AND created_at >= %(since)s AND created_at < %(until)s
GROUP BY 1, 2, 3, 4;

-- name: ended_waits
-- The slots of arrival (from `since` to `until`) of payments that stopped waiting after `first`, a bound on moves' ids.
SELECT DISTINCT floor(extract(epoch FROM p.created_at))::bigint / %(step)s * %(step)s
FROM payments.moves AS m JOIN payments.payments AS p ON p.id = m.payment
WHERE m.id >= %(first)s AND m.from_state IN ('pending', 'challenged', 'in_review', 'authorized')
  AND p.created_at >= %(since)s AND p.created_at < %(until)s;

-- name: refusals
-- The newest payments that were declined or failed, among the newest `scan`.
SELECT id, kind, state, payer, payee, amount, currency::text, fee_bps, fee, captured, refunded, manual, risk, failure, hold,
       reference, note, event_at, created_at, changed_at, expires_at
FROM (
    SELECT * FROM payments.payments WHERE id > %(after)s ORDER BY id DESC LIMIT %(scan)s
) AS newest
WHERE state IN ('declined', 'failed')
ORDER BY id DESC LIMIT %(limit)s;

-- name: samples
-- What the api processes measured since a moment; several processes in one second stand together.
SELECT date_trunc('second', at) AS second, sum(payments)::bigint, max(p50_us), max(p99_us), max(max_us)
FROM payments.samples WHERE at >= %(since)s AND payments > 0
GROUP BY 1 ORDER BY 1;

-- name: qr_codes_of
-- A merchant's QR codes, newest first.
SELECT id, merchant, currency::text, amount, reference, created_at, expires_at, paid_by
FROM payments.qr_codes WHERE merchant = %(merchant)s ORDER BY id DESC LIMIT %(limit)s;

-- name: every_second
-- What the api processes measured in each second between two moments; several processes in one second stand together.
SELECT date_trunc('second', at) AS second, sum(asked)::bigint, sum(failed)::bigint, sum(payments)::bigint,
       sum(succeeded)::bigint, sum(waiting)::bigint, sum(declined)::bigint, sum(refused)::bigint, max(p50_us), max(p99_us)
FROM payments.samples WHERE at > %(since)s AND at <= %(until)s
GROUP BY 1 ORDER BY 1;

-- name: seconds_total
-- What the api processes counted between two moments, and how many seconds that were (of the busiest process).
SELECT coalesce(max(n), 0)::integer, coalesce(sum(asked), 0)::bigint, coalesce(sum(failed), 0)::bigint,
       coalesce(sum(answers), 0)::bigint, coalesce(sum(errors), 0)::bigint, coalesce(sum(payments), 0)::bigint,
       coalesce(sum(turns), 0)::bigint
FROM (SELECT count(*) AS n, sum(asked) AS asked, sum(failed) AS failed,
             sum(answers_2xx + answers_4xx + answers_5xx) AS answers, sum(answers_5xx) AS errors,
             sum(payments) AS payments, sum(turns) AS turns
      FROM payments.samples WHERE at > %(since)s AND at <= %(until)s GROUP BY process) AS each;

-- name: seconds_latency
-- How many commands were in each bucket of time to their answer, between two moments.
SELECT b.place::integer, sum(b.n)::bigint
FROM payments.samples, unnest(latency) WITH ORDINALITY AS b (n, place)
WHERE at > %(since)s AND at <= %(until)s AND b.n > 0
GROUP BY b.place;

-- name: seconds_queueing
-- The same of the time until their turn began.
SELECT b.place::integer, sum(b.n)::bigint
FROM payments.samples, unnest(queueing) WITH ORDINALITY AS b (n, place)
WHERE at > %(since)s AND at <= %(until)s AND b.n > 0
GROUP BY b.place;
