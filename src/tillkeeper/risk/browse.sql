-- name: rule_sets
-- Rule sets in the order they last came into use, the active one first.
SELECT s.version, s.sha256, s.source, max(a.at) AS at
FROM risk.activations AS a JOIN risk.rule_sets AS s ON s.version = a.rule_set
GROUP BY s.version ORDER BY max(a.id) DESC LIMIT %(limit)s;

-- name: scan_end
-- The oldest of the newest `scan` decisions; no row when there are fewer.
SELECT id FROM risk.decisions ORDER BY id DESC OFFSET %(scan)s - 1 LIMIT 1;

-- name: decided
-- How many decisions there are, up to a bound.
SELECT count(*) FROM (SELECT FROM risk.decisions LIMIT %(scan)s) AS newest;

-- name: hits
-- How often each rule hit since an id.
SELECT rule, count(*) FROM risk.decisions, unnest(reasons) AS rule
WHERE id >= %(first)s AND reasons <> '{}' GROUP BY rule;

-- name: hit_by
-- The newest payments a rule hit, among the newest `scan` that any rule hit.
SELECT id FROM (
    SELECT id, reasons FROM risk.decisions WHERE reasons <> '{}' ORDER BY id DESC LIMIT %(scan)s
) AS hit
WHERE %(rule)s = ANY(reasons) ORDER BY id DESC LIMIT %(limit)s;

-- name: labels_of
-- What a payment was reported to be, the newest word first.
SELECT fraud, source, known_at FROM risk.labels WHERE payment = %(payment)s ORDER BY id DESC LIMIT %(limit)s;
