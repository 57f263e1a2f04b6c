-- access: API keys, and the people who sign in to the console.

CREATE SCHEMA access;
GRANT USAGE ON SCHEMA access TO till_app;

-- A key is shown once; only the SHA-256 of its secret is kept (it has 256 random bits, so a slow hash adds nothing).
-- It is found by `short_id`, the readable part of its text. `principal` outlives the key: keys are rotated, idempotency keys stay bound to the principal.
CREATE TABLE access.api_keys (
    id          uuid PRIMARY KEY,
    principal   uuid NOT NULL,
    short_id    text NOT NULL UNIQUE,
    name        text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz
);
GRANT SELECT, INSERT, UPDATE ON access.api_keys TO till_app;

-- One-time sign-in links and the sessions they open. Tokens are kept hashed.
CREATE TABLE access.sign_ins (
    token_hash bytea PRIMARY KEY,
    person     text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON access.sign_ins TO till_app;

CREATE TABLE access.sessions (
    token_hash bytea PRIMARY KEY,
    person     text NOT NULL,
    csrf       text NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    ended_at   timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON access.sessions TO till_app;
