-- name: missing_indexes
-- Of the indexes named, those that do not keep anything unique: dropped, invalid or no longer unique.
SELECT name FROM unnest(%(names)s::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(name) AND indisunique AND indisvalid AND indisready);

-- name: missing_checks
-- Of the constraints named (table and name), those that are gone or were never checked.
SELECT t.place || '.' || t.name FROM unnest(%(tables)s::text[], %(names)s::text[]) AS t (place, name)
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass(t.place) AND conname = t.name AND convalidated);
