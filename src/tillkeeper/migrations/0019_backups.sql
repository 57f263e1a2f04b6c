-- maintenance: backups, what was asked for, restore drills, and how far the write-ahead log is archived.

CREATE SCHEMA IF NOT EXISTS maintenance;
GRANT USAGE ON SCHEMA maintenance TO till_app;

-- A base backup. What counts is the repository: a row is `done` only when its manifest lies there, and `gone` when it was
-- pruned. `parent`: the backup that an incremental one builds on. Bytes: as stored, and of the database then.
CREATE TABLE maintenance.backups (
    id             uuid PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('full', 'incremental')),
    parent         uuid REFERENCES maintenance.backups,
    state          text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'gone')),
    asked_by       text NOT NULL,
    begun_at       timestamptz NOT NULL,
    ended_at       timestamptz,
    bytes          bigint,
    database_bytes bigint,
    timeline       integer,
    start_lsn      pg_lsn,
    end_lsn        pg_lsn,
    said           text NOT NULL DEFAULT '',
    CHECK ((kind = 'incremental') = (parent IS NOT NULL)),
    CHECK (state <> 'done' OR (ended_at IS NOT NULL AND bytes IS NOT NULL AND end_lsn IS NOT NULL))
);
CREATE INDEX backups_by_time ON maintenance.backups (begun_at DESC);
GRANT SELECT, INSERT ON maintenance.backups TO till_app;
GRANT UPDATE (state, ended_at, bytes, database_bytes, timeline, start_lsn, end_lsn, said) ON maintenance.backups TO till_app;

-- A restore that was tried, and what came of it. `checks`: JSON, a list of what was looked at and whether it holds.
CREATE TABLE maintenance.drills (
    id          uuid PRIMARY KEY,
    backup      uuid NOT NULL REFERENCES maintenance.backups,
    target      timestamptz NOT NULL,  -- the moment that was restored
    passed      boolean NOT NULL,
    rpo_seconds double precision NOT NULL CHECK (rpo_seconds >= 0),
    rto_seconds double precision NOT NULL CHECK (rto_seconds >= 0),
    checks      jsonb NOT NULL,
    asked_by    text NOT NULL,
    begun_at    timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL
);
CREATE INDEX drills_by_backup ON maintenance.drills (backup, ended_at DESC);
CREATE INDEX drills_by_time ON maintenance.drills (ended_at DESC);
GRANT SELECT, INSERT ON maintenance.drills TO till_app;

-- What people and the schedule ask of the agent.
CREATE TABLE maintenance.backup_orders (
    id       uuid PRIMARY KEY,
    kind     text NOT NULL CHECK (kind IN ('full', 'incremental', 'drill')),
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    state    text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    ended_at timestamptz,
    said     text NOT NULL DEFAULT ''
);
-- One of a kind waits or runs at a time: pressing twice is pressing once.
CREATE UNIQUE INDEX backup_orders_open ON maintenance.backup_orders ((kind = 'drill')) WHERE state IN ('waiting', 'running');
CREATE INDEX backup_orders_by_time ON maintenance.backup_orders (asked_at DESC);
GRANT SELECT, INSERT ON maintenance.backup_orders TO till_app;
GRANT UPDATE (state, ended_at, said) ON maintenance.backup_orders TO till_app;

-- How far the write-ahead log lies in the repository; one row. `reached`: every commit before that moment is there.
-- `rate`: bytes a second that are written lately. `failing_since`: unset while the archive keeps up.
CREATE TABLE maintenance.wal_archive (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    lsn           pg_lsn NOT NULL,
    reached       timestamptz NOT NULL,
    looked_at     timestamptz NOT NULL,
    looked_lsn    pg_lsn NOT NULL,
    rate          double precision NOT NULL DEFAULT 0,
    failing_since timestamptz,
    said          text NOT NULL DEFAULT ''
);
GRANT SELECT, INSERT ON maintenance.wal_archive TO till_app;
GRANT UPDATE (lsn, reached, looked_at, looked_lsn, rate, failing_since, said) ON maintenance.wal_archive TO till_app;
