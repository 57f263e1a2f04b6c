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
