-- name: outbox
-- The oldest news, if every reader is past them.
SELECT o.id FROM (SELECT id, xid, at FROM store.outbox ORDER BY id LIMIT %(limit)s) AS o
WHERE o.at < %(before)s AND NOT EXISTS (SELECT FROM store.cursors AS c WHERE (c.xid, c.id) < (o.xid, o.id));
