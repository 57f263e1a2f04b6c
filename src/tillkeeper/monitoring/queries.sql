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
-- What was measured just now, of series that there are; how many.
WITH added AS (
    INSERT INTO monitoring.samples (series, at, value)
    SELECT s.id, %(at)s, t.value
    FROM unnest(%(series)s::integer[], %(values)s::double precision[]) AS t (series, value)
    JOIN monitoring.series AS s ON s.id = t.series
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) FROM added;

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

-- name: rolled_up_to
-- The last stretch that is rolled up.
SELECT max(at) FROM monitoring.rollups;

-- name: first_sample
-- The oldest raw sample since a moment.
SELECT min(at) FROM monitoring.samples WHERE at >= %(since)s;

-- name: roll_up
-- Roll up whole stretches of time. What a counter rose by is the sum of its steps; after a restart it begins at 0 again.
INSERT INTO monitoring.rollups (series, at, samples, total, low, high, last)
SELECT series, slot, count(*), sum(CASE WHEN rises THEN step ELSE value END), min(value), max(value),
       (array_agg(value ORDER BY at DESC))[1]
FROM (
    SELECT n.series, n.at, n.value, s.metric = ANY (%(counters)s::text[]) AS rises,
           date_bin(%(seconds)s * interval '1 second', n.at, timestamptz 'epoch') AS slot,
           CASE WHEN n.value >= lag(n.value) OVER w THEN n.value - lag(n.value) OVER w
                WHEN lag(n.value) OVER w IS NULL THEN 0 ELSE n.value END AS step
    FROM monitoring.samples AS n JOIN monitoring.series AS s ON s.id = n.series
    WHERE n.at >= %(since)s - interval '5 minutes' AND n.at < %(until)s
    WINDOW w AS (PARTITION BY n.series ORDER BY n.at)
) AS steps
WHERE at >= %(since)s
GROUP BY series, slot
ON CONFLICT DO NOTHING;

-- name: points
-- A metric's series between two moments in stretches of `step` seconds: from raw samples.
SELECT s.labels::text, slot, count(*), sum(CASE WHEN %(counter)s THEN rise ELSE value END), min(value), max(value),
       (array_agg(value ORDER BY at DESC))[1]
FROM (
    SELECT series, at, value, date_bin(%(step)s * interval '1 second', at, timestamptz 'epoch') AS slot,
           CASE WHEN value >= lag(value) OVER w THEN value - lag(value) OVER w
                WHEN lag(value) OVER w IS NULL THEN 0 ELSE value END AS rise
    FROM monitoring.samples WHERE series = ANY (%(series)s::integer[]) AND at >= %(since)s AND at < %(until)s
    WINDOW w AS (PARTITION BY series ORDER BY at)
) AS n JOIN monitoring.series AS s ON s.id = n.series
GROUP BY s.labels, slot ORDER BY s.labels::text, slot;

-- name: long_points
-- The same from roll-ups.
SELECT s.labels::text, slot, sum(samples)::bigint, sum(total), min(low), max(high), (array_agg(last ORDER BY at DESC))[1]
FROM (
    SELECT r.*, date_bin(%(step)s * interval '1 second', at, timestamptz 'epoch') AS slot
    FROM monitoring.rollups AS r WHERE series = ANY (%(series)s::integer[]) AND at >= %(since)s AND at < %(until)s
) AS n JOIN monitoring.series AS s ON s.id = n.series
GROUP BY s.labels, slot ORDER BY s.labels::text, slot;
