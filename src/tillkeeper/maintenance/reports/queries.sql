-- name: add_report
-- A report, unless there is one of this end of the run; a row if it is the first.
INSERT INTO maintenance.reports (id, run, ended_at, plan, goal, owner, outcome, made_at, document)
VALUES (%(id)s, %(run)s, %(ended_at)s, %(plan)s, %(goal)s, %(owner)s, %(outcome)s, %(made_at)s, %(document)s)
ON CONFLICT (run, ended_at) DO NOTHING RETURNING id;

-- name: ends_reported
-- Which ends of these runs were reported on.
SELECT run, ended_at FROM maintenance.reports WHERE run = ANY (%(runs)s::uuid[]);

-- name: reports
-- Reports, the newest first.
SELECT r.id, r.run, r.plan, r.goal, r.owner, r.outcome, r.made_at, v.person, v.remark, v.at,
       (SELECT count(*) FROM maintenance.tasks AS t WHERE t.report = r.id AND t.state = 'open')
FROM maintenance.reports AS r LEFT JOIN maintenance.reviews AS v ON v.report = r.id
WHERE (%(before)s::uuid IS NULL OR r.id < %(before)s)
ORDER BY r.id DESC LIMIT %(limit)s;

-- name: find_report
-- One report, by its id or by its run; of several of one run the newest.
SELECT r.id, r.run, r.plan, r.goal, r.owner, r.outcome, r.made_at, v.person, v.remark, v.at,
       (SELECT count(*) FROM maintenance.tasks AS t WHERE t.report = r.id AND t.state = 'open')
FROM maintenance.reports AS r LEFT JOIN maintenance.reviews AS v ON v.report = r.id
WHERE r.id = %(id)s OR r.run = %(id)s
ORDER BY r.id DESC LIMIT 1;

-- name: document
-- A report's file.
SELECT document FROM maintenance.reports WHERE id = %(id)s;

-- name: count_unreviewed
-- How many nobody has reviewed, up to a bound.
SELECT count(*) FROM (
    SELECT FROM maintenance.reports AS r
    WHERE NOT EXISTS (SELECT FROM maintenance.reviews AS v WHERE v.report = r.id) LIMIT %(limit)s
) AS unreviewed;

-- name: review
-- Somebody has read it; the first counts.
INSERT INTO maintenance.reviews (report, person, remark, at) VALUES (%(report)s, %(person)s, %(remark)s, %(at)s)
ON CONFLICT (report) DO NOTHING RETURNING report;

-- name: add_task
-- Something to be done.
INSERT INTO maintenance.tasks (id, report, code, detail, owner, state, made_at)
VALUES (%(id)s, %(report)s, %(code)s, %(detail)s, %(owner)s, 'open', %(made_at)s);

-- name: tasks_of
-- What is to be done about a report, in the order it was noted.
SELECT id, report, code, detail, owner, state, made_at, done_at, done_by, plan FROM maintenance.tasks
WHERE report = %(report)s ORDER BY id;

-- name: open_tasks
-- What is to be done, the oldest first.
SELECT id, report, code, detail, owner, state, made_at, done_at, done_by, plan FROM maintenance.tasks
WHERE state = 'open' ORDER BY id LIMIT %(limit)s;

-- name: lock_task
-- One, for whoever changes it.
SELECT id, report, code, detail, owner, state, made_at, done_at, done_by, plan FROM maintenance.tasks
WHERE id = %(id)s FOR UPDATE;

-- name: do_task
-- It is done.
UPDATE maintenance.tasks SET state = 'done', done_at = %(at)s, done_by = %(by)s WHERE id = %(id)s AND state = 'open';

-- name: plan_task
-- It became a plan's draft.
UPDATE maintenance.tasks SET plan = %(plan)s WHERE id = %(id)s;
