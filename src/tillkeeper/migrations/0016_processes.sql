-- store: the processes that serve, and what is wished of them; marks of steps that ran in one transaction.

-- A row for each start of a process: it beats once a second and reads what is wished of it.
-- A wish ends by itself: whoever made it may die before taking it back, and nobody is left drained for ever.
CREATE TABLE store.processes (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL,
    host         text NOT NULL,
    pid          integer NOT NULL,
    -- names this start of this process on its machine, so that others there can see that it is dead
    incarnation  text NOT NULL,
    started_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,
    state        text NOT NULL CHECK (state IN ('serving', 'draining', 'stopped')),
    wish         text NOT NULL DEFAULT 'none' CHECK (wish IN ('none', 'drain', 'restart', 'serve')),
    wished_until timestamptz,
    detail       json NOT NULL DEFAULT '{}',
    CONSTRAINT processes_wish CHECK (wish = 'none' OR wished_until IS NOT NULL)
);
CREATE INDEX processes_by_seen ON store.processes (seen_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON store.processes TO till_app;

-- A maintenance step of SQL writes its mark, and what it did, in the transaction that does the work: killed anywhere, the
-- next try knows. Only the schema's owner runs such steps.
CREATE TABLE store.marks (
    id   uuid PRIMARY KEY,
    at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    did  json NOT NULL
);
GRANT SELECT ON store.marks TO till_app;
