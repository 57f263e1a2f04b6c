-- access: people, their factors, the links and sessions by which they come in.

-- A person is never deleted: the audit trail speaks of them by this handle. Roles are words of the policies; of the
-- three that administer, one person has at most one.
CREATE TABLE access.people (
    person       text PRIMARY KEY CHECK (person ~ '^[a-z0-9][a-z0-9._@+-]{0,63}$'),
    name         text NOT NULL,
    roles        text[] NOT NULL,
    state        text NOT NULL CHECK (state IN ('active', 'suspended')),
    passkey_user bytea NOT NULL UNIQUE,  -- what authenticators know the person by: random, says nothing
    created_at   timestamptz NOT NULL,
    CONSTRAINT one_admin_role CHECK (
        (roles @> '{system_admin}')::int + (roles @> '{security_admin}')::int + (roles @> '{audit_admin}')::int <= 1)
);
GRANT SELECT, INSERT, UPDATE ON access.people TO till_app;

-- Links and sessions of before name people whom nobody wrote down: everybody signs in anew.
DELETE FROM access.sessions;
DELETE FROM access.sign_ins;
ALTER TABLE access.sign_ins
    ADD COLUMN kind text NOT NULL CHECK (kind IN ('link', 'invitation')),
    ADD FOREIGN KEY (person) REFERENCES access.people;
ALTER TABLE access.sessions
    ADD COLUMN opened_by text NOT NULL CHECK (opened_by IN ('link', 'passkey', 'password', 'recovery', 'provider')),
    ADD COLUMN origin text NOT NULL,
    ADD COLUMN browser text NOT NULL,
    ADD COLUMN confirmed_at timestamptz,  -- the last second factor, or the sign-in by link
    ADD FOREIGN KEY (person) REFERENCES access.people;
CREATE INDEX sessions_by_person ON access.sessions (person);

-- What a person can prove themselves with. A passkey's public key is no secret.
CREATE TABLE access.passkeys (
    id         bytea PRIMARY KEY CHECK (length(id) <= 1023),
    person     text NOT NULL REFERENCES access.people,
    name       text NOT NULL,
    public_key bytea NOT NULL,
    uses       bigint NOT NULL,  -- the authenticator's own count; those that are kept in several devices say 0 for ever
    created_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX passkeys_by_person ON access.passkeys (person);
GRANT SELECT, INSERT, UPDATE, DELETE ON access.passkeys TO till_app;

-- argon2id with its parameters and salt, as text.
CREATE TABLE access.passwords (
    person     text PRIMARY KEY REFERENCES access.people,
    hash       text NOT NULL,
    changed_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON access.passwords TO till_app;

-- The secret of an authenticator app, sealed. It counts once a code has proved it; `last_step` is the time step of the
-- last code taken, so that no code is taken twice.
CREATE TABLE access.totp (
    person     text PRIMARY KEY REFERENCES access.people,
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL,
    proved_at  timestamptz,
    last_step  bigint NOT NULL DEFAULT 0
);
GRANT SELECT, INSERT, UPDATE, DELETE ON access.totp TO till_app;

-- 80 random bits each, of which only the hash is kept.
CREATE TABLE access.recovery_codes (
    person     text NOT NULL REFERENCES access.people,
    code_hash  bytea NOT NULL,
    created_at timestamptz NOT NULL,
    used_at    timestamptz,
    PRIMARY KEY (person, code_hash)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON access.recovery_codes TO till_app;

-- Who an OpenID Connect provider says a person is: its name for them never changes and is never given to another.
CREATE TABLE access.identities (
    issuer     text NOT NULL,
    subject    text NOT NULL,
    person     text NOT NULL REFERENCES access.people,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (issuer, person)
);
GRANT SELECT, INSERT, DELETE ON access.identities TO till_app;

-- A sign-in or enrolment under way: what the server asked and must see answered, once, by the browser that was asked.
CREATE TABLE access.ceremonies (
    token_hash bytea PRIMARY KEY,
    kind       text NOT NULL,
    person     text REFERENCES access.people,
    asked      bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, DELETE ON access.ceremonies TO till_app;

-- Tries that count against a person or an address, by the hash of its name: who is unknown is counted like who is known.
CREATE TABLE access.tries (
    key     bytea PRIMARY KEY,
    tries   integer NOT NULL,
    last_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON access.tries TO till_app;
