-- name: count_try
-- Count one more try under a key, unless there were too many: then nothing comes back, and nothing is counted.
INSERT INTO access.tries AS t (key, tries, last_at)
VALUES (%(key)s, 1, %(at)s)
ON CONFLICT (key) DO UPDATE
SET tries = CASE WHEN t.last_at <= %(since)s THEN 1 ELSE t.tries + 1 END, last_at = %(at)s
WHERE t.tries < %(most)s OR t.last_at <= %(since)s
RETURNING tries;

-- name: uncount_try
-- A try that was right after all.
UPDATE access.tries SET tries = greatest(tries - 1, 0) WHERE key = %(key)s;

-- name: forget_tries_of
-- A person proved themselves: what was tried before counts no more.
DELETE FROM access.tries WHERE key = %(key)s;

-- name: begin_ceremony
-- What a browser was asked.
INSERT INTO access.ceremonies (token_hash, kind, person, asked, expires_at)
VALUES (%(token_hash)s, %(kind)s, %(person)s, %(asked)s, %(expires_at)s);

-- name: take_ceremony
-- What a browser was asked, to be answered now and never again.
DELETE FROM access.ceremonies
WHERE token_hash = %(token_hash)s AND kind = %(kind)s AND expires_at > %(at)s
RETURNING person, asked;

-- name: add_passkey
-- A passkey that a person enrolled; nothing when it is enrolled already.
INSERT INTO access.passkeys (id, person, name, public_key, uses, created_at)
VALUES (%(id)s, %(person)s, %(name)s, %(public_key)s, %(uses)s, %(at)s)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: find_passkey
-- A passkey of somebody who may come in, locked until its use is written down.
SELECT k.person, k.public_key, k.uses, p.passkey_user
FROM access.passkeys k JOIN access.people p USING (person)
WHERE k.id = %(id)s AND p.state = 'active'
FOR UPDATE OF k;

-- name: use_passkey
-- A passkey was used.
UPDATE access.passkeys SET uses = %(uses)s, used_at = %(at)s WHERE id = %(id)s;

-- name: list_passkeys
-- A person's passkeys, the oldest first.
SELECT id, name, created_at, used_at FROM access.passkeys WHERE person = %(person)s ORDER BY created_at, id;

-- name: remove_passkey
-- One passkey of a person.
DELETE FROM access.passkeys WHERE id = %(id)s AND person = %(person)s RETURNING name;

-- name: passkey_user
-- What authenticators know a person by.
SELECT passkey_user FROM access.people WHERE person = %(person)s;

-- name: find_password
-- What a password is checked with; nobody's for who may not come in.
SELECT w.hash FROM access.passwords w JOIN access.people p USING (person)
WHERE w.person = %(person)s AND p.state = 'active';

-- name: set_password
-- A person's password from now on.
INSERT INTO access.passwords (person, hash, changed_at) VALUES (%(person)s, %(hash)s, %(at)s)
ON CONFLICT (person) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at;

-- name: rehash_password
-- The same password hashed with the parameters of today, unless it was changed meanwhile.
UPDATE access.passwords SET hash = %(hash)s WHERE person = %(person)s AND hash = %(old)s;

-- name: remove_password
-- A person has no password any more.
DELETE FROM access.passwords WHERE person = %(person)s RETURNING person;

-- name: begin_totp
-- An authenticator's secret that is not proved yet; a proved one is not replaced.
INSERT INTO access.totp AS t (person, secret, created_at) VALUES (%(person)s, %(secret)s, %(at)s)
ON CONFLICT (person) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at
WHERE t.proved_at IS NULL
RETURNING person;

-- name: find_totp
-- A person's authenticator.
SELECT secret, proved_at, last_step FROM access.totp WHERE person = %(person)s;

-- name: prove_totp
-- The first code was right: the authenticator counts from now on.
UPDATE access.totp SET proved_at = %(at)s WHERE person = %(person)s AND proved_at IS NULL;

-- name: use_totp
-- Use a code up: of two tries with the code of one time step, one gets the row.
UPDATE access.totp SET last_step = %(step)s WHERE person = %(person)s AND last_step < %(step)s RETURNING person;

-- name: remove_totp
-- A person has no authenticator any more.
DELETE FROM access.totp WHERE person = %(person)s RETURNING proved_at;

-- name: add_recovery_codes
-- New recovery codes.
INSERT INTO access.recovery_codes (person, code_hash, created_at)
SELECT %(person)s, unnest(%(hashes)s::bytea[]), %(at)s;

-- name: remove_recovery_codes
-- The old ones open nothing any more.
DELETE FROM access.recovery_codes WHERE person = %(person)s;

-- name: use_recovery_code
-- Use a code up, of somebody who may come in.
UPDATE access.recovery_codes r SET used_at = %(at)s
FROM access.people p
WHERE r.person = %(person)s AND r.code_hash = %(code_hash)s AND r.used_at IS NULL
  AND p.person = r.person AND p.state = 'active'
RETURNING r.person;

-- name: find_identity
-- Who an identity provider's subject is here, if they may come in.
SELECT i.person FROM access.identities i JOIN access.people p USING (person)
WHERE i.issuer = %(issuer)s AND i.subject = %(subject)s AND p.state = 'active';

-- name: bind_identity
-- From now on this subject is this person: if they may come in, and each is bound to nobody else.
INSERT INTO access.identities (issuer, subject, person, created_at)
SELECT %(issuer)s, %(subject)s, person, %(at)s FROM access.people WHERE person = %(person)s AND state = 'active'
ON CONFLICT DO NOTHING
RETURNING person;

-- name: remove_identity
-- A provider vouches for a person no more.
DELETE FROM access.identities WHERE person = %(person)s AND issuer = %(issuer)s RETURNING issuer;

-- name: factors
-- What people can prove themselves with: of one person, or of all.
SELECT p.person,
       (SELECT count(*) FROM access.passkeys k WHERE k.person = p.person),
       EXISTS (SELECT FROM access.passwords w WHERE w.person = p.person),
       EXISTS (SELECT FROM access.totp t WHERE t.person = p.person AND t.proved_at IS NOT NULL),
       (SELECT count(*) FROM access.recovery_codes r WHERE r.person = p.person AND r.used_at IS NULL),
       ARRAY(SELECT i.issuer FROM access.identities i WHERE i.person = p.person ORDER BY i.issuer)
FROM access.people p
WHERE %(person)s::text IS NULL OR p.person = %(person)s;
