-- name: snapshot
-- The first transaction that is not finished for everybody yet, and those under way.
SELECT pg_snapshot_xmax(s)::text::bigint AS next_xid, array(SELECT x::text::bigint FROM pg_snapshot_xip(s) AS x) AS open_xids
FROM pg_current_snapshot() AS s;

-- name: cursor
-- How far a reader has come.
SELECT at, next_xid, open_xids FROM risk.warning_cursors WHERE reader = %(reader)s;

-- name: move_cursor
-- A reader has come so far.
INSERT INTO risk.warning_cursors (reader, at, next_xid, open_xids)
VALUES (%(reader)s, %(at)s, %(next_xid)s, %(open_xids)s)
ON CONFLICT (reader) DO UPDATE SET at = excluded.at, next_xid = excluded.next_xid, open_xids = excluded.open_xids;

-- name: decisions_between
-- A page of the decisions that a snapshot saw (`next_xid`, `open_xids`) and an earlier one did not, in order of arrival. A
-- transaction's full number is reckoned back from the last before the snapshot; what so lies half of all numbers back committed
-- after it, and is for the next look. Of the values on the receipt six are wanted, each eight
-- bytes long, where what was decided under has them.
WITH places AS MATERIALIZED (
    SELECT version, 8 * array_position(columns, 'model_score') - 7 AS score,
           8 * array_position(columns, 'device_age_s') - 7 AS age,
           8 * array_position(columns, 'customer_devices_30d') - 7 AS devices,
           8 * array_position(columns, 'payee_new') - 7 AS payee_new,
           8 * array_position(columns, 'customer_count_30d') - 7 AS count_30d,
           8 * array_position(columns, 'payee_count_30d') - 7 AS payee_count_30d
    FROM risk.configurations
), numbered AS (
    SELECT d.*, %(next_xid)s::bigint - 1 - ((%(next_xid)s::bigint - 1 - xmin::text::bigint) & 4294967295) AS xid
    FROM risk.decisions AS d WHERE d.id > %(after)s
)
SELECT n.id, n.at, n.kind, n.customer, n.payee, n.amount, n.currency::text, n.device, n.ip, n.outcome, n.reasons, n.rule_set,
       substring(n.features FROM p.score FOR 8), substring(n.features FROM p.age FOR 8),
       substring(n.features FROM p.devices FOR 8), substring(n.features FROM p.payee_new FOR 8),
       substring(n.features FROM p.count_30d FOR 8), substring(n.features FROM p.payee_count_30d FOR 8)
FROM numbered AS n LEFT JOIN places AS p ON p.version = n.configuration
WHERE (n.xid >= %(before)s::bigint OR n.xid = ANY (%(open_before)s::bigint[])) AND n.xid <> ALL (%(open_xids)s::bigint[])
  AND n.xid > %(next_xid)s::bigint - 2147483648
ORDER BY n.id LIMIT %(limit)s;

-- name: logins_between
-- The same of tries to log in.
WITH numbered AS (
    SELECT l.*, %(next_xid)s::bigint - 1 - ((%(next_xid)s::bigint - 1 - xmin::text::bigint) & 4294967295) AS xid
    FROM risk.logins AS l WHERE l.id > %(after)s
)
SELECT id, at, customer, succeeded, outcome, score, reasons, ip, network, device
FROM numbered
WHERE (xid >= %(before)s::bigint OR xid = ANY (%(open_before)s::bigint[])) AND xid <> ALL (%(open_xids)s::bigint[])
  AND xid > %(next_xid)s::bigint - 2147483648
ORDER BY id LIMIT %(limit)s;

-- name: labels_between
-- The same of labels, with what was decided about their payments.
WITH numbered AS (
    SELECT l.*, %(next_xid)s::bigint - 1 - ((%(next_xid)s::bigint - 1 - xmin::text::bigint) & 4294967295) AS xid
    FROM risk.labels AS l WHERE l.id > %(after)s
)
SELECT n.id, n.payment, n.known_at, n.fraud, d.amount, d.currency::text, d.reasons
FROM numbered AS n JOIN risk.decisions AS d ON d.id = n.payment
WHERE (n.xid >= %(before)s::bigint OR n.xid = ANY (%(open_before)s::bigint[])) AND n.xid <> ALL (%(open_xids)s::bigint[])
  AND n.xid > %(next_xid)s::bigint - 2147483648
ORDER BY n.id LIMIT %(limit)s;

-- name: last_label
-- The number of the newest label.
SELECT coalesce(max(id), 0) FROM risk.labels;

-- name: nth_newest_decision
-- Where the newest `count` decisions begin; no row where there are fewer.
SELECT id FROM risk.decisions ORDER BY id DESC OFFSET %(count)s LIMIT 1;

-- name: nth_newest_login
-- Where the newest `count` logins begin; no row where there are fewer.
SELECT id FROM risk.logins ORDER BY id DESC OFFSET %(count)s LIMIT 1;

-- name: precision
-- Of each rule: how many of the newest labels are about payments it hit, and how many of those say fraud.
SELECT rule, count(*) FILTER (WHERE l.fraud), count(*)
FROM (SELECT payment, fraud FROM risk.labels ORDER BY id DESC LIMIT %(limit)s) AS l
JOIN risk.decisions AS d ON d.id = l.payment AND d.reasons <> '{}', unnest(d.reasons) AS rule
GROUP BY rule;

-- name: trips
-- The newest breakers that opened since a moment, one a rule.
SELECT DISTINCT ON (rule) rule, hits, at_most, within_s, at
FROM (SELECT * FROM risk.trips ORDER BY id DESC LIMIT %(limit)s) AS t
WHERE at > %(since)s ORDER BY rule, at DESC;

-- name: hours
-- What streams counted in the hours since a moment, the oldest first.
SELECT stream, hour, trials, hits FROM risk.stream_hours WHERE hour >= %(since)s ORDER BY hour;

-- name: add_hours
-- What streams counted in hours that have ended.
INSERT INTO risk.stream_hours (stream, hour, trials, hits)
SELECT * FROM unnest(%(streams)b::text[], %(hours)b::timestamptz[], %(trials)b::bigint[], %(hits)b::bigint[])
ON CONFLICT DO NOTHING;

-- name: forget_hours
-- Hours that are too old to say what is usual.
DELETE FROM risk.stream_hours WHERE hour < %(before)s;

-- name: open_signals
-- What lasts, the newest first.
SELECT id, kind, about_kind, about, severity, direction, begun_at, found_at, seen_at, over_at, value, usual, log_e, log_bound,
       events, money, currency::text, evidence
FROM risk.signals WHERE over_at IS NULL ORDER BY id DESC LIMIT %(limit)s;

-- name: past_signals
-- What is over, the newest first.
SELECT id, kind, about_kind, about, severity, direction, begun_at, found_at, seen_at, over_at, value, usual, log_e, log_bound,
       events, money, currency::text, evidence
FROM risk.signals WHERE over_at IS NOT NULL ORDER BY id DESC LIMIT %(limit)s;

-- name: signal
-- One signal.
SELECT id, kind, about_kind, about, severity, direction, begun_at, found_at, seen_at, over_at, value, usual, log_e, log_bound,
       events, money, currency::text, evidence
FROM risk.signals WHERE id = %(id)s;

-- name: add_signal
-- A signal that begins.
INSERT INTO risk.signals (id, kind, about_kind, about, severity, direction, begun_at, found_at, seen_at, value, usual, log_e,
                          log_bound, events, money, currency, evidence)
VALUES (%(id)s, %(kind)s, %(about_kind)s, %(about)s, %(severity)s, %(direction)s, %(begun_at)s, %(found_at)s, %(seen_at)s,
        %(value)s::double precision, %(usual)s::double precision, %(log_e)s::double precision, %(log_bound)s::double precision,
        %(events)s, %(money)s, %(currency)s, %(evidence)s::json)
ON CONFLICT DO NOTHING RETURNING id;

-- name: see_signal
-- A signal as it is now.
UPDATE risk.signals SET severity = %(severity)s, seen_at = %(seen_at)s, value = %(value)s::double precision,
    usual = %(usual)s::double precision, log_e = %(log_e)s::double precision, events = %(events)s, money = %(money)s,
    evidence = %(evidence)s::json
WHERE id = %(id)s AND over_at IS NULL;

-- name: end_signals
-- Signals that are over.
UPDATE risk.signals SET over_at = %(at)s WHERE id = ANY (%(ids)b::uuid[]) AND over_at IS NULL;

-- name: add_alerts
-- Alerts, each once for what it is about.
INSERT INTO risk.alerts (id, kind, subject_kind, subject, at, found_at, payment, login, signal, outcome, reasons, amount, currency,
                         probability_ppm, expected_loss, queued)
SELECT id, kind, subject_kind, subject, at, %(found_at)s, payment, login, signal, outcome,
       string_to_array(reasons, ','), amount, %(currency)s, ppm, loss, queued
FROM unnest(%(ids)b::uuid[], %(kinds)b::text[], %(subject_kinds)b::text[], %(subjects)b::uuid[], %(ats)b::timestamptz[],
            %(payments)b::uuid[], %(logins)b::uuid[], %(signals)b::uuid[], %(outcomes)b::text[], %(reasons)b::text[],
            %(amounts)b::bigint[], %(ppms)b::integer[], %(losses)b::bigint[], %(queued)b::boolean[])
     AS t (id, kind, subject_kind, subject, at, payment, login, signal, outcome, reasons, amount, ppm, loss, queued)
ON CONFLICT DO NOTHING;

-- name: alerts_since
-- Alerts since an id, the oldest first: for the budget.
SELECT subject, expected_loss, found_at, queued FROM risk.alerts WHERE id >= %(first)s ORDER BY id LIMIT %(limit)s;

-- name: alerts_counted
-- How many alerts since an id are within the budget and below it.
SELECT count(*) FILTER (WHERE queued), count(*) FILTER (WHERE NOT queued) FROM risk.alerts WHERE id >= %(first)s;

-- name: alerts_ranked
-- Alerts since an id, those with the most to lose first; within the budget or below it.
SELECT id, kind, subject_kind, subject, at, found_at, payment, login, signal, outcome, reasons, amount, currency::text,
       probability_ppm, expected_loss, queued
FROM risk.alerts WHERE id >= %(first)s AND queued = %(queued)s ORDER BY expected_loss DESC, id DESC LIMIT %(limit)s;

-- name: alerts_of_signal
-- Whom a signal alerted about.
SELECT id, kind, subject_kind, subject, at, found_at, payment, login, signal, outcome, reasons, amount, currency::text,
       probability_ppm, expected_loss, queued
FROM risk.alerts WHERE signal = %(signal)s ORDER BY expected_loss DESC, id LIMIT %(limit)s;

-- name: draw_up
-- Take alerts below the budget into it: somebody has time.
UPDATE risk.alerts SET queued = true WHERE id = ANY (%(ids)b::uuid[]) AND NOT queued RETURNING id;

-- name: add_remedy
-- A rule that the machine proposes against a signal.
INSERT INTO risk.remedies (id, signal, at, name, rule, until)
VALUES (%(id)s, %(signal)s, %(at)s, %(name)s, %(rule)s, %(until)s);

-- name: remedies
-- What was proposed against some signals.
SELECT id, signal, at, name, rule, until FROM risk.remedies WHERE signal = ANY (%(signals)b::uuid[]) ORDER BY id;

-- name: add_act
-- What a person did about a signal.
INSERT INTO risk.signal_acts (id, signal, at, person, act, reason, proposal)
VALUES (%(id)s, %(signal)s, %(at)s, %(person)s, %(act)s, %(reason)s, %(proposal)s);

-- name: acts
-- What people did about some signals, in order.
SELECT signal, at, person, act, reason, proposal FROM risk.signal_acts
WHERE signal = ANY (%(signals)b::uuid[]) ORDER BY id;

-- name: signals_counted
-- How many signals last.
SELECT count(*) FROM risk.signals WHERE over_at IS NULL;
