-- name: wallets
-- Accounts of owners' wallets, in no order.
SELECT k.owner, k.currency, w.account
FROM unnest(%(owners)b::uuid[], %(currencies)b::text[]) AS k (owner, currency)
JOIN payments.wallets AS w ON w.owner = k.owner AND w.currency = k.currency::char(3) AND w.purpose = 'wallet';

-- name: wallets_of
-- All wallets of owners, by owner and currency.
SELECT owner, currency::text, purpose, account FROM payments.wallets
WHERE owner = ANY (%(owners)b::uuid[]) AND purpose = 'wallet' ORDER BY owner, currency LIMIT %(limit)s;

-- name: house
-- The platform's own accounts.
SELECT currency::text, purpose, account FROM payments.wallets
WHERE owner = '00000000-0000-0000-0000-000000000000';

-- name: lock_owner
-- One opening of an owner's wallets at a time: two together would pass the number allowed.
SELECT pg_advisory_xact_lock(hashtextextended(%(owner)s::uuid::text, 0));

-- name: keep_everybody
-- Whoever takes part now stays until the end of the transaction: nobody leaves for good meanwhile.
SELECT pg_advisory_xact_lock_shared(hashtext('payments.leaving'));

-- name: wait_briefly
-- So many milliseconds for each lock, until the end of the transaction.
SELECT set_config('lock_timeout', %(ms)s::text, true);

-- name: stop_turns
-- Turns under way end first, those of other processes too; the next begin when this transaction has ended.
SELECT pg_advisory_xact_lock(hashtext('payments.leaving'));

-- name: add_wallets
-- Bind accounts to owners; what is there already stays.
INSERT INTO payments.wallets (owner, currency, purpose, account, opened_at)
SELECT t.*, %(at)s FROM unnest(%(owners)b::uuid[], %(currencies)b::text[], %(purposes)b::text[], %(accounts)b::uuid[]) AS t
ON CONFLICT DO NOTHING RETURNING account;

-- name: lock_payments
-- Payments about to change, with the accounts of both sides. Locked by id, before any account is.
SELECT p.id, p.kind, p.state, p.payer, p.payee, p.amount, p.currency::text, p.fee_bps, p.fee, p.captured, p.refunded,
       p.manual, p.risk, p.failure, p.hold, p.reference, p.note, p.event_at, p.created_at, p.changed_at, p.expires_at,
       (SELECT w.account FROM payments.wallets AS w WHERE w.owner = p.payer AND w.currency = p.currency
         AND w.purpose = CASE p.kind WHEN 'top_up' THEN 'bank' ELSE 'wallet' END),
       (SELECT w.account FROM payments.wallets AS w WHERE w.owner = p.payee AND w.currency = p.currency
         AND w.purpose = CASE WHEN p.kind IN ('withdrawal', 'payout') THEN 'bank' ELSE 'wallet' END)
FROM payments.payments AS p WHERE p.id = ANY (%(ids)b::uuid[])
ORDER BY p.id FOR UPDATE OF p;

-- name: challenges
-- What challenged payments wait for.
SELECT payment, code_hash, tries FROM payments.challenges WHERE payment = ANY (%(ids)b::uuid[]);

-- name: lock_qr_codes
-- QR codes about to be paid; locked, so that a code with an amount is paid once.
SELECT id, merchant, currency::text, amount, reference, created_at, expires_at, paid_by
FROM payments.qr_codes WHERE id = ANY (%(ids)b::uuid[]) OR paid_by = ANY (%(paid_by)b::uuid[])
ORDER BY id FOR UPDATE;

-- name: qr_codes
-- QR codes by id.
SELECT id, merchant, currency::text, amount, reference, created_at, expires_at, paid_by
FROM payments.qr_codes WHERE id = ANY (%(ids)b::uuid[]);

-- name: add_qr_code
-- A code for a merchant to show.
INSERT INTO payments.qr_codes (id, merchant, currency, amount, reference, created_at, expires_at)
VALUES (%(id)s, %(merchant)s, %(currency)s, %(amount)s, %(reference)s, %(created_at)s, %(expires_at)s);

-- name: add_payments
-- New payment orders.
INSERT INTO payments.payments (id, kind, state, payer, payee, amount, currency, fee_bps, fee, captured, refunded, manual,
    risk, failure, hold, reference, note, event_at, created_at, changed_at, expires_at)
SELECT * FROM unnest(%(id)b::uuid[], %(kind)b::text[], %(state)b::text[], %(payer)b::uuid[], %(payee)b::uuid[],
    %(amount)b::bigint[], %(currency)b::text[], %(fee_bps)b::bigint[], %(fee)b::bigint[], %(captured)b::bigint[],
    %(refunded)b::bigint[], %(manual)b::boolean[], %(risk)b::text[], %(failure)b::text[], %(hold)b::uuid[],
    %(reference)b::text[], %(note)b::text[], %(event_at)b::timestamptz[], %(created_at)b::timestamptz[],
    %(changed_at)b::timestamptz[], %(expires_at)b::timestamptz[]);

-- name: change_payments
-- Payments that moved on. Their rows are locked by lock_payments.
UPDATE payments.payments AS p
SET state = t.state, fee = t.fee, captured = t.captured, refunded = t.refunded, failure = t.failure,
    changed_at = t.changed_at, expires_at = t.expires_at
FROM unnest(%(id)b::uuid[], %(state)b::text[], %(fee)b::bigint[], %(captured)b::bigint[], %(refunded)b::bigint[],
            %(failure)b::text[], %(changed_at)b::timestamptz[], %(expires_at)b::timestamptz[])
     AS t (id, state, fee, captured, refunded, failure, changed_at, expires_at)
WHERE p.id = t.id;

-- name: add_moves
-- Changes of state.
INSERT INTO payments.moves (id, payment, from_state, to_state, amount, actor, reason, at)
SELECT * FROM unnest(%(id)b::uuid[], %(payment)b::uuid[], %(from_state)b::text[], %(to_state)b::text[],
    %(amount)b::bigint[], %(actor)b::text[], %(reason)b::text[], %(at)b::timestamptz[]);

-- name: add_refunds
-- Money that went back.
INSERT INTO payments.refunds (id, payment, amount, fee_returned, reason, created_at)
SELECT * FROM unnest(%(id)b::uuid[], %(payment)b::uuid[], %(amount)b::bigint[], %(fee_returned)b::bigint[],
    %(reason)b::text[], %(created_at)b::timestamptz[]);

-- name: keep_challenges
-- New challenges, and the wrong tries of those that stand.
INSERT INTO payments.challenges (payment, code_hash, tries)
SELECT * FROM unnest(%(payment)b::uuid[], %(code_hash)b::bytea[], %(tries)b::bigint[])
ON CONFLICT (payment) DO UPDATE SET tries = excluded.tries;

-- name: add_rail_orders
-- What banks are to be asked.
INSERT INTO payments.rail_attempts (id, payment, rail, direction, amount, currency, instruction, due_at, created_at)
SELECT id, payment, rail, direction, amount, currency, instruction, due, at
FROM unnest(%(id)b::uuid[], %(payment)b::uuid[], %(rail)b::text[], %(direction)b::text[], %(amount)b::bigint[],
    %(currency)b::text[], %(instruction)b::text[], %(at)b::timestamptz[], %(due)b::timestamptz[])
    AS t (id, payment, rail, direction, amount, currency, instruction, at, due);

-- name: let_go_rail_orders
-- Orders that waited for a person: from now on the bank is asked, and its answer waited for.
UPDATE payments.rail_attempts SET due_at = %(at)s, created_at = %(at)s WHERE id = ANY (%(ids)b::uuid[]) AND state = 'due';

-- name: settle_rail_attempts
-- The bank's final words.
UPDATE payments.rail_attempts AS a
SET state = CASE WHEN t.accepted THEN 'accepted' ELSE 'rejected' END, answer = t.answer
FROM unnest(%(ids)b::uuid[], %(accepted)b::boolean[], %(answers)b::text[]) AS t (id, accepted, answer)
WHERE a.id = t.id;

-- name: mark_qr_codes
-- QR codes that were paid.
UPDATE payments.qr_codes AS q SET paid_by = t.payment
FROM unnest(%(ids)b::uuid[], %(payments)b::uuid[]) AS t (id, payment)
WHERE q.id = t.id;

-- name: free_qr_codes
-- QR codes whose payments came to nothing: they may be paid again. They are locked by lock_qr_codes.
UPDATE payments.qr_codes SET paid_by = NULL WHERE paid_by = ANY (%(payments)b::uuid[]);

-- name: payment
-- One payment.
SELECT id, kind, state, payer, payee, amount, currency::text, fee_bps, fee, captured, refunded, manual, risk, failure,
       hold, reference, note, event_at, created_at, changed_at, expires_at
FROM payments.payments WHERE id = %(id)s;

-- name: waiting_of
-- Payments from or to somebody that wait to be finished, oldest first.
SELECT id FROM payments.payments
WHERE (payer = %(party)s OR payee = %(party)s) AND state IN ('pending', 'challenged', 'in_review', 'authorized')
ORDER BY id;

-- name: refunds_of
-- Refunds of a payment, oldest first.
SELECT id, payment, amount, fee_returned, reason, created_at FROM payments.refunds
WHERE payment = %(payment)s ORDER BY id LIMIT %(limit)s;

-- name: add_sample
-- One second of an api process.
INSERT INTO payments.samples (at, process, asked, failed, answers_2xx, answers_4xx, answers_5xx, turns, payments, succeeded,
                              waiting, declined, refused, p50_us, p99_us, max_us, latency, queueing)
VALUES (%(at)s, %(process)s, %(asked)s, %(failed)s, %(answers_2xx)s, %(answers_4xx)s, %(answers_5xx)s, %(turns)s,
        %(payments)s, %(succeeded)s, %(waiting)s, %(declined)s, %(refused)s, %(p50_us)s, %(p99_us)s, %(max_us)s,
        %(latency)s::integer[], %(queueing)s::integer[]);
