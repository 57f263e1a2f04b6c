-- vault: class keys and their rotations.

CREATE SCHEMA vault;
GRANT USAGE ON SCHEMA vault TO till_app;

-- Class keys, wrapped by the root key `root`, which the database does not have. A destroyed one leaves its row, so that
-- a cell of its version is told from a cell of an unknown one.
CREATE TABLE vault.keys (
    class        text NOT NULL,
    purpose      text NOT NULL CHECK (purpose IN ('data', 'index')),
    version      integer NOT NULL CHECK (version > 0),
    state        text NOT NULL CHECK (state IN ('pending', 'active', 'decrypt_only', 'destroyed')),
    root         text NOT NULL,
    wrapped      bytea CHECK ((wrapped IS NULL) = (state = 'destroyed')),
    made_at      timestamptz NOT NULL,
    activated_at timestamptz,
    destroyed_at timestamptz,
    PRIMARY KEY (class, purpose, version)
);
CREATE UNIQUE INDEX keys_active ON vault.keys (class, purpose) WHERE state = 'active';
GRANT SELECT, INSERT, UPDATE ON vault.keys TO till_app;

-- A rotation and how far it has come: whoever starts one that was killed goes on from here. `version`: the new one.
-- `walked_table`, `next_block`: where it goes on; `done`: rows made anew, but for what a kill left uncounted.
CREATE TABLE vault.rotations (
    id           uuid PRIMARY KEY,
    purpose      text NOT NULL CHECK (purpose IN ('data', 'index')),
    version      integer NOT NULL,
    state        text NOT NULL CHECK (state IN ('spreading', 'walking', 'settling', 'done')),
    walked_table text NOT NULL DEFAULT '',
    next_block   bigint NOT NULL DEFAULT 0,
    done         bigint NOT NULL DEFAULT 0,
    actor        text NOT NULL,
    started_at   timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL,
    finished_at  timestamptz
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX rotations_open ON vault.rotations (purpose) WHERE finished_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON vault.rotations TO till_app;
