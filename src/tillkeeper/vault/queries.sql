-- name: lock_keys
-- Whoever changes the class keys takes turns with others; held to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('vault.keys'));

-- name: keys
-- Every class key ever made, wrapped; the destroyed ones without their key.
SELECT class AS class_, purpose, version, state, root, wrapped FROM vault.keys ORDER BY class, purpose, version;

-- name: add_key
-- A new class key.
INSERT INTO vault.keys (class, purpose, version, state, root, wrapped, made_at)
VALUES (%(class)s, %(purpose)s, %(version)s, %(state)s, %(root)s, %(wrapped)s, %(at)s);
