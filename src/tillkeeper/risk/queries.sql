-- name: hits_from
-- The last decisions from an id on, in order of arrival: when, and which rules counted.
SELECT id, at, reasons FROM risk.decisions WHERE id >= %(first)s ORDER BY id LIMIT %(count)s;

-- name: write_decisions
-- Receipts of a turn. Reasons and effects come as one text a row: arrays within arrays cannot be unnested row by row.
INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude,
                            outcome, reasons, rule_set, features, configuration, effects)
SELECT id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude,
       outcome, string_to_array(reasons, ','), rule_set, features, nullif(configuration, 0), string_to_array(effects, ',')
FROM unnest(%(ids)b::uuid[], %(ats)b::timestamptz[], %(kinds)b::text[], %(customers)b::uuid[], %(payees)b::uuid[],
            %(amounts)b::bigint[], %(currencies)b::text[], %(devices)b::text[], %(ips)b::text[],
            %(latitudes)b::float8[], %(longitudes)b::float8[], %(outcomes)b::text[], %(reasons)b::text[],
            %(rule_sets)b::integer[], %(features)b::bytea[], %(configurations)b::integer[], %(effects)b::text[])
     AS t (id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude, outcome, reasons, rule_set,
           features, configuration, effects);

-- name: write_bypasses
-- Would-be holds and challenges that were let through.
INSERT INTO risk.bypasses (payment, outcome, at)
SELECT payment, outcome, at FROM unnest(%(payments)b::uuid[], %(outcomes)b::text[], %(ats)b::timestamptz[])
     AS t (payment, outcome, at);

-- name: one_at_a_time
-- Writers of labels go one after the other, so that numbers are in the order of commits and readers miss none.
SELECT pg_advisory_xact_lock(hashtextextended('risk.labels', 0));

-- name: write_labels
-- What payments turned out to be.
INSERT INTO risk.labels (payment, fraud, source, known_at, written_at)
SELECT payment, fraud, source, known_at, %(at)s
FROM unnest(%(payments)b::uuid[], %(frauds)b::boolean[], %(sources)b::text[], %(known)b::timestamptz[])
     AS t (payment, fraud, source, known_at);

-- name: receipt
-- One decision with what it was made under.
SELECT d.id, d.at, d.kind, d.customer, d.payee, d.amount, d.currency::text, d.device, d.ip, d.outcome, d.reasons,
       d.rule_set, s.source, coalesce(c.columns, s.features) AS names, d.features, d.effects, d.configuration,
       c.champion, c.anomaly
FROM risk.decisions d
JOIN risk.rule_sets s ON s.version = d.rule_set
LEFT JOIN risk.configurations c ON c.version = d.configuration
WHERE d.id = %(payment)s;

-- name: oldest_of_last
-- The oldest event time among the last arrivals.
SELECT min(at) FROM (SELECT at FROM risk.decisions ORDER BY id DESC LIMIT %(count)s) AS last;

-- name: first_to_remember
-- The first arrival with an event time from a moment on. Nothing arrives before it happens, so the search may begin
-- at the ids of that moment: for live payments it ends there, for an old file it walks over what is too old.
SELECT id FROM risk.decisions WHERE id >= %(from_id)s AND at >= %(since)s ORDER BY id LIMIT 1;

-- name: attempts_from
-- A batch of history in order of arrival.
SELECT id, kind, at, customer, payee, amount, currency::text, device, ip, latitude, longitude
FROM risk.decisions WHERE id >= %(first)s ORDER BY id LIMIT %(count)s;

-- name: attempts_after
-- The next batch.
SELECT id, kind, at, customer, payee, amount, currency::text, device, ip, latitude, longitude
FROM risk.decisions WHERE id > %(last)s ORDER BY id LIMIT %(count)s;

-- name: labels_after
-- A batch of the labels of payments from an id on, in the order they were written.
SELECT id, payment, fraud FROM risk.labels
WHERE id > %(last)s AND payment >= %(first)s ORDER BY id LIMIT %(count)s;

-- name: labels_from
-- The next labels, in the order they were written.
SELECT id, payment, fraud FROM risk.labels WHERE id > %(last)s ORDER BY id LIMIT %(count)s;

-- name: last_label
-- The number of the last label.
SELECT coalesce(max(id), 0) FROM risk.labels;

-- name: labelled
-- Which of these payments have a label from a source.
SELECT DISTINCT payment FROM risk.labels WHERE payment = ANY (%(payments)b::uuid[]) AND source = %(source)s;
