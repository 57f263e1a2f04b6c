-- name: open
-- Leave to look; an approval opens one.
INSERT INTO access.grants
    (id, person, purpose, reference, reason, rows, rows_left, opened_at, expires_at, approval)
VALUES (%(id)s, %(person)s, %(purpose)s, %(reference)s, %(reason)s, %(rows)s, %(rows)s, %(at)s, %(expires_at)s,
        %(approval)s)
ON CONFLICT (approval) DO NOTHING;

-- name: one_at_a_time
-- A person opens one after the other, until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('grants of ' || %(person)s::text, 0));

-- name: opened_alone
-- At how many people a person opened leave to look without a second person, lately; of what is over, only the looks.
SELECT coalesce(sum(CASE WHEN ended_at IS NULL AND expires_at > %(at)s THEN rows ELSE rows - rows_left END), 0)::bigint
FROM access.grants WHERE person = %(person)s AND approval IS NULL AND opened_at > %(since)s;

-- name: lock
-- A person's grant in force, for whoever spends of it: the others wait here.
SELECT id, person, purpose, reference, reason, rows, rows_left, opened_at, expires_at, ended_at, approval
FROM access.grants
WHERE id = %(id)s AND person = %(person)s AND ended_at IS NULL AND expires_at > %(at)s
FOR UPDATE;

-- name: looked_before
-- Whether the grant was spent on somebody already.
SELECT 1 FROM access.grant_subjects WHERE "grant" = %(id)s AND subject = %(subject)s;

-- name: look
-- Somebody whom the grant is spent on.
INSERT INTO access.grant_subjects ("grant", subject, at) VALUES (%(id)s, %(subject)s, %(at)s);

-- name: spend
-- One row of the budget; no budget goes below zero.
UPDATE access.grants SET rows_left = rows_left - 1 WHERE id = %(id)s AND rows_left > 0 RETURNING rows_left;

-- name: find
-- One grant.
SELECT id, person, purpose, reference, reason, rows, rows_left, opened_at, expires_at, ended_at, approval
FROM access.grants WHERE id = %(id)s;

-- name: of_person
-- The newest grants in force, of one person or of all.
SELECT id, person, purpose, reference, reason, rows, rows_left, opened_at, expires_at, ended_at, approval
FROM access.grants
WHERE (%(person)s::text IS NULL OR person = %(person)s) AND ended_at IS NULL AND expires_at > %(at)s
ORDER BY id DESC
LIMIT %(limit)s;

-- name: for_subject
-- A person's grants in force under which somebody may be looked at: spent on them before, or with something left.
SELECT id, person, purpose, reference, reason, rows, rows_left, opened_at, expires_at, ended_at, approval
FROM access.grants AS g
WHERE person = %(person)s AND ended_at IS NULL AND expires_at > %(at)s AND (
    rows_left > 0 OR EXISTS (SELECT FROM access.grant_subjects WHERE "grant" = g.id AND subject = %(subject)s)
)
ORDER BY id DESC;

-- name: end
-- No more looks under it.
UPDATE access.grants SET ended_at = %(at)s WHERE id = %(id)s AND ended_at IS NULL AND expires_at > %(at)s RETURNING id;
