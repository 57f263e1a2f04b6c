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

-- name: lines
-- A run's journal after a line. Of what a step saved only the last counts.
SELECT seq, run, at, fence, kind, step, attempt, by, detail::text
FROM maintenance.journal AS j
WHERE run = %(run)s AND seq > %(after)s AND (kind <> 'step_saved' OR NOT EXISTS (
    SELECT FROM maintenance.journal AS later
    WHERE later.run = j.run AND later.step = j.step AND later.kind = 'step_saved' AND later.seq > j.seq
))
ORDER BY seq;
