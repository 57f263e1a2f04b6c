-- name: create_key
-- A new API key; its secret is kept only as a hash.
INSERT INTO access.api_keys (id, principal, short_id, name, secret_hash, scopes, created_at, expires_at)
VALUES (%(id)s, %(principal)s, %(short_id)s, %(name)s, %(secret_hash)s, %(scopes)s, %(created_at)s, %(expires_at)s);

-- name: find_key
-- The key behind a short id, with what is needed to check it.
SELECT id, principal, name, secret_hash, scopes, expires_at, revoked_at
FROM access.api_keys
WHERE short_id = %(short_id)s;

-- name: list_keys
-- Every key ever made, newest first.
SELECT id, principal, short_id, name, scopes, created_at, expires_at, revoked_at
FROM access.api_keys
ORDER BY id DESC;

-- name: revoke_key
-- End a key; the first revocation's time stays.
UPDATE access.api_keys SET revoked_at = %(at)s WHERE id = %(id)s AND revoked_at IS NULL RETURNING id;

-- name: create_sign_in
-- A link that opens one session.
INSERT INTO access.sign_ins (token_hash, person, created_at, expires_at)
VALUES (%(token_hash)s, %(person)s, %(created_at)s, %(expires_at)s);

-- name: use_sign_in
-- Use a link up: of two browsers with the same link one gets the row, the other waits and gets nothing.
UPDATE access.sign_ins SET used_at = %(at)s
WHERE token_hash = %(token_hash)s AND used_at IS NULL AND expires_at > %(at)s
RETURNING person;

-- name: create_session
-- A signed-in browser.
INSERT INTO access.sessions (token_hash, person, csrf, created_at, seen_at)
VALUES (%(token_hash)s, %(person)s, %(csrf)s, %(at)s, %(at)s);

-- name: find_session
-- The session behind a cookie, unless it was ended, lay idle too long, or is too old.
SELECT person, csrf, created_at, seen_at
FROM access.sessions
WHERE token_hash = %(token_hash)s AND ended_at IS NULL
  AND seen_at > %(idle_since)s AND created_at > %(created_since)s;

-- name: touch_session
-- The person is still there.
UPDATE access.sessions SET seen_at = %(at)s WHERE token_hash = %(token_hash)s AND ended_at IS NULL;

-- name: end_session
-- Sign out one browser.
UPDATE access.sessions SET ended_at = %(at)s
WHERE token_hash = %(token_hash)s AND ended_at IS NULL
RETURNING person;

-- name: list_sessions
-- The browsers signed in now, the most recently used first.
SELECT token_hash, person, csrf, created_at, seen_at
FROM access.sessions
WHERE ended_at IS NULL AND seen_at > %(idle_since)s AND created_at > %(created_since)s
ORDER BY seen_at DESC;

-- name: forget_sign_ins
-- Links that can no longer open anything.
DELETE FROM access.sign_ins WHERE expires_at <= %(at)s;

-- name: forget_sessions
-- Sessions that can no longer be used; the audit keeps who signed in and out.
DELETE FROM access.sessions WHERE ended_at IS NOT NULL OR seen_at <= %(idle_since)s OR created_at <= %(created_since)s;
