-- audit: the result of an act, and the seal: a Merkle tree over all events, whose heads are signed. Append only, all of it.

-- `xid`: the transaction that wrote the event. By it the sealer finds what has committed since it looked last, without
-- waiting for a long transaction and without a lock or a counter among the writers.
ALTER TABLE audit.events
    ADD COLUMN result text NOT NULL DEFAULT 'done' CHECK (result IN ('done', 'refused', 'failed')),
    ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX events_by_xid ON audit.events (xid, id);
CREATE INDEX events_by_actor ON audit.events (actor, id);
CREATE INDEX events_by_action ON audit.events (action, id);

-- The tree's leaves: `seq` 0, 1, 2, … is given by the sealer, `hash` covers every column of the event (audit/form.py).
CREATE TABLE audit.leaves (
    seq   bigint PRIMARY KEY CHECK (seq >= 0),
    event uuid NOT NULL UNIQUE,
    hash  bytea NOT NULL
);
GRANT SELECT, INSERT ON audit.leaves TO till_app;

-- The tree's head after each batch: what is signed is the trail, the size, the root and the time. `frontier` holds the
-- roots of the perfect subtrees, so that nobody needs the leaves to go on; `seen` is the snapshot whose events are all in.
CREATE TABLE audit.heads (
    size      bigint PRIMARY KEY CHECK (size > 0),
    root      bytea NOT NULL,
    at        timestamptz NOT NULL,
    trail     uuid NOT NULL,
    key       text NOT NULL,
    signature bytea NOT NULL,
    frontier  bytea NOT NULL,
    seen      pg_snapshot NOT NULL
);
GRANT SELECT, INSERT ON audit.heads TO till_app;

-- Public keys as the sealer used them, to be looked up. Proof rests on the key file's own list: a superuser can change this one.
CREATE TABLE audit.keys (
    id         text PRIMARY KEY,
    public_key bytea NOT NULL,
    used_since timestamptz NOT NULL
);
GRANT SELECT, INSERT ON audit.keys TO till_app;
