-- vault: what the retention of the house has deleted.

-- Rows deleted from a table, in all; when last some were, and when last none was left to delete.
CREATE TABLE vault.sweeps (
    name     text PRIMARY KEY,
    rows     bigint NOT NULL CHECK (rows >= 0),
    swept_at timestamptz,
    done_at  timestamptz
);
GRANT SELECT, INSERT ON vault.sweeps TO till_app;
GRANT UPDATE (rows, swept_at, done_at) ON vault.sweeps TO till_app;
