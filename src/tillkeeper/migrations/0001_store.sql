-- store: the news outbox, its readers' cursors, idempotency answers, and leases.


-- News travels only by this table: a row is written in the transaction that makes it true.
-- `xid` lets a reader stop before transactions still in flight: identity values commit out of order, so a
-- cursor on `id` alone would skip rows for ever.
CREATE TABLE store.outbox (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at      timestamptz NOT NULL,
    topic   text NOT NULL,
    subject uuid NOT NULL,
    payload json NOT NULL
);
CREATE INDEX outbox_by_xid ON store.outbox (xid, id);
GRANT SELECT, INSERT ON store.outbox TO till_app;

CREATE TABLE store.cursors (
    reader text PRIMARY KEY,
    xid    xid8 NOT NULL,
    id     bigint NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON store.cursors TO till_app;

-- One key, one effect, for ever: the answer is stored in the transaction that made the effect.
CREATE TABLE store.idempotency (
    principal  uuid NOT NULL,
    key        text NOT NULL,
    input_hash bytea NOT NULL,
    status     smallint NOT NULL,
    body       bytea NOT NULL,
    at         timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
GRANT SELECT, INSERT ON store.idempotency TO till_app;

-- A lease names the one process that does a job (the agent's work, the keeping of risk profiles).
CREATE TABLE store.leases (
    name       text PRIMARY KEY,
    holder     text NOT NULL,
    taken_at   timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON store.leases TO till_app;
