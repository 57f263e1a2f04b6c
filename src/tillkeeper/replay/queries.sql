-- name: begin
-- Note that a file is being replayed; nothing is written if it was begun before.
INSERT INTO replay.runs (id, mapping, file, started_at, changed_at)
VALUES (%(id)s, %(mapping)s, %(file)s, %(at)s, %(at)s) ON CONFLICT (id) DO NOTHING;

-- name: run
-- How far a file has come.
SELECT id, line, tally, started_at, finished_at FROM replay.runs WHERE id = %(id)s;

-- name: advance
-- Every row up to a line is done, and counted in the tally.
UPDATE replay.runs
SET line = %(line)s, tally = %(tally)s, changed_at = %(at)s, finished_at = %(finished_at)s
WHERE id = %(id)s;
