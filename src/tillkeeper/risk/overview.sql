-- name: rule_tallies
-- What each rule hit in the newest `scan` decisions with a hit since an id: hits, what is known of them, what it hit alone.
WITH hit AS MATERIALIZED (
    SELECT id, reasons, amount, currency FROM risk.decisions
    WHERE reasons <> '{}' AND id >= %(first)s ORDER BY id DESC LIMIT %(scan)s
), known AS (
    SELECT DISTINCT ON (l.payment) l.payment, l.fraud
    FROM hit JOIN risk.labels AS l ON l.payment = hit.id ORDER BY l.payment, l.id DESC
)
SELECT rule, currency::text,
       count(*) AS hits,
       count(*) FILTER (WHERE fraud) AS frauds,
       count(*) FILTER (WHERE NOT fraud) AS honest,
       count(*) FILTER (WHERE cardinality(reasons) = 1) AS alone,
       count(*) FILTER (WHERE fraud AND cardinality(reasons) = 1) AS frauds_alone,
       count(*) FILTER (WHERE NOT fraud AND cardinality(reasons) = 1) AS honest_alone,
       coalesce(sum(amount) FILTER (WHERE fraud), 0)::bigint AS caught,
       coalesce(sum(amount) FILTER (WHERE fraud AND cardinality(reasons) = 1), 0)::bigint AS caught_alone
FROM hit LEFT JOIN known ON known.payment = hit.id CROSS JOIN unnest(reasons) AS rule
GROUP BY rule, currency;

-- name: hits_over_time
-- Decisions other than allow in the newest `scan` with a hit since an id, by slices of time.
SELECT floor(extract(epoch FROM at - %(since)s) / %(slice)s)::int AS slice, outcome, count(*)
FROM (
    SELECT at, outcome FROM risk.decisions
    WHERE reasons <> '{}' AND id >= %(first)s ORDER BY id DESC LIMIT %(scan)s
) AS hit
WHERE at >= %(since)s AND outcome <> 'allow'
GROUP BY 1, 2;

-- name: hits_end
-- Where a walk of `scan` hits ended; no row when it reached the start of the period.
SELECT id FROM risk.decisions
WHERE reasons <> '{}' AND id >= %(first)s ORDER BY id DESC OFFSET %(scan)s - 1 LIMIT 1;

-- name: places
-- Where the newest `scan` decisions since an id were made, in squares of `step` degrees, the fullest first.
SELECT floor(latitude / %(step)s)::int, floor(longitude / %(step)s)::int,
       count(*) AS decided, count(*) FILTER (WHERE outcome <> 'allow') AS stopped
FROM (
    SELECT latitude, longitude, outcome FROM risk.decisions
    WHERE id >= %(first)s ORDER BY id DESC LIMIT %(scan)s
) AS newest
WHERE latitude IS NOT NULL AND longitude IS NOT NULL
GROUP BY 1, 2 ORDER BY decided DESC LIMIT %(limit)s;

-- name: at_place
-- The newest decisions made in a square, among the newest `scan` since an id.
SELECT id FROM (
    SELECT id, latitude, longitude FROM risk.decisions
    WHERE id >= %(first)s ORDER BY id DESC LIMIT %(scan)s
) AS newest
WHERE floor(latitude / %(step)s)::int = %(latitude)s AND floor(longitude / %(step)s)::int = %(longitude)s
ORDER BY id DESC LIMIT %(limit)s;

-- name: scored
-- The values of the newest `scan` decisions since an id that were made with a fraud model, by configuration, and what is
-- known of each payment. Where the score stands among the values is the configuration's affair.
SELECT d.id, d.configuration, d.features,
       (SELECT l.fraud FROM risk.labels AS l WHERE l.payment = d.id ORDER BY l.id DESC LIMIT 1) AS fraud
FROM (
    SELECT id, configuration, features FROM risk.decisions
    WHERE id >= %(first)s AND configuration = ANY (%(configurations)s) ORDER BY id DESC LIMIT %(scan)s
) AS d;

-- name: scoring_configurations
-- The newest configurations under which a fraud model scored, and the names of their values.
SELECT version, columns FROM risk.configurations
WHERE champion IS NOT NULL AND 'model_score' = ANY (columns) ORDER BY version DESC LIMIT %(limit)s;

-- name: newest_verdicts
-- What is known of the payments that were spoken of last, each with its decision; the newest word about each counts.
SELECT d.id, l.fraud, l.known_at, d.outcome, d.amount, d.currency::text, d.customer
FROM (
    SELECT DISTINCT ON (payment) id, payment, fraud, known_at
    FROM (SELECT id, payment, fraud, known_at, written_at FROM risk.labels ORDER BY id DESC LIMIT %(scan)s) AS newest
    WHERE written_at >= %(since)s ORDER BY payment, id DESC
) AS l
JOIN risk.decisions AS d ON d.id = l.payment
ORDER BY l.id DESC;

-- name: listed
-- The newest entries of lists that are in force at a moment; with keys, only theirs.
SELECT l.list, l.entity, l.key, l.until, l.reason, l.author, l.at, l.ended FROM risk.listings AS l
WHERE NOT l.ended AND (l.until IS NULL OR l.until > %(at)s)
  AND (%(keys)s::text[] IS NULL OR (l.list = ANY (%(lists)s) AND l.entity = ANY (%(entities)s) AND l.key = ANY (%(keys)s)))
  AND NOT EXISTS (
      SELECT FROM risk.listings AS later
      WHERE later.list = l.list AND later.entity = l.entity AND later.key = l.key AND later.id > l.id
  )
ORDER BY l.id DESC LIMIT %(limit)s;
