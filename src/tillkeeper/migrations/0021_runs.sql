-- maintenance: runs of plans, their journal, and the fence that only one agent is inside of.
CREATE SCHEMA IF NOT EXISTS maintenance;
GRANT USAGE ON SCHEMA maintenance TO till_app;

-- The agent that took the highest token may write journals; a write that carries an older one finds no row here. One row.
CREATE TABLE maintenance.fence (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    token bigint NOT NULL
);
INSERT INTO maintenance.fence (token) VALUES (0);
GRANT SELECT, UPDATE ON maintenance.fence TO till_app;

-- A run: the plan as it was agreed to, and what its journal says, kept for lists. `events` counts the journal's lines;
-- `now` is how the present step and the guardrails stand, written over every second.
CREATE TABLE maintenance.runs (
    id        uuid PRIMARY KEY,
    plan      uuid NOT NULL,
    digest    bytea NOT NULL CHECK (length(digest) = 32),
    content   json NOT NULL,
    rehearsal boolean NOT NULL,
    state     text NOT NULL CHECK (state IN
        ('waiting', 'running', 'paused', 'undoing', 'succeeded', 'undone', 'failed', 'aborted')),
    asked_by  text NOT NULL,
    asked_at  timestamptz NOT NULL,
    begun_at  timestamptz,
    ended_at  timestamptz,
    events    integer NOT NULL DEFAULT 0,
    now       jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT ended CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'undone', 'failed', 'aborted')))
);
-- One at a time: what a guardrail sees must be the work of one run.
CREATE UNIQUE INDEX runs_open ON maintenance.runs (rehearsal) WHERE ended_at IS NULL;
CREATE INDEX runs_by_plan ON maintenance.runs (plan, id);
GRANT SELECT, INSERT ON maintenance.runs TO till_app;
GRANT UPDATE (state, begun_at, ended_at, events, now) ON maintenance.runs TO till_app;

-- What happened, line by line. Append only: a run's state is what these lines say. `fence`: the writing agent's token, 0
-- for what people wrote.
CREATE TABLE maintenance.journal (
    run     uuid NOT NULL REFERENCES maintenance.runs,
    seq     integer NOT NULL CHECK (seq > 0),
    at      timestamptz NOT NULL,
    fence   bigint NOT NULL CHECK (fence >= 0),
    kind    text NOT NULL,
    step    smallint,
    attempt smallint,
    by      text NOT NULL,
    detail  jsonb NOT NULL,
    PRIMARY KEY (run, seq)
);
GRANT SELECT, INSERT ON maintenance.journal TO till_app;
