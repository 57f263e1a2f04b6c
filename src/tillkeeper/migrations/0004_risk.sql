-- risk: decision receipts, fraud labels, rule sets. Receipts and labels are append only.

CREATE SCHEMA risk;
GRANT USAGE ON SCHEMA risk TO till_app;

-- Every rule set that ever decided, as its text: a receipt names its version, so it can be re-computed later.
CREATE TABLE risk.rule_sets (
    version   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256    bytea NOT NULL UNIQUE,
    source    text NOT NULL,
    features  text[] NOT NULL,
    loaded_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.rule_sets TO till_app;

-- Which rule set decides from when on; the last row is the active one.
CREATE TABLE risk.activations (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_set integer NOT NULL REFERENCES risk.rule_sets,
    at       timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.activations TO till_app;

-- The receipt of one decision, and at the same time the history that profiles are rebuilt from: `id` is the
-- payment's id (UUIDv7, so its order is the order of arrival), `at` the event time.
-- `features`: the values the rule set reads, little-endian float64, in the order of rule_sets.features.
CREATE TABLE risk.decisions (
    id           uuid PRIMARY KEY,
    at           timestamptz NOT NULL,
    kind         text NOT NULL,
    customer     uuid NOT NULL,
    payee        uuid NOT NULL,
    amount       bigint NOT NULL,
    currency     char(3) NOT NULL,
    device       text,
    ip           text,
    latitude     double precision,
    longitude    double precision,
    outcome      text NOT NULL CHECK (outcome IN ('allow', 'challenge', 'hold', 'deny')),
    reasons      text[] NOT NULL,
    rule_set     integer NOT NULL,
    features     bytea NOT NULL
);
-- Few payments hit a rule: those are counted and listed.
CREATE INDEX decisions_hit ON risk.decisions (id) WHERE reasons <> '{}';
GRANT SELECT, INSERT ON risk.decisions TO till_app;

-- What a payment turned out to be, and since when that is known.
CREATE TABLE risk.labels (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment    uuid NOT NULL,
    fraud      boolean NOT NULL,
    source     text NOT NULL,
    known_at   timestamptz NOT NULL,
    written_at timestamptz NOT NULL
);
CREATE INDEX labels_by_payment ON risk.labels (payment);
GRANT SELECT, INSERT ON risk.labels TO till_app;
