-- name: is_there
-- Whether the table is there: whoever prepared it need not let us make one.
SELECT to_regclass('till_audit_anchors') IS NOT NULL;

-- name: make
-- The table in the other database. Grant the sealer INSERT and SELECT on it, nothing more.
CREATE TABLE IF NOT EXISTS till_audit_anchors (
    trail uuid, size bigint, head text NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (trail, size)
);

-- name: put
-- One head. One of this size that is there already stays: the first word counts.
INSERT INTO till_audit_anchors (trail, size, head) VALUES (%(trail)s, %(size)s, %(head)s) ON CONFLICT DO NOTHING;

-- name: last
-- The largest head of a trail.
SELECT size, head FROM till_audit_anchors WHERE trail = %(trail)s ORDER BY size DESC LIMIT 1;

-- name: heads
-- A batch of a trail's heads, the smallest first.
SELECT size, head FROM till_audit_anchors WHERE trail = %(trail)s AND size > %(after)s ORDER BY size LIMIT %(limit)s;
