-- name: create_key
-- A new API key; its secret is kept only as a hash.
INSERT INTO access.api_keys
    (id, principal, short_id, name, secret_hash, scopes, created_at, expires_at, networks, renews)
VALUES (%(id)s, %(principal)s, %(short_id)s, %(name)s, %(secret_hash)s, %(scopes)s, %(created_at)s, %(expires_at)s,
        %(networks)s, %(renews)s);

-- name: find_key
-- The key behind a short id, with what is needed to check it.
SELECT id, principal, name, secret_hash, scopes, expires_at, revoked_at, networks, used_at
FROM access.api_keys
WHERE short_id = %(short_id)s;

-- name: touch_key
-- The key is in use.
UPDATE access.api_keys SET used_at = %(at)s WHERE id = %(id)s;

-- name: list_keys
-- Every key ever made, newest first.
SELECT id, principal, short_id, name, scopes, created_at, expires_at, revoked_at, networks, used_at, renews
FROM access.api_keys
ORDER BY id DESC;

-- name: lock_key
-- A key in use that is about to change.
SELECT id, principal, short_id, name, scopes, created_at, expires_at, revoked_at, networks, used_at, renews
FROM access.api_keys
WHERE id = %(id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(at)s)
FOR UPDATE;

-- name: end_key
-- The key works until then and no longer.
UPDATE access.api_keys SET expires_at = %(expires_at)s WHERE id = %(id)s;

-- name: revoke_key
-- End a key; the first revocation's time stays.
UPDATE access.api_keys SET revoked_at = %(at)s WHERE id = %(id)s AND revoked_at IS NULL RETURNING id;
