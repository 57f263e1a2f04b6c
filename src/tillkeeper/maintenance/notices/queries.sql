-- name: add_notice
-- What is told of a plan, unless it was written before.
INSERT INTO maintenance.notices (plan, expect, words, begins, ends, spare_until)
VALUES (%(plan)s, %(expect)s, %(words)s, %(begins)s, %(ends)s, %(spare_until)s)
ON CONFLICT (plan) DO NOTHING;

-- name: tell
-- A stage, once; a row if it was not told before.
INSERT INTO maintenance.notice_stages (plan, stage, at, downtime_seconds)
VALUES (%(plan)s, %(stage)s, %(at)s, %(downtime_seconds)s)
ON CONFLICT DO NOTHING RETURNING stage;

-- name: of_plans
-- The notices of plans.
SELECT plan, expect, words, begins, ends, spare_until FROM maintenance.notices
WHERE plan = ANY (%(plans)s::uuid[]) ORDER BY begins, plan;

-- name: open_notices
-- Those that are not over, the soonest first.
SELECT plan, expect, words, begins, ends, spare_until FROM maintenance.notices AS n
WHERE NOT EXISTS (SELECT FROM maintenance.notice_stages AS s WHERE s.plan = n.plan
                  AND s.stage IN ('completed', 'undone', 'failed', 'cancelled'))
ORDER BY begins, plan LIMIT %(limit)s;

-- name: past_notices
-- Those that ended since a moment, the newest first.
SELECT n.plan, n.expect, n.words, n.begins, n.ends, n.spare_until
FROM maintenance.notices AS n JOIN maintenance.notice_stages AS s ON s.plan = n.plan
WHERE s.stage IN ('completed', 'undone', 'failed', 'cancelled') AND s.at >= %(since)s
ORDER BY s.at DESC LIMIT %(limit)s;

-- name: stages_of
-- What was told of plans, in order; of one moment in the order of their course.
SELECT plan, stage, at, downtime_seconds FROM maintenance.notice_stages
WHERE plan = ANY (%(plans)s::uuid[])
ORDER BY at, array_position(ARRAY['scheduled', 'begun', 'delayed'], stage) NULLS LAST;
