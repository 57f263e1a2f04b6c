-- name: count_minutes
-- What objectives counted in a minute more.
INSERT INTO monitoring.objective_minutes AS m (objective, minute, good, total, blind, seen_at)
SELECT * FROM unnest(%(objectives)s::text[], %(minutes)s::timestamptz[], %(goods)s::bigint[], %(totals)s::bigint[],
                     %(blinds)s::int[], %(seen)s::timestamptz[])
ON CONFLICT (objective, minute) DO UPDATE SET good = m.good + excluded.good, total = m.total + excluded.total,
    blind = m.blind + excluded.blind, seen_at = greatest(m.seen_at, excluded.seen_at);

-- name: counted_until
-- Until when objectives have counted.
SELECT max(seen_at) FROM monitoring.objective_minutes WHERE minute >= %(since)s;

-- name: counted_windows
-- What each objective counted since each of some moments.
SELECT o.objective, w.since, coalesce(sum(m.good), 0)::bigint, coalesce(sum(m.total), 0)::bigint, coalesce(sum(m.blind), 0)::bigint
FROM unnest(%(objectives)s::text[]) AS o (objective)
CROSS JOIN unnest(%(since)s::timestamptz[]) AS w (since)
LEFT JOIN monitoring.objective_minutes AS m ON m.objective = o.objective AND m.minute >= w.since
GROUP BY o.objective, w.since;

-- name: standings
-- How every rule stands.
SELECT rule, labels, verdict, since, at, value, bound FROM monitoring.standings ORDER BY rule, labels;

-- name: keep_standings
-- How rules stand now.
INSERT INTO monitoring.standings AS s (rule, labels, verdict, since, at, value, bound)
SELECT * FROM unnest(%(rules)s::text[], %(labels)s::text[], %(verdicts)s::text[], %(since)s::timestamptz[],
                     %(at)s::timestamptz[], %(values)s::float8[], %(bounds)s::float8[])
ON CONFLICT (rule, labels) DO UPDATE SET verdict = excluded.verdict, since = excluded.since, at = excluded.at,
    value = excluded.value, bound = excluded.bound;

-- name: forget_standings
-- Instances that nobody judged any more.
DELETE FROM monitoring.standings WHERE at < %(before)s;

-- name: open_alerts
-- What lasts, the newest first; locked against people who act on it at the same time.
SELECT id, rule, labels, severity, state, cause, value, bound, fired_at, told_at, acknowledged_by, silenced_until, resolved_at
FROM monitoring.alerts WHERE state <> 'resolved' ORDER BY id DESC LIMIT %(limit)s FOR UPDATE;

-- name: show_alerts
-- What lasts, pages first, then the newest first.
SELECT id, rule, labels, severity, state, cause, value, bound, fired_at, told_at, acknowledged_by, silenced_until, resolved_at
FROM monitoring.alerts WHERE state <> 'resolved'
ORDER BY array_position(ARRAY['page', 'ticket', 'info'], severity), id DESC LIMIT %(limit)s;

-- name: count_firing
-- How many fire and nobody has acknowledged them.
SELECT count(*) FROM (SELECT FROM monitoring.alerts WHERE state = 'firing' LIMIT %(limit)s) AS firing;

-- name: past_alerts
-- What ended since a moment, the newest end first.
SELECT id, rule, labels, severity, state, cause, value, bound, fired_at, told_at, acknowledged_by, silenced_until, resolved_at
FROM monitoring.alerts WHERE state = 'resolved' AND resolved_at >= %(since)s ORDER BY resolved_at DESC, id DESC LIMIT %(limit)s;

-- name: past_pages
-- The same of pages, for the status page.
SELECT id, rule, labels, severity, state, cause, value, bound, fired_at, told_at, acknowledged_by, silenced_until, resolved_at
FROM monitoring.alerts WHERE state = 'resolved' AND severity = 'page' AND rule = ANY (%(rules)s) AND resolved_at >= %(since)s
ORDER BY resolved_at DESC, id DESC LIMIT %(limit)s;

-- name: lock_alert
-- One alert, for somebody who acts on it.
SELECT id, rule, labels, severity, state, cause, value, bound, fired_at, told_at, acknowledged_by, silenced_until, resolved_at
FROM monitoring.alerts WHERE id = %(id)s FOR UPDATE;

-- name: keep_alerts
-- Alerts as they are now, new ones too.
INSERT INTO monitoring.alerts AS a (id, rule, labels, severity, state, cause, value, bound, fired_at, told_at, acknowledged_by,
                                    silenced_until, resolved_at)
SELECT * FROM unnest(%(ids)s::uuid[], %(rules)s::text[], %(labels)s::text[], %(severities)s::text[], %(states)s::text[],
                     %(causes)s::text[], %(values)s::float8[], %(bounds)s::float8[], %(fired)s::timestamptz[],
                     %(told)s::timestamptz[], %(acknowledged)s::text[], %(silenced)s::timestamptz[], %(resolved)s::timestamptz[])
ON CONFLICT (id) DO UPDATE SET state = excluded.state, cause = excluded.cause, value = excluded.value, bound = excluded.bound,
    told_at = excluded.told_at, acknowledged_by = excluded.acknowledged_by, silenced_until = excluded.silenced_until,
    resolved_at = excluded.resolved_at;

-- name: note_events
-- What became of alerts.
INSERT INTO monitoring.alert_events (id, alert, at, kind, person, detail)
SELECT * FROM unnest(%(ids)s::uuid[], %(alerts)s::uuid[], %(at)s::timestamptz[], %(kinds)s::text[], %(people)s::text[],
                     %(details)s::text[]);

-- name: events_of
-- What became of some alerts, in order.
SELECT id, alert, at, kind, person, detail FROM monitoring.alert_events WHERE alert = ANY (%(alerts)s) ORDER BY id;

-- name: silences_now
-- What is silenced.
SELECT id, rule, labels, person, reason, begun_at, until FROM monitoring.silences WHERE until > %(now)s ORDER BY until;

-- name: add_silence
-- Nobody is told until then.
INSERT INTO monitoring.silences (id, rule, labels, person, reason, begun_at, until)
VALUES (%(id)s, %(rule)s, %(labels)s, %(person)s, %(reason)s, %(begun_at)s, %(until)s);

-- name: end_silence
-- An end before its time.
UPDATE monitoring.silences SET until = %(now)s WHERE id = %(id)s AND until > %(now)s
RETURNING rule, labels;

-- name: open_notice
-- The notice that still waits for its time: what happens now goes with it.
SELECT id, lines::text FROM monitoring.alert_notices WHERE state = 'due' AND tries = 0 AND due_at > %(now)s
ORDER BY id LIMIT 1 FOR UPDATE;

-- name: add_notice
-- Something to tell.
INSERT INTO monitoring.alert_notices (id, at, lines, state, due_at) VALUES (%(id)s, %(at)s, %(lines)s::json, 'due', %(due_at)s);

-- name: add_lines
-- More of it.
UPDATE monitoring.alert_notices SET lines = %(lines)s::json WHERE id = %(id)s;

-- name: due_notice
-- The first notice whose time has come; another process that tells passes it by.
SELECT id, lines::text, tries, taken FROM monitoring.alert_notices WHERE state = 'due' AND due_at <= %(now)s
ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: claim_notice
-- A try begins; if the process dies in it, the next one comes at this time.
UPDATE monitoring.alert_notices SET tries = tries + 1, due_at = %(due_at)s WHERE id = %(id)s;

-- name: settle_notice
-- How a try ended.
UPDATE monitoring.alert_notices SET state = %(state)s, taken = %(taken)s, said = %(said)s WHERE id = %(id)s;

-- name: undelivered
-- How many notices could not be delivered since a moment.
SELECT count(*) FROM monitoring.alert_notices WHERE state = 'failed' AND at >= %(since)s;

-- name: last_notices
-- The newest notices, as they were told.
SELECT id, at, state, tries, said FROM monitoring.alert_notices ORDER BY id DESC LIMIT %(limit)s;

-- name: last_spans
-- Every component's newest span by the agent.
SELECT c.id, c.component, c.state, c.begun_at, c.seen_at, c.seen_by, c.cause
FROM unnest(%(components)s::text[]) AS k (component)
CROSS JOIN LATERAL (
    SELECT * FROM monitoring.component_states AS s WHERE s.component = k.component AND s.seen_by = 'agent' ORDER BY s.id DESC LIMIT 1
) AS c;

-- name: prolong_spans
-- They were seen again.
UPDATE monitoring.component_states SET seen_at = %(now)s WHERE id = ANY (%(ids)s);

-- name: add_spans
-- They stand otherwise now.
INSERT INTO monitoring.component_states (id, component, state, begun_at, seen_at, seen_by, cause)
SELECT * FROM unnest(%(ids)s::uuid[], %(components)s::text[], %(states)s::text[], %(begun)s::timestamptz[],
                     %(seen)s::timestamptz[], %(by)s::text[], %(causes)s::text[]);

-- name: spans_since
-- How components stood since a moment, the newest first: of too many the oldest are left out, never how it is now.
SELECT component, state, begun_at, seen_at, seen_by, cause FROM monitoring.component_states
WHERE seen_at >= %(since)s ORDER BY id DESC LIMIT %(limit)s;

-- name: forget_minutes
-- Counts past their age.
DELETE FROM monitoring.objective_minutes WHERE minute < %(before)s;

-- name: forget_spans
-- States past their age.
DELETE FROM monitoring.component_states WHERE seen_at < %(before)s;

-- name: forget_notices
-- Notices past their age.
DELETE FROM monitoring.alert_notices WHERE at < %(before)s AND state <> 'due';
