-- maintenance: what customers and merchants are told, the reports of runs, and what follows from them.

CREATE SCHEMA IF NOT EXISTS maintenance;
GRANT USAGE ON SCHEMA maintenance TO till_app;

-- What is told of a plan, which is run once; `words`: JSON, title and text by language.
CREATE TABLE maintenance.notices (
    plan        uuid PRIMARY KEY,
    expect      text NOT NULL CHECK (expect IN ('nothing', 'slower', 'interruption')),
    words       text NOT NULL,
    begins      timestamptz NOT NULL,
    ends        timestamptz NOT NULL CHECK (ends >= begins),
    spare_until timestamptz NOT NULL CHECK (spare_until >= ends)
);
GRANT SELECT, INSERT ON maintenance.notices TO till_app;

-- How far it has come; each stage is told once, in the transaction that writes it here.
CREATE TABLE maintenance.notice_stages (
    plan             uuid NOT NULL REFERENCES maintenance.notices,
    stage            text NOT NULL CHECK (stage IN
        ('scheduled', 'begun', 'delayed', 'completed', 'undone', 'failed', 'cancelled')),
    at               timestamptz NOT NULL,
    downtime_seconds double precision CHECK (downtime_seconds >= 0),  -- unset: not known
    PRIMARY KEY (plan, stage)
);
-- One end each.
CREATE UNIQUE INDEX notice_stages_ended ON maintenance.notice_stages (plan)
    WHERE stage IN ('completed', 'undone', 'failed', 'cancelled');
GRANT SELECT, INSERT ON maintenance.notice_stages TO till_app;

-- `document`: the signed JSON, byte for byte as in the file. A run that is undone after its end ends twice, and is reported on
-- twice.
CREATE TABLE maintenance.reports (
    id       uuid PRIMARY KEY,
    run      uuid NOT NULL,
    ended_at timestamptz NOT NULL,
    plan     uuid NOT NULL,
    goal     text NOT NULL,
    owner    text NOT NULL,  -- who is asked to review it
    outcome  text NOT NULL,
    made_at  timestamptz NOT NULL,
    document text NOT NULL,
    UNIQUE (run, ended_at)
);
GRANT SELECT, INSERT ON maintenance.reports TO till_app;

CREATE TABLE maintenance.reviews (
    report uuid PRIMARY KEY REFERENCES maintenance.reports,
    person text NOT NULL,
    remark text NOT NULL,
    at     timestamptz NOT NULL
);
GRANT SELECT, INSERT ON maintenance.reviews TO till_app;

-- What is to be done about a run. `plan`: the draft that it became.
CREATE TABLE maintenance.tasks (
    id      uuid PRIMARY KEY,
    report  uuid NOT NULL REFERENCES maintenance.reports,
    code    text NOT NULL,
    detail  text NOT NULL,
    owner   text NOT NULL,
    state   text NOT NULL CHECK (state IN ('open', 'done')),
    made_at timestamptz NOT NULL,
    done_at timestamptz,
    done_by text,
    plan    uuid,
    CHECK ((state = 'done') = (done_at IS NOT NULL AND done_by IS NOT NULL))
);
CREATE INDEX tasks_by_report ON maintenance.tasks (report);
CREATE INDEX tasks_open ON maintenance.tasks (id) WHERE state = 'open';
GRANT SELECT, INSERT ON maintenance.tasks TO till_app;
GRANT UPDATE (state, done_at, done_by, plan) ON maintenance.tasks TO till_app;
