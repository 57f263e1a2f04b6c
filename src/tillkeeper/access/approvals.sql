-- name: one_at_a_time
-- Whoever asks about the same goes one after the other, until the end of the transaction.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: forget_waiting
-- Questions about the same that nobody answered in time wait no longer.
UPDATE access.approvals SET state = 'expired'
WHERE digest = %(digest)s AND state IN ('waiting', 'given') AND expires_at <= %(at)s;

-- name: forget_late
-- What nobody answered or used in time waits no longer.
UPDATE access.approvals SET state = 'expired' WHERE state IN ('waiting', 'given') AND expires_at <= %(at)s;

-- name: count_waiting
-- How many questions of one asker wait.
SELECT count(*) FROM access.approvals
WHERE state = 'waiting' AND expires_at > %(at)s
  AND asked_by = %(asked_by)s AND principal IS NOT DISTINCT FROM %(principal)s;

-- name: ask
-- A question, unless the same one waits: of two askers at once one gets the row.
INSERT INTO access.approvals
    (id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state)
VALUES (%(id)s, %(deed)s, %(subject)s, %(terms)s, %(digest)s, %(asked_by)s, %(principal)s, %(reason)s, %(origin)s,
        %(at)s, %(expires_at)s, 'waiting')
ON CONFLICT (digest, coalesce(principal, '00000000-0000-0000-0000-000000000000')) WHERE state = 'waiting' DO NOTHING
RETURNING id;

-- name: about
-- What was asked and answered about exactly the same by one asker, still in force, the newest first.
SELECT id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state, decided_by, decided_at,
       comment, used_at, used_for, outcome
FROM access.approvals
WHERE digest = %(digest)s AND principal IS NOT DISTINCT FROM %(principal)s
  AND (expires_at > %(at)s OR used_for = %(used_for)s)
ORDER BY id DESC
FOR UPDATE;

-- name: find
-- One approval.
SELECT id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state, decided_by, decided_at,
       comment, used_at, used_for, outcome
FROM access.approvals WHERE id = %(id)s;

-- name: lock
-- One approval, for whoever changes it: the others wait here.
SELECT id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state, decided_by, decided_at,
       comment, used_at, used_for, outcome
FROM access.approvals WHERE id = %(id)s
FOR UPDATE;

-- name: of_subject
-- What was ever asked about a thing, the newest first.
SELECT id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state, decided_by,
       decided_at, comment, used_at, used_for, outcome
FROM access.approvals
WHERE subject = %(subject)s
ORDER BY id DESC
LIMIT %(limit)s;

-- name: about_subjects
-- What waits for an answer or for being done, of one kind, about any of these things.
SELECT id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state, decided_by,
       decided_at, comment, used_at, used_for, outcome
FROM access.approvals
WHERE deed = %(deed)s AND subject = ANY(%(subjects)s) AND state IN ('waiting', 'given') AND expires_at > %(at)s
ORDER BY id;

-- name: open
-- What waits for an answer or for being done, the longest first.
SELECT id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state, decided_by, decided_at,
       comment, used_at, used_for, outcome
FROM access.approvals
WHERE state IN ('waiting', 'given') AND expires_at > %(at)s AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(limit)s;

-- name: past
-- What was answered or came to nothing, the newest question first.
SELECT id, deed, subject, terms, digest, asked_by, principal, reason, origin, asked_at, expires_at, state, decided_by, decided_at,
       comment, used_at, used_for, outcome
FROM access.approvals
WHERE NOT (state IN ('waiting', 'given') AND expires_at > %(at)s) AND (%(before)s::uuid IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: count_open
-- How many wait for an answer, up to a limit.
SELECT count(*) FROM (
    SELECT 1 FROM access.approvals WHERE state = 'waiting' AND expires_at > %(at)s LIMIT %(limit)s) AS waiting;

-- name: decide
-- An answer, or the end of a question without one.
UPDATE access.approvals
SET state = %(state)s, decided_by = %(decided_by)s, decided_at = %(at)s, comment = %(comment)s,
    expires_at = %(expires_at)s
WHERE id = %(id)s AND state = 'waiting'
RETURNING id;

-- name: void
-- What a person asked for and nobody has done yet is over.
UPDATE access.approvals SET state = 'stale'
WHERE asked_by = %(person)s AND principal IS NULL AND state IN ('waiting', 'given')
RETURNING id;

-- name: close
-- What was agreed to is done, or came to nothing.
UPDATE access.approvals
SET state = %(state)s, used_at = %(used_at)s, used_for = %(used_for)s, outcome = %(outcome)s
WHERE id = %(id)s AND state IN ('waiting', 'given')
RETURNING id;
