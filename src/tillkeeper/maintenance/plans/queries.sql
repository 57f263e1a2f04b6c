-- name: add
-- A plan, as a draft or submitted.
INSERT INTO maintenance.plans (id, content, digest, goal, author, replaces, made_at, state, submitted_at)
VALUES (%(id)s, %(content)s, %(digest)s, %(goal)s, %(author)s, %(replaces)s, %(at)s, %(state)s, %(submitted_at)s);

-- name: count_open
-- How many have not come to an end.
SELECT count(*) FROM maintenance.plans WHERE state IN ('draft', 'submitted', 'rehearsed', 'approved');

-- name: find
-- One plan.
SELECT id, content, digest, author, replaces, made_at, state, submitted_at, approval, approved_by, approved_at, approved_until,
       run, ended_at, ended_by
FROM maintenance.plans WHERE id = %(id)s;

-- name: lock
-- One plan, for whoever changes its state: the others wait here.
SELECT id, content, digest, author, replaces, made_at, state, submitted_at, approval, approved_by, approved_at, approved_until,
       run, ended_at, ended_by
FROM maintenance.plans WHERE id = %(id)s FOR UPDATE;

-- name: of_run
-- The plan that a run carries out.
SELECT id, content, digest, author, replaces, made_at, state, submitted_at, approval, approved_by, approved_at, approved_until,
       run, ended_at, ended_by
FROM maintenance.plans WHERE run = %(run)s;

-- name: of_digest
-- Plans with this content, the newest first; locked, in one order for everybody.
SELECT id, content, digest, author, replaces, made_at, state, submitted_at, approval, approved_by, approved_at, approved_until,
       run, ended_at, ended_by
FROM maintenance.plans WHERE digest = %(digest)s
ORDER BY id DESC
LIMIT %(limit)s
FOR UPDATE;

-- name: page
-- Plans in some states, the newest first.
SELECT id, content, digest, author, replaces, made_at, state, submitted_at, approval, approved_by, approved_at, approved_until,
       run, ended_at, ended_by
FROM maintenance.plans
WHERE state = ANY(%(states)s) AND (%(before)s::uuid IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: submit
-- A draft is submitted.
UPDATE maintenance.plans SET state = 'submitted', submitted_at = %(at)s WHERE id = %(id)s AND state = 'draft';

-- name: set_state
-- A plan is rehearsed, or is again to be.
UPDATE maintenance.plans SET state = %(state)s
WHERE id = %(id)s AND state IN ('submitted', 'rehearsed');

-- name: approve
-- A second person agreed; what counts is the rehearsal, which they looked at.
UPDATE maintenance.plans
SET state = 'approved', approval = %(approval)s, approved_by = %(by)s, approved_at = %(at)s, approved_until = %(until)s
WHERE id = %(id)s AND state IN ('submitted', 'rehearsed')
RETURNING id;

-- name: take
-- A run begins to carry it out: of two at once one gets it.
UPDATE maintenance.plans SET run = %(run)s
WHERE id = %(id)s AND state = 'approved' AND approved_until > %(at)s AND (run IS NULL OR run = %(run)s)
RETURNING id;

-- name: close
-- A plan comes to its end.
UPDATE maintenance.plans SET state = %(state)s, ended_at = %(at)s, ended_by = %(by)s
WHERE id = %(id)s AND state IN ('draft', 'submitted', 'rehearsed', 'approved');

-- name: expire
-- What was agreed to and not begun in time is over.
UPDATE maintenance.plans SET state = 'expired', ended_at = %(at)s, ended_by = 'system'
WHERE state = 'approved' AND run IS NULL AND approved_until <= %(at)s
RETURNING id;

-- name: note_rehearsal
-- What a rehearsal found.
INSERT INTO maintenance.rehearsals (id, digest, passed, evidence, by, at)
VALUES (%(id)s, %(digest)s, %(passed)s, %(evidence)s, %(by)s, %(at)s);

-- name: rehearsals
-- Rehearsals of one content, the newest first.
SELECT id, digest, passed, evidence, by, at FROM maintenance.rehearsals
WHERE digest = %(digest)s
ORDER BY id DESC
LIMIT %(limit)s;

-- name: add_freeze
-- Nothing runs between two moments.
INSERT INTO maintenance.freezes (id, begins, ends, reason, made_by, made_at)
VALUES (%(id)s, %(begins)s, %(ends)s, %(reason)s, %(made_by)s, %(at)s);

-- name: find_freeze
-- One freeze.
SELECT id, begins, ends, reason, made_by, made_at, lifted_at, lifted_by FROM maintenance.freezes WHERE id = %(id)s;

-- name: freezes
-- Those in force between two moments, the soonest first.
SELECT id, begins, ends, reason, made_by, made_at, lifted_at, lifted_by FROM maintenance.freezes
WHERE ends > %(since)s AND begins < %(until)s AND lifted_at IS NULL
ORDER BY begins, id
LIMIT %(limit)s;

-- name: lift_freeze
-- Two people end one early.
UPDATE maintenance.freezes SET lifted_at = %(at)s, lifted_by = %(by)s, approval = %(approval)s
WHERE id = %(id)s AND lifted_at IS NULL;

-- name: add_override
-- Two people let a plan go against the calendar; once for each approval.
INSERT INTO maintenance.overrides (id, plan, reason, asked_by, given_by, given_at, expires_at, approval)
VALUES (%(id)s, %(plan)s, %(reason)s, %(asked_by)s, %(given_by)s, %(at)s, %(expires_at)s, %(approval)s)
ON CONFLICT (approval) DO NOTHING;

-- name: overrides
-- Of one plan, the newest first.
SELECT id, plan, reason, asked_by, given_by, given_at, expires_at FROM maintenance.overrides
WHERE plan = %(plan)s
ORDER BY id DESC
LIMIT %(limit)s;

-- name: order_rehearsal
-- Have a plan rehearsed; nothing when that is under way.
INSERT INTO maintenance.rehearsal_orders (id, plan, asked_by, asked_at, state)
VALUES (%(id)s, %(plan)s, %(by)s, %(at)s, 'waiting')
ON CONFLICT (plan) WHERE state IN ('waiting', 'running') DO NOTHING
RETURNING id;

-- name: claim_rehearsal
-- The one that has waited the longest.
UPDATE maintenance.rehearsal_orders SET state = 'running'
WHERE id = (SELECT id FROM maintenance.rehearsal_orders WHERE state = 'waiting' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, plan;

-- name: end_rehearsal
-- It is over.
UPDATE maintenance.rehearsal_orders SET state = %(state)s, ended_at = %(at)s, said = %(said)s
WHERE id = %(id)s AND state = 'running';

-- name: rehearse_again
-- Those that an agent had begun which is no more: their copies are gone with it, so they begin anew.
UPDATE maintenance.rehearsal_orders SET state = 'waiting' WHERE state = 'running';

-- name: last_order
-- What was asked last about a plan.
SELECT id, plan, asked_by, asked_at, state, ended_at, said FROM maintenance.rehearsal_orders
WHERE plan = %(plan)s ORDER BY id DESC LIMIT 1;
