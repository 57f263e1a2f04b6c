-- name: tables
-- The same phones, sealed and in the clear, with the same indexes.
CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO till_app;
CREATE TABLE bench.sealed (id uuid PRIMARY KEY, phone bytea, phone_tag bytea);
CREATE TABLE bench.plain (id uuid PRIMARY KEY, phone text);
CREATE INDEX ON bench.sealed (phone_tag);
CREATE INDEX ON bench.plain (phone);
GRANT SELECT, INSERT, UPDATE ON bench.sealed, bench.plain TO till_app;

-- name: add_sealed
-- Many at once.
INSERT INTO bench.sealed SELECT * FROM unnest(%(ids)b::uuid[], %(phones)b::bytea[], %(tags)b::bytea[]);

-- name: add_plain
-- Many at once.
INSERT INTO bench.plain SELECT * FROM unnest(%(ids)b::uuid[], %(phones)b::text[]);

-- name: find_sealed
-- Whose phone it is.
SELECT id, phone FROM bench.sealed WHERE phone_tag IN (%(tag)b, %(other_tag)b);

-- name: find_plain
-- Whose phone it is.
SELECT id, phone FROM bench.plain WHERE phone = %(phone)s;

-- name: rotation
-- The rotation under way: its state and the rows it has made anew.
SELECT state, done FROM vault.rotations WHERE finished_at IS NULL AND purpose = %(purpose)s;
