-- name: take_fence
-- From now on only the caller may write journals.
UPDATE maintenance.fence SET token = token + 1 RETURNING token;

-- name: lock_fence
-- Who asks for a run asks alone.
SELECT FROM maintenance.fence FOR UPDATE;

-- name: ask
-- A run that somebody asks for. One is open at a time, so a second one finds no place.
INSERT INTO maintenance.runs (id, plan, digest, content, rehearsal, state, asked_by, asked_at)
VALUES (%(id)s, %(plan)s, %(digest)s, %(content)s::json, %(rehearsal)s, 'waiting', %(by)s, %(at)s)
ON CONFLICT (rehearsal) WHERE ended_at IS NULL DO NOTHING
RETURNING id;

-- name: append
-- One more line, if the writer's token is still the highest (0: a person, or a rehearsal) and it has seen all lines before.
-- The share lock has a newer agent wait until the line is in, and an older one find nothing.
WITH inside AS (
    SELECT FROM maintenance.fence WHERE token = %(fence)s OR %(fence)s = 0 FOR SHARE
), counted AS (
    UPDATE maintenance.runs AS r SET
        events = r.events + 1, state = %(state)s,
        begun_at = CASE WHEN %(kind)s = 'begun' THEN %(at)s ELSE r.begun_at END,
        ended_at = CASE WHEN %(state)s IN ('succeeded', 'undone', 'failed', 'aborted') THEN coalesce(r.ended_at, %(at)s) END
    FROM inside
    WHERE r.id = %(run)s AND r.events = %(seen)s
    RETURNING r.events
)
INSERT INTO maintenance.journal (run, seq, at, fence, kind, step, attempt, by, detail)
SELECT %(run)s, events, %(at)s, %(fence)s, %(kind)s, %(step)s, %(attempt)s, %(by)s, %(detail)s::jsonb
FROM counted
RETURNING seq;

-- name: note_now
-- How the present step and the guardrails stand, under the same condition; and how many lines there are by now.
UPDATE maintenance.runs AS r SET now = %(now)s::jsonb
FROM maintenance.fence AS f
WHERE r.id = %(run)s AND (f.token = %(fence)s OR %(fence)s = 0)
RETURNING r.events;

-- name: is_inside
-- Whether a token is still the highest.
SELECT token = %(fence)s FROM maintenance.fence;

-- name: run
-- One run, with its plan and how it stands.
SELECT id, plan, digest, rehearsal, state, asked_by, asked_at, begun_at, ended_at, events, content::text, now::text
FROM maintenance.runs WHERE id = %(run)s;

-- name: lock_run
-- One run, locked: a person and the agent decide one after the other.
SELECT FROM maintenance.runs WHERE id = %(run)s FOR UPDATE;

-- name: open_runs
-- The run that has not ended, if there is one.
SELECT id, plan, digest, rehearsal, state, asked_by, asked_at, begun_at, ended_at
FROM maintenance.runs WHERE ended_at IS NULL AND rehearsal = %(rehearsal)s;

-- name: runs
-- Runs, the latest first; of one plan where it is given.
SELECT id, plan, digest, rehearsal, state, asked_by, asked_at, begun_at, ended_at
FROM maintenance.runs
WHERE (%(plan)s::uuid IS NULL OR plan = %(plan)s) AND (%(rehearsal)s::boolean IS NULL OR rehearsal = %(rehearsal)s)
    AND (%(before)s::uuid IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: goals
-- What runs are for, as their plans say it.
SELECT id, content ->> 'goal' FROM maintenance.runs WHERE id = ANY(%(runs)s);

-- name: lines
-- A run's journal after a line. Of what a step saved only the last counts.
SELECT seq, run, at, fence, kind, step, attempt, by, detail::text
FROM maintenance.journal AS j
WHERE run = %(run)s AND seq > %(after)s AND (kind <> 'step_saved' OR NOT EXISTS (
    SELECT FROM maintenance.journal AS later
    WHERE later.run = j.run AND later.step = j.step AND later.kind = 'step_saved' AND later.seq > j.seq
))
ORDER BY seq;

-- name: lock_waits
-- Who waits for a lock of a table, and for how long; and who holds one that writers wait for. Looked at again and again.
SELECT l.pid, coalesce(l.relation, 0)::bigint AS relation, l.mode, l.granted,
       coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0)::float8 AS waited,
       coalesce(a.application_name, '') LIKE 'till step%' AS step
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'relation' AND l.pid <> pg_backend_pid()
    AND (NOT l.granted OR l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'));

-- name: database_size
-- Bytes of the whole database.
SELECT pg_database_size(current_database());

-- name: shape
-- What the database is made of, as one digest: tables with their columns, defaults and constraints, indexes, functions,
-- triggers, rights, and settings that are not the built-in ones.
SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
    SELECT format('column %s.%s %s %s %s %s %s', n.nspname, c.relname, t.attname,
            format_type(t.atttypid, t.atttypmod), t.attnotnull, pg_get_expr(d.adbin, d.adrelid), c.relacl) AS line
    FROM pg_catalog.pg_attribute AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = t.attnum
    WHERE t.attnum > 0 AND NOT t.attisdropped AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT format('index %s %s %s', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready)
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg\_%'
    UNION ALL
    SELECT format('constraint %s %s %s %s', k.conrelid::regclass, k.conname, k.convalidated, pg_get_constraintdef(k.oid))
    FROM pg_catalog.pg_constraint AS k
    JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
    WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT format('function %s', pg_get_functiondef(p.oid))
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' AND p.prokind IN ('f', 'p')
    UNION ALL
    SELECT format('trigger %s %s', pg_get_triggerdef(g.oid), g.tgenabled)
    FROM pg_catalog.pg_trigger AS g WHERE NOT g.tgisinternal
    UNION ALL
    SELECT format('setting %s = %s', name, setting)
    FROM pg_catalog.pg_settings WHERE source NOT IN ('default', 'override', 'client', 'session', 'command line')
) AS lines;
