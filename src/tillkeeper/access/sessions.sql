-- name: create_sign_in
-- A link that opens one session, for a person who may come in.
INSERT INTO access.sign_ins (token_hash, person, kind, created_at, expires_at)
SELECT %(token_hash)s, person, %(kind)s, %(created_at)s, %(expires_at)s
FROM access.people
WHERE person = %(person)s AND state = 'active'
RETURNING person;

-- name: use_sign_in
-- Use a link up: of two browsers with the same link one gets the row, the other waits and gets nothing.
UPDATE access.sign_ins s SET used_at = %(at)s
FROM access.people p
WHERE s.token_hash = %(token_hash)s AND s.used_at IS NULL AND s.expires_at > %(at)s
  AND p.person = s.person AND p.state = 'active'
RETURNING s.person, s.kind;

-- name: void_sign_ins
-- A person's links open nothing any more.
DELETE FROM access.sign_ins WHERE person = %(person)s;

-- name: create_session
-- A signed-in browser of a person who may come in; the roles of this moment.
INSERT INTO access.sessions (token_hash, person, csrf, created_at, seen_at, opened_by, origin, browser, confirmed_at)
SELECT %(token_hash)s, p.person, %(csrf)s, %(at)s, %(at)s, %(opened_by)s, %(origin)s, %(browser)s, %(confirmed_at)s
FROM access.people p
WHERE p.person = %(person)s AND p.state = 'active'
RETURNING (SELECT roles FROM access.people p WHERE p.person = sessions.person);

-- name: find_session
-- The session behind a cookie, unless it was ended, lay idle too long, is too old, or its person was suspended.
SELECT s.token_hash, s.person, s.csrf, s.created_at, s.seen_at, p.roles, s.confirmed_at, s.opened_by, s.origin, s.browser
FROM access.sessions s JOIN access.people p USING (person)
WHERE s.token_hash = %(token_hash)s AND s.ended_at IS NULL AND p.state = 'active'
  AND s.seen_at > %(idle_since)s AND s.created_at > %(created_since)s;

-- name: touch_session
-- The person is still there.
UPDATE access.sessions SET seen_at = %(at)s WHERE token_hash = %(token_hash)s AND ended_at IS NULL;

-- name: confirm_session
-- The person gave a second factor just now.
UPDATE access.sessions SET confirmed_at = %(at)s WHERE token_hash = %(token_hash)s AND ended_at IS NULL;

-- name: doubt_session
-- The second factor given at the door does not count.
UPDATE access.sessions SET confirmed_at = NULL WHERE token_hash = %(token_hash)s AND ended_at IS NULL;

-- name: end_session
-- Sign out one browser.
UPDATE access.sessions SET ended_at = %(at)s
WHERE token_hash = %(token_hash)s AND ended_at IS NULL
RETURNING person;

-- name: end_sessions_of
-- Sign a person out everywhere, but for one browser if that is named.
UPDATE access.sessions SET ended_at = %(at)s
WHERE person = %(person)s AND ended_at IS NULL AND token_hash IS DISTINCT FROM %(but)s
RETURNING token_hash;

-- name: list_sessions
-- The browsers signed in now, of one person or all, the most recently used first.
SELECT s.token_hash, s.person, s.csrf, s.created_at, s.seen_at, p.roles, s.confirmed_at, s.opened_by, s.origin, s.browser
FROM access.sessions s JOIN access.people p USING (person)
WHERE s.ended_at IS NULL AND p.state = 'active' AND (%(person)s::text IS NULL OR s.person = %(person)s)
  AND s.seen_at > %(idle_since)s AND s.created_at > %(created_since)s
ORDER BY s.seen_at DESC;

-- name: forget_sign_ins
-- Links that can no longer open anything.
DELETE FROM access.sign_ins WHERE expires_at <= %(at)s;

-- name: forget_sessions
-- Sessions that can no longer be used; the audit keeps who signed in and out.
DELETE FROM access.sessions WHERE ended_at IS NOT NULL OR seen_at <= %(idle_since)s OR created_at <= %(created_since)s;

-- name: forget_ceremonies
-- Those nobody answered in time.
DELETE FROM access.ceremonies WHERE expires_at <= %(at)s;

-- name: forget_tries
-- Tries too long ago to count.
DELETE FROM access.tries WHERE last_at <= %(since)s;
