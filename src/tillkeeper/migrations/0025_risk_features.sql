-- risk: features that the installation declares, beside those that come with the package.

-- One declaration: written once, never changed; `number` orders the matrix's columns behind the package's. `source`: the
-- declaration as JSON, in the language of risk/declarations.py.
CREATE TABLE risk.features (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name   text NOT NULL UNIQUE,
    source text NOT NULL,
    sha256 bytea NOT NULL,
    author text NOT NULL,
    at     timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.features TO till_app;

-- What was done with a feature; the last act tells whether it is computed.
CREATE TABLE risk.feature_acts (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feature integer NOT NULL REFERENCES risk.features,
    act     text NOT NULL CHECK (act IN ('add', 'retire')),
    author  text NOT NULL,
    reason  text NOT NULL,
    at      timestamptz NOT NULL
);
CREATE INDEX feature_acts_of ON risk.feature_acts (feature, id);
GRANT SELECT, INSERT ON risk.feature_acts TO till_app;
