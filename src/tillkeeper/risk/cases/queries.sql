-- name: waiting
-- Alerts within the budget that belong to no case yet, the oldest first, locked; what another clerk has locked is in its case soon.
SELECT id, subject_kind, subject, at, currency::text
FROM risk.alerts WHERE queued AND case_id IS NULL AND id >= %(first)s
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: open_case
-- A case for a subject that has none open; nothing is returned where there is one.
INSERT INTO risk.cases (id, subject_kind, subject, state, severity, expected_loss, currency, alerts, opened_at, alerted_at, due_at)
VALUES (%(id)s, %(subject_kind)s, %(subject)s, 'open', 'low', 0, %(currency)s, 1, %(now)s, %(now)s, %(due_at)s)
ON CONFLICT (subject, subject_kind) WHERE state = 'open' DO NOTHING
RETURNING id;

-- name: lock_open
-- The subject's open case, locked.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases WHERE subject = %(subject)s AND subject_kind = %(subject_kind)s AND state = 'open' FOR UPDATE;

-- name: join_alerts
-- Alerts join a case: how many, the newest, and how much more may be lost by them. Each payment, login or signal counts once, by
-- the worst that was said of it; what was said before is looked up by it, so the size of the case does not matter (a signal says
-- but one thing of a subject).
WITH joined AS (
    UPDATE risk.alerts SET case_id = %(case_id)s WHERE id = ANY (%(alerts)b::uuid[])
    RETURNING coalesce(payment, login, signal) AS thing, at, expected_loss
), things AS (
    SELECT thing, count(*) AS alerts, max(at) AS newest, max(expected_loss) AS loss FROM joined GROUP BY thing
)
SELECT coalesce(sum(t.alerts), 0)::bigint, max(t.newest), coalesce(sum(greatest(t.loss - coalesce(before.loss, 0), 0)), 0)::bigint
FROM things AS t CROSS JOIN LATERAL (
    SELECT max(known.expected_loss) AS loss FROM (
        SELECT expected_loss FROM risk.alerts WHERE payment = t.thing AND case_id = %(case_id)s
        UNION ALL
        SELECT expected_loss FROM risk.alerts WHERE login = t.thing AND payment IS NULL AND case_id = %(case_id)s
    ) AS known
) AS before;

-- name: find_case
-- One case.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases WHERE id = %(id)s;

-- name: lock_case
-- One case, locked: whoever acts on it is alone with it.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases WHERE id = %(id)s FOR UPDATE;

-- name: keep_case
-- A case after an act.
UPDATE risk.cases
SET state = %(state)s, severity = %(severity)s, expected_loss = %(expected_loss)s, alerts = %(alerts)s, alerted_at = %(alerted_at)s,
    due_at = %(due_at)s, overdue_at = %(overdue_at)s, claimed_by = %(claimed_by)s, claimed_until = %(claimed_until)s,
    verdict = %(verdict)s, closed_by = %(closed_by)s, closed_at = %(closed_at)s
WHERE id = %(id)s;

-- name: note
-- What became of a case.
INSERT INTO risk.case_events (id, case_id, at, kind, person, detail)
VALUES (%(id)s, %(case_id)s, %(at)s, %(kind)s, %(person)s, %(detail)s);

-- name: add_verdict
-- What somebody decided.
INSERT INTO risk.case_verdicts (id, case_id, at, person, verdict, reason, payments)
VALUES (%(id)s, %(case_id)s, %(at)s, %(person)s, %(verdict)s, %(reason)s, %(payments)b);

-- name: decided_payments
-- Which of these payments risk decided about: only those can be labelled.
SELECT id FROM risk.decisions WHERE id = ANY (%(payments)b::uuid[]) AND (customer = %(subject)s OR payee = %(subject)s);

-- name: other_open
-- Whether the subject has an open case besides this one.
SELECT id FROM risk.cases
WHERE subject = %(subject)s AND subject_kind = %(subject_kind)s AND state = 'open' AND id <> %(id)s;

-- name: late
-- Open cases past their due time of which nobody was told, locked; what somebody else has locked is for the next look.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases WHERE state = 'open' AND overdue_at IS NULL AND due_at <= %(now)s
ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: queue_open
-- Open cases, the largest expected loss first.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases
WHERE state = 'open' AND (expected_loss, id) < (%(loss)s, %(before)s)
ORDER BY expected_loss DESC, id DESC LIMIT %(limit)s;

-- name: queue_free
-- Those that nobody works on.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases
WHERE state = 'open' AND (expected_loss, id) < (%(loss)s, %(before)s) AND (claimed_until IS NULL OR claimed_until <= %(now)s)
ORDER BY expected_loss DESC, id DESC LIMIT %(limit)s;

-- name: queue_mine
-- Those that one person works on.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases
WHERE state = 'open' AND (expected_loss, id) < (%(loss)s, %(before)s) AND claimed_by = %(person)s AND claimed_until > %(now)s
ORDER BY expected_loss DESC, id DESC LIMIT %(limit)s;

-- name: queue_late
-- Those past their due time.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases
WHERE state = 'open' AND (expected_loss, id) < (%(loss)s, %(before)s) AND due_at <= %(now)s
ORDER BY expected_loss DESC, id DESC LIMIT %(limit)s;

-- name: past
-- Decided cases, the newest decision first.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases
WHERE state = 'closed' AND (closed_at, id) < (%(closed_at)s, %(before)s)
ORDER BY closed_at DESC, id DESC LIMIT %(limit)s;

-- name: counts
-- The queue in figures, of at most `limit` cases.
SELECT count(*), count(*) FILTER (WHERE due_at <= %(now)s), count(*) FILTER (WHERE claimed_until > %(now)s),
       count(*) FILTER (WHERE claimed_until > %(now)s AND claimed_by = %(person)s)
FROM (SELECT due_at, claimed_by, claimed_until FROM risk.cases WHERE state = 'open' LIMIT %(limit)s) AS queue;

-- name: losses
-- What may be lost in the open cases, by currency, of at most `limit` cases: the largest.
SELECT currency::text, sum(expected_loss)::bigint
FROM (SELECT currency, expected_loss FROM risk.cases WHERE state = 'open' ORDER BY expected_loss DESC LIMIT %(limit)s) AS queue
GROUP BY currency;

-- name: count_late
-- How many open cases are past their due time, of at most `limit`.
SELECT count(*) FROM (
    SELECT FROM risk.cases WHERE state = 'open' AND due_at <= %(now)s LIMIT %(limit)s
) AS late;

-- name: count_open
-- How many cases are open, of at most `limit`.
SELECT count(*) FROM (SELECT FROM risk.cases WHERE state = 'open' LIMIT %(limit)s) AS queue;

-- name: alerts_of
-- What a case is made of, the largest expected loss first.
SELECT id, kind, at, payment, login, signal, outcome, reasons, amount, currency::text, probability_ppm, expected_loss
FROM risk.alerts WHERE case_id = %(case_id)s ORDER BY expected_loss DESC, id LIMIT %(limit)s;

-- name: payments_of
-- Whom the payments of a case's alerts were decided about, the newest first: for a merchant's case its payers.
SELECT d.id, d.customer, d.payee
FROM (
    SELECT DISTINCT payment FROM risk.alerts WHERE case_id = %(case_id)s AND payment IS NOT NULL
    ORDER BY payment DESC LIMIT %(limit)s
) AS newest JOIN risk.decisions AS d ON d.id = newest.payment
ORDER BY d.id DESC;

-- name: events_of
-- What became of a case, the newest last.
SELECT id, at, kind, person, detail FROM (
    SELECT id, at, kind, person, detail FROM risk.case_events WHERE case_id = %(case_id)s ORDER BY id DESC LIMIT %(limit)s
) AS newest ORDER BY id;

-- name: verdicts_of
-- What was decided about a case, the newest last.
SELECT id, at, person, verdict, reason, payments FROM (
    SELECT id, at, person, verdict, reason, payments FROM risk.case_verdicts
    WHERE case_id = %(case_id)s ORDER BY id DESC LIMIT %(limit)s
) AS newest ORDER BY id;

-- name: cases_of
-- The newest cases of a subject.
SELECT id, subject_kind, subject, state, severity, expected_loss, currency::text, alerts, opened_at, alerted_at, due_at, overdue_at,
       claimed_by, claimed_until, verdict, closed_by, closed_at
FROM risk.cases WHERE subject = %(subject)s ORDER BY id DESC LIMIT %(limit)s;

-- name: cases_of_payments
-- The case that each of these payments is in, the newest.
SELECT DISTINCT ON (payment) payment, case_id FROM risk.alerts
WHERE payment = ANY (%(payments)b::uuid[]) AND case_id IS NOT NULL ORDER BY payment, case_id DESC;

-- name: labels_of_payments
-- The newest word on each of these payments: fraud or not.
SELECT DISTINCT ON (payment) payment, fraud FROM risk.labels
WHERE payment = ANY (%(payments)b::uuid[]) ORDER BY payment, id DESC;

-- name: bypassed
-- Payments that were let through as a sample although a rule would have stopped them, by what would have been done: how many,
-- how many are known to be fraud or genuine, and the money of both; an earlier word on a payment gives way to a later one.
SELECT b.outcome, d.currency::text, count(*), count(*) FILTER (WHERE l.fraud), count(*) FILTER (WHERE NOT l.fraud),
       coalesce(sum(d.amount) FILTER (WHERE l.fraud), 0)::bigint, coalesce(sum(d.amount) FILTER (WHERE NOT l.fraud), 0)::bigint
FROM (SELECT payment, outcome FROM risk.bypasses WHERE payment >= %(first)s ORDER BY payment DESC LIMIT %(limit)s) AS b
JOIN risk.decisions AS d ON d.id = b.payment
LEFT JOIN LATERAL (SELECT fraud FROM risk.labels WHERE payment = b.payment ORDER BY id DESC LIMIT 1) AS l ON true
GROUP BY b.outcome, d.currency;
