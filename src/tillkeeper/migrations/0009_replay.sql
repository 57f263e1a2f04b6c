-- replay: how far each replayed file has come.

CREATE SCHEMA replay;
GRANT USAGE ON SCHEMA replay TO till_app;

-- One file carried through with one mapping; `id` is made of the content of both. Every row up to and with `line` is
-- done, and `tally` is the count of exactly these.
CREATE TABLE replay.runs (
    id          uuid PRIMARY KEY,
    mapping     text NOT NULL,
    file        text NOT NULL,
    line        bigint NOT NULL DEFAULT 0,
    tally       bytea,
    started_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    finished_at timestamptz
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON replay.runs TO till_app;
