-- name: add_person
-- Somebody new; nothing when the handle is taken.
INSERT INTO access.people (person, name, roles, state, passkey_user, created_at)
VALUES (%(person)s, %(name)s, %(roles)s, 'active', %(passkey_user)s, %(at)s)
ON CONFLICT (person) DO NOTHING
RETURNING person;

-- name: find_person
-- One person.
SELECT person, name, roles, state, created_at FROM access.people WHERE person = %(person)s;

-- name: lock_person
-- One person, whose row is to change.
SELECT person, name, roles, state, created_at FROM access.people WHERE person = %(person)s FOR UPDATE;

-- name: list_people
-- Everybody, by handle.
SELECT person, name, roles, state, created_at FROM access.people ORDER BY person;

-- name: is_anybody
-- Whether there are people at all.
SELECT EXISTS (SELECT FROM access.people);

-- name: set_roles
-- What a person is from now on.
UPDATE access.people SET roles = %(roles)s WHERE person = %(person)s;

-- name: set_state
-- Suspend or take back.
UPDATE access.people SET state = %(state)s WHERE person = %(person)s;

-- name: without_second_factor
-- Active people with any role whom neither a passkey nor an authenticator protects.
SELECT person FROM access.people p
WHERE state = 'active' AND roles <> '{}'
  AND NOT EXISTS (SELECT FROM access.passkeys k WHERE k.person = p.person)
  AND NOT EXISTS (SELECT FROM access.totp t WHERE t.person = p.person AND t.proved_at IS NOT NULL)
ORDER BY person;
