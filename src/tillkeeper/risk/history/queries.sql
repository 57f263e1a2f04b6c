-- name: first_since
-- The first arrival with an event time from a moment on. Nothing arrives before it happens, so the search may begin
-- at the ids of that moment.
SELECT id FROM risk.decisions WHERE id >= %(from_id)s AND at >= %(since)s ORDER BY id LIMIT 1;

-- name: payments_from
-- The next payments in order of arrival, as columns: what has one width is packed in its binary form, so that a
-- thousand rows cost little more than one.
SELECT count(*)::bigint,
       string_agg(uuid_send(id), ''), string_agg(timestamptz_send(at), ''), array_agg(kind),
       string_agg(uuid_send(customer), ''), string_agg(uuid_send(payee), ''), string_agg(int8send(amount), ''),
       array_agg(currency::text), array_agg(device), array_agg(ip),
       string_agg(float8send(coalesce(latitude, 'NaN')), ''), string_agg(float8send(coalesce(longitude, 'NaN')), '')
FROM (SELECT id, at, kind, customer, payee, amount, currency, device, ip, latitude, longitude
      FROM risk.decisions WHERE id >= %(first)s AND id > %(after)s ORDER BY id LIMIT %(count)s) AS next;

-- name: verdicts_of
-- The labels of a range of payments, in the order they were written, as columns.
SELECT string_agg(uuid_send(payment), ''), string_agg(timestamptz_send(known_at), ''), string_agg(boolsend(fraud), '')
FROM (SELECT payment, known_at, fraud FROM risk.labels
      WHERE payment BETWEEN %(first)s AND %(last)s ORDER BY id) AS found;

-- name: span
-- Event times of the first and the last arrival.
SELECT (SELECT at FROM risk.decisions ORDER BY id LIMIT 1) AS first,
       (SELECT at FROM risk.decisions ORDER BY id DESC LIMIT 1) AS last;

-- name: reported_until
-- The latest moment of which anything was heard: a payment made, or a label known, among the last ones written.
SELECT greatest((SELECT at FROM risk.decisions ORDER BY id DESC LIMIT 1),
                (SELECT max(known_at) FROM (SELECT known_at FROM risk.labels ORDER BY id DESC LIMIT 1000) AS last)) AS at;
