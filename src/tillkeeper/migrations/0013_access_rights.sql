-- access: approvals, purpose grants, service keys.

-- A deed that a second person must agree to. What will happen stands in `terms`; `digest` is the SHA-256 of it and of
-- the state it stands on. Both are written once. Who asked never decides: the table itself sees to it.
CREATE TABLE access.approvals (
    id         uuid PRIMARY KEY,
    deed       text NOT NULL,
    subject    text NOT NULL,  -- what it is about: the first of the terms
    terms      text NOT NULL,
    digest     bytea NOT NULL CHECK (length(digest) = 32),
    asked_by   text NOT NULL,
    principal  uuid,  -- of the service key that asked; NULL: a person asked
    reason     text NOT NULL,
    origin     text NOT NULL,
    asked_at   timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- waiting -> given -> used | failed | stale | expired; waiting -> refused | withdrawn | stale | expired
    state      text NOT NULL CHECK (state IN
        ('waiting', 'given', 'refused', 'withdrawn', 'used', 'failed', 'stale', 'expired')),
    decided_by text,
    decided_at timestamptz,
    comment    text NOT NULL DEFAULT '',
    used_at    timestamptz,
    used_for   text,  -- the idempotency key it is bound to, for ever
    outcome    text,  -- why a deed agreed to came to nothing
    CONSTRAINT four_eyes CHECK (state = 'withdrawn' OR principal IS NOT NULL OR decided_by <> asked_by),
    CONSTRAINT decided CHECK ((decided_by IS NULL) = (decided_at IS NULL)
        AND (state NOT IN ('given', 'refused', 'used', 'failed') OR decided_by IS NOT NULL)),
    CONSTRAINT used_once CHECK ((state = 'used') = (used_at IS NOT NULL))
);
-- The same question waits once.
CREATE UNIQUE INDEX approvals_waiting ON access.approvals
    (digest, coalesce(principal, '00000000-0000-0000-0000-000000000000')) WHERE state = 'waiting';
CREATE INDEX approvals_by_subject ON access.approvals (subject, id);
CREATE INDEX approvals_by_digest ON access.approvals (digest);
CREATE INDEX approvals_open ON access.approvals (id) WHERE state IN ('waiting', 'given');
GRANT SELECT, INSERT ON access.approvals TO till_app;
GRANT UPDATE (state, expires_at, decided_by, decided_at, comment, used_at, used_for, outcome)
    ON access.approvals TO till_app;

-- Leave to look at personal data: for a purpose, for a time, for so many people.
CREATE TABLE access.grants (
    id         uuid PRIMARY KEY,
    person     text NOT NULL,
    purpose    text NOT NULL CHECK (purpose IN ('ticket', 'case', 'run')),
    reference  text NOT NULL,
    reason     text NOT NULL,
    rows       integer NOT NULL CHECK (rows > 0),
    rows_left  integer NOT NULL CHECK (rows_left BETWEEN 0 AND rows),
    opened_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    approval   uuid UNIQUE REFERENCES access.approvals
);
CREATE INDEX grants_by_person ON access.grants (person, id);
GRANT SELECT, INSERT ON access.grants TO till_app;
GRANT UPDATE (rows_left, ended_at) ON access.grants TO till_app;

-- Whom a grant was spent on: the same one costs it one row, however many fields are looked at.
CREATE TABLE access.grant_subjects (
    "grant" uuid NOT NULL REFERENCES access.grants,
    subject text NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY ("grant", subject)
);
GRANT SELECT, INSERT ON access.grant_subjects TO till_app;

-- Service keys: where from, when last, and in whose place.
ALTER TABLE access.api_keys
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}',  -- CIDRs; none: from anywhere
    ADD COLUMN used_at  timestamptz,                   -- to the minute
    ADD COLUMN renews   uuid REFERENCES access.api_keys;
