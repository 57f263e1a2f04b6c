-- name: append
-- One act, in the transaction that does it.
INSERT INTO audit.events (id, actor, action, subject, reason, origin, result)
VALUES (%(id)s, %(actor)s, %(action)s, %(subject)s, %(reason)s, %(origin)s, %(result)s);

-- name: find_events
-- A page of events, newest first. Exactly one branch runs (`way`); each walks an index in the order of the ids and stops
-- after `scan` rows, so a filter that matches nothing cannot read the whole table. Pairs are compared and sorted by, not
-- columns: where one value is most of the table the planner would walk the primary key instead, and never stop.
SELECT e.id, e.at, e.actor, e.action, e.subject, e.reason, e.origin, e.result, l.seq
FROM (
    (SELECT * FROM audit.events
     WHERE %(way)s = 'time' AND id < %(before)s AND id >= %(from_id)s
     ORDER BY id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT * FROM audit.events
     WHERE %(way)s = 'actor' AND (actor, id) < (%(actor)s, %(before)s) AND (actor, id) >= (%(actor)s, %(from_id)s)
     ORDER BY actor DESC, id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT * FROM audit.events
     WHERE %(way)s = 'action' AND (action, id) < (%(action)s, %(before)s) AND (action, id) >= (%(action)s, %(from_id)s)
     ORDER BY action DESC, id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT * FROM audit.events
     WHERE %(way)s = 'subject' AND (subject, id) < (%(subject)s, %(before)s) AND (subject, id) >= (%(subject)s, %(from_id)s)
     ORDER BY subject DESC, id DESC LIMIT %(scan)s)
) AS e
LEFT JOIN audit.leaves AS l ON l.event = e.id
WHERE (%(actor)s::text IS NULL OR e.actor = %(actor)s)
  AND (%(action)s::text IS NULL OR e.action = %(action)s)
  AND (%(subject)s::text IS NULL OR e.subject = %(subject)s)
  AND (%(result)s::text IS NULL OR e.result = %(result)s)
  AND (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR e.at < %(until)s)
ORDER BY e.id DESC
LIMIT %(limit)s;

-- name: find_event
-- One event.
SELECT e.id, e.at, e.actor, e.action, e.subject, e.reason, e.origin, e.result, l.seq
FROM audit.events AS e LEFT JOIN audit.leaves AS l ON l.event = e.id
WHERE e.id = %(id)s;

-- name: scan_end
-- Where a walk of `scan` rows ended; no row when it reached the end.
SELECT id FROM (
    (SELECT id FROM audit.events
     WHERE %(way)s = 'time' AND id < %(before)s AND id >= %(from_id)s
     ORDER BY id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT id FROM audit.events
     WHERE %(way)s = 'actor' AND (actor, id) < (%(actor)s, %(before)s) AND (actor, id) >= (%(actor)s, %(from_id)s)
     ORDER BY actor DESC, id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT id FROM audit.events
     WHERE %(way)s = 'action' AND (action, id) < (%(action)s, %(before)s) AND (action, id) >= (%(action)s, %(from_id)s)
     ORDER BY action DESC, id DESC LIMIT %(scan)s)
    UNION ALL
    (SELECT id FROM audit.events
     WHERE %(way)s = 'subject' AND (subject, id) < (%(subject)s, %(before)s) AND (subject, id) >= (%(subject)s, %(from_id)s)
     ORDER BY subject DESC, id DESC LIMIT %(scan)s)
) AS walked
ORDER BY id DESC OFFSET %(scan)s - 1 LIMIT 1;

-- name: actions
-- The different actions, each found by one step in their index.
WITH RECURSIVE known AS (
    (SELECT action, 1 AS nth FROM audit.events ORDER BY action LIMIT 1)
    UNION ALL
    SELECT (SELECT action FROM audit.events WHERE action > known.action ORDER BY action LIMIT 1), nth + 1
    FROM known WHERE known.action IS NOT NULL AND nth < %(limit)s
)
SELECT action FROM known WHERE action IS NOT NULL;

-- name: last_of_actions
-- The newest event about each subject among those with one of two actions.
SELECT DISTINCT ON (subject) subject, action FROM audit.events
WHERE action = ANY (ARRAY[%(one)s, %(other)s]) ORDER BY subject, id DESC;
