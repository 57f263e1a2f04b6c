-- name: keep_partitions
-- See migrations/0017_monitoring.sql.
SELECT monitoring.keep_partitions_v1(%(moment)s::timestamptz);

-- name: all_series
-- Every series there is.
SELECT id, metric, labels::text FROM monitoring.series;

-- name: add_series
-- Series that are new; another process may have made them just now.
INSERT INTO monitoring.series (metric, labels)
SELECT * FROM unnest(%(metrics)b::text[], %(labels)b::text[]::jsonb[]) ON CONFLICT DO NOTHING;

-- name: add_samples
-- What was measured just now.
INSERT INTO monitoring.samples (series, at, value)
SELECT s, %(at)s, v FROM unnest(%(series)s::integer[], %(values)s::double precision[]) AS t (s, v)
ON CONFLICT DO NOTHING;

-- name: latest
-- The newest sample of every series that has one since a moment.
SELECT DISTINCT ON (series) s.metric, s.labels::text, n.at, n.value
FROM monitoring.samples AS n JOIN monitoring.series AS s ON s.id = n.series
WHERE n.at > %(since)s AND n.at <= %(until)s
ORDER BY series, n.at DESC;

-- name: stretch_of
-- What a metric was between two moments, over all its series: how many samples, lowest, highest, mean, and the last of
-- the series that is worst.
SELECT count(*)::integer, min(value), max(value), avg(value)
FROM monitoring.samples
WHERE series = ANY (%(series)s::integer[]) AND at > %(since)s AND at <= %(until)s;

-- name: series_of
-- The series of a metric.
SELECT id, labels::text FROM monitoring.series WHERE metric = %(metric)s;

-- name: means_of_slots
-- The mean of a metric in stretches of time, from roll-ups; how many samples each rests on.
SELECT t.place::integer, sum(r.total) / sum(r.samples), sum(r.samples)::bigint
FROM unnest(%(since)s::timestamptz[], %(until)s::timestamptz[]) WITH ORDINALITY AS t (since, until, place)
JOIN monitoring.rollups AS r ON r.at >= t.since AND r.at < t.until AND r.series = ANY (%(series)s::integer[])
GROUP BY t.place ORDER BY t.place;
