-- maintenance: plans, their rehearsals, who agreed to them; freezes of the calendar and what was allowed in spite of it.

CREATE SCHEMA IF NOT EXISTS maintenance;
GRANT USAGE ON SCHEMA maintenance TO till_app;

-- A plan as it was filed. Its content never changes: `digest`, which rehearsals, approvals and runs are bound to, is the
-- SHA-256 of it. Another text is another plan; `replaces` is the draft that it was before. `run`: a plan is run once.
CREATE TABLE maintenance.plans (
    id             uuid PRIMARY KEY,
    content        text NOT NULL,
    digest         bytea NOT NULL CHECK (digest = sha256(convert_to(content, 'UTF8'))),
    goal           text NOT NULL,
    author         text NOT NULL,
    replaces       uuid REFERENCES maintenance.plans,
    made_at        timestamptz NOT NULL,
    -- draft -> submitted -> rehearsed -> approved -> done; each but the last -> withdrawn | expired
    state          text NOT NULL CHECK (state IN
        ('draft', 'submitted', 'rehearsed', 'approved', 'withdrawn', 'expired', 'done')),
    submitted_at   timestamptz,
    approval       uuid,
    approved_by    text,
    approved_at    timestamptz,
    approved_until timestamptz,
    run            uuid UNIQUE,
    ended_at       timestamptz,
    ended_by       text,
    -- Who wrote it does not agree to it: the table itself sees to it.
    CONSTRAINT four_eyes CHECK (approved_by <> author),
    CONSTRAINT agreed CHECK ((approved_by IS NULL) = (approved_at IS NULL)
        AND (approved_by IS NULL) = (approval IS NULL) AND (approved_by IS NULL) = (approved_until IS NULL)
        AND (state NOT IN ('approved', 'done') OR approved_by IS NOT NULL)),
    CONSTRAINT ended CHECK ((ended_at IS NOT NULL) = (state IN ('withdrawn', 'expired', 'done')))
);
CREATE INDEX plans_by_digest ON maintenance.plans (digest);
CREATE INDEX plans_open ON maintenance.plans (id) WHERE state IN ('draft', 'submitted', 'rehearsed', 'approved');
GRANT SELECT, INSERT ON maintenance.plans TO till_app;
GRANT UPDATE (state, submitted_at, approval, approved_by, approved_at, approved_until, run, ended_at, ended_by)
    ON maintenance.plans TO till_app;

-- What a rehearsal of a plan with this digest found, on a restored copy. The latest counts.
CREATE TABLE maintenance.rehearsals (
    id       uuid PRIMARY KEY,
    digest   bytea NOT NULL CHECK (length(digest) = 32),
    passed   boolean NOT NULL,
    evidence text NOT NULL,
    by       text NOT NULL,
    at       timestamptz NOT NULL
);
CREATE INDEX rehearsals_by_digest ON maintenance.rehearsals (digest, id);
GRANT SELECT, INSERT ON maintenance.rehearsals TO till_app;

-- No run begins in a freeze. Lifting one takes two people, as going against one does.
CREATE TABLE maintenance.freezes (
    id        uuid PRIMARY KEY,
    begins    timestamptz NOT NULL,
    ends      timestamptz NOT NULL CHECK (ends > begins),
    reason    text NOT NULL,
    made_by   text NOT NULL,
    made_at   timestamptz NOT NULL,
    lifted_at timestamptz,
    lifted_by text,
    approval  uuid,
    CONSTRAINT lifted CHECK ((lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (approval IS NULL))
);
CREATE INDEX freezes_by_end ON maintenance.freezes (ends);
GRANT SELECT, INSERT ON maintenance.freezes TO till_app;
GRANT UPDATE (lifted_at, lifted_by, approval) ON maintenance.freezes TO till_app;

-- Leave of two people to run exactly this plan although the calendar says no.
CREATE TABLE maintenance.overrides (
    id         uuid PRIMARY KEY,
    plan       uuid NOT NULL REFERENCES maintenance.plans,
    reason     text NOT NULL,
    asked_by   text NOT NULL,
    given_by   text NOT NULL CHECK (given_by <> asked_by),
    given_at   timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > given_at),
    approval   uuid NOT NULL UNIQUE
);
CREATE INDEX overrides_by_plan ON maintenance.overrides (plan);
GRANT SELECT, INSERT ON maintenance.overrides TO till_app;

-- What the agent is to rehearse, in a process of its own; of one plan one at a time.
CREATE TABLE maintenance.rehearsal_orders (
    id       uuid PRIMARY KEY,
    plan     uuid NOT NULL REFERENCES maintenance.plans,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    state    text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    ended_at timestamptz,
    said     text NOT NULL DEFAULT '',
    CONSTRAINT ended CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'failed')))
);
CREATE UNIQUE INDEX rehearsal_orders_open ON maintenance.rehearsal_orders (plan) WHERE state IN ('waiting', 'running');
CREATE INDEX rehearsal_orders_by_plan ON maintenance.rehearsal_orders (plan, id);
GRANT SELECT, INSERT ON maintenance.rehearsal_orders TO till_app;
GRANT UPDATE (state, ended_at, said) ON maintenance.rehearsal_orders TO till_app;
