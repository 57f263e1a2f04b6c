-- name: alerts
-- Those that became no case, and those of cases that were decided long ago; the case with its verdict stays.
SELECT id FROM (
    (SELECT id FROM risk.alerts WHERE case_id IS NULL AND id < %(first)s ORDER BY id LIMIT %(limit)s)
    UNION ALL
    (SELECT a.id FROM risk.cases AS c JOIN risk.alerts AS a ON a.case_id = c.id
     WHERE c.state = 'closed' AND c.closed_at < %(before)s LIMIT %(limit)s)
) AS old LIMIT %(limit)s;

-- name: signals
-- Those that are over and about which no alert is kept.
SELECT s.id FROM risk.signals AS s
WHERE s.id < %(first)s AND s.over_at < %(before)s AND NOT EXISTS (SELECT FROM risk.alerts AS a WHERE a.signal = s.id)
ORDER BY s.id LIMIT %(limit)s;

-- name: backtests
-- Those of drafts; what a proposal was judged by stays with it.
SELECT b.id FROM risk.backtests AS b
WHERE b.state IN ('done', 'failed') AND b.ended_at < %(before)s AND NOT EXISTS (
    SELECT FROM risk.proposals AS p JOIN risk.rule_sets AS s ON s.version = p.rule_set
    WHERE sha256(convert_to(s.source, 'UTF8')) = b.rules_sha256
)
ORDER BY b.ended_at LIMIT %(limit)s;

-- name: shadow_scores
-- What models said about payments of long ago.
SELECT payment FROM risk.shadow_scores WHERE payment < %(first)s ORDER BY payment LIMIT %(limit)s;
