-- name: add_rule_set
-- A rule set seen for the first time gets a version; NOT EXISTS keeps known ones from using numbers up.
INSERT INTO risk.rule_sets (sha256, source, features, loaded_at)
SELECT %(sha256)s, %(source)s, %(features)s, %(at)s
WHERE NOT EXISTS (SELECT FROM risk.rule_sets WHERE sha256 = %(sha256)s)
ON CONFLICT (sha256) DO NOTHING;

-- name: rule_set_version
-- The version of a text.
SELECT version FROM risk.rule_sets WHERE sha256 = %(sha256)s;

-- name: activate
-- From now on this rule set decides; nothing is written, and nothing returned, if it does already.
INSERT INTO risk.activations (rule_set, at)
SELECT %(version)s, %(at)s
WHERE %(version)s IS DISTINCT FROM (SELECT rule_set FROM risk.activations ORDER BY id DESC LIMIT 1)
RETURNING id;

-- name: write_decisions
-- Receipts of a turn. Reasons come as one text a row: arrays within arrays cannot be unnested row by row.
INSERT INTO risk.decisions (id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude,
                            outcome, reasons, rule_set, features)
SELECT id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude,
       outcome, string_to_array(reasons, ','), %(rule_set)s, features
FROM unnest(%(ids)b::uuid[], %(ats)b::timestamptz[], %(kinds)b::text[], %(customers)b::uuid[], %(payees)b::uuid[],
            %(amounts)b::bigint[], %(currencies)b::text[], %(devices)b::text[], %(ips)b::text[],
            %(latitudes)b::float8[], %(longitudes)b::float8[], %(outcomes)b::text[], %(reasons)b::text[],
            %(features)b::bytea[])
     AS t (id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude, outcome, reasons, features);

-- name: write_labels
-- What payments turned out to be.
INSERT INTO risk.labels (payment, fraud, source, known_at, written_at)
SELECT payment, fraud, source, known_at, %(at)s
FROM unnest(%(payments)b::uuid[], %(frauds)b::boolean[], %(sources)b::text[], %(known)b::timestamptz[])
     AS t (payment, fraud, source, known_at);

-- name: receipt
-- One decision with the rule set that made it.
SELECT d.id, d.at, d.kind, d.customer, d.payee, d.amount, d.currency::text, d.device, d.ip, d.outcome, d.reasons,
       d.rule_set, s.source, s.features AS names, d.features
FROM risk.decisions d JOIN risk.rule_sets s ON s.version = d.rule_set
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

-- name: labelled
-- Which of these payments have a label from a source.
SELECT DISTINCT payment FROM risk.labels WHERE payment = ANY (%(payments)b::uuid[]) AND source = %(source)s;
