-- name: add_notice
-- A notice, unless it was written before.
INSERT INTO maintenance.notices (id, plan, expect, words, begins, ends, spare_until)
VALUES (%(id)s, %(plan)s, %(expect)s, %(words)s, %(begins)s, %(ends)s, %(spare_until)s)
ON CONFLICT (id) DO NOTHING;

-- name: attach_run
-- The run that a notice tells of, from its beginning on.
UPDATE maintenance.notices SET run = %(run)s WHERE id = %(id)s AND run IS NULL;

-- name: tell
-- A stage, once; a row if it was not told before.
INSERT INTO maintenance.notice_stages (notice, stage, at, downtime_seconds)
VALUES (%(notice)s, %(stage)s, %(at)s, %(downtime_seconds)s)
ON CONFLICT DO NOTHING RETURNING stage;

-- name: find_notices
-- Notices by id.
SELECT id, plan, run, expect, words, begins, ends, spare_until FROM maintenance.notices
WHERE id = ANY (%(ids)s::uuid[]) ORDER BY begins, id;

-- name: of_runs
-- The notices of runs.
SELECT id, plan, run, expect, words, begins, ends, spare_until FROM maintenance.notices
WHERE run = ANY (%(runs)s::uuid[]) ORDER BY begins, id;

-- name: open_notices
-- Those that are not over, the soonest first.
SELECT id, plan, run, expect, words, begins, ends, spare_until FROM maintenance.notices AS n
WHERE NOT EXISTS (SELECT FROM maintenance.notice_stages AS s WHERE s.notice = n.id
                  AND s.stage IN ('completed', 'undone', 'failed', 'cancelled'))
ORDER BY begins, id LIMIT %(limit)s;

-- name: past_notices
-- Those that ended since a moment, the newest first.
SELECT n.id, n.plan, n.run, n.expect, n.words, n.begins, n.ends, n.spare_until
FROM maintenance.notices AS n JOIN maintenance.notice_stages AS s ON s.notice = n.id
WHERE s.stage IN ('completed', 'undone', 'failed', 'cancelled') AND s.at >= %(since)s
ORDER BY s.at DESC LIMIT %(limit)s;

-- name: stages_of
-- The stages of notices in the order they were told; those of one moment in the order of their course.
SELECT notice, stage, at, downtime_seconds FROM maintenance.notice_stages
WHERE notice = ANY (%(notices)s::uuid[])
ORDER BY at, array_position(ARRAY['scheduled', 'begun', 'delayed'], stage) NULLS LAST;
