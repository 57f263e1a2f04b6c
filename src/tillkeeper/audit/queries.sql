-- name: append
-- One act, in the transaction that does it.
INSERT INTO audit.events (id, actor, action, subject, reason, origin, result)
VALUES (%(id)s, %(actor)s, %(action)s, %(subject)s, %(reason)s, %(origin)s, %(result)s);

-- name: of_subject
-- A page of the acts upon one subject, newest first.
SELECT id, at, actor, action, subject, reason, origin, result
FROM audit.events
WHERE subject = %(subject)s AND (%(cursor)s::uuid IS NULL OR id < %(cursor)s)
ORDER BY id DESC
LIMIT %(limit)s;
