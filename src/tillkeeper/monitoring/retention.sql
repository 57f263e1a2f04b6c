-- name: series
-- Those of which neither a sample nor a roll-up is left: roll-ups go after a year.
SELECT s.id FROM monitoring.series AS s
WHERE NOT EXISTS (SELECT FROM monitoring.rollups AS r WHERE r.series = s.id)
  AND NOT EXISTS (SELECT FROM monitoring.samples AS n WHERE n.series = s.id)
ORDER BY s.id LIMIT %(limit)s;

-- name: alerts
-- Those that are over.
SELECT id FROM monitoring.alerts WHERE state = 'resolved' AND resolved_at < %(before)s ORDER BY resolved_at LIMIT %(limit)s;

-- name: silences
-- Those that are over.
SELECT id FROM monitoring.silences WHERE until < %(before)s ORDER BY until LIMIT %(limit)s;
