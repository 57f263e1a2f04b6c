-- name: is_there
-- Whether the table is there: whoever prepared it need not let us make one.
SELECT to_regclass('till_audit_anchors') IS NOT NULL;

-- name: make
-- The table in the other database. Grant the sealer INSERT and SELECT on it, nothing more.
CREATE TABLE IF NOT EXISTS till_audit_anchors (
    n bigint GENERATED ALWAYS AS IDENTITY, trail uuid NOT NULL, head text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (trail, n)
);

-- name: put
-- One head.
INSERT INTO till_audit_anchors (trail, head) VALUES (%(trail)s, %(head)s);

-- name: last
-- The last head of a trail.
SELECT n, head FROM till_audit_anchors WHERE trail = %(trail)s ORDER BY n DESC LIMIT 1;

-- name: heads
-- A batch of a trail's heads, in the order they came.
SELECT n, head FROM till_audit_anchors WHERE trail = %(trail)s AND n > %(after)s ORDER BY n LIMIT %(limit)s;
