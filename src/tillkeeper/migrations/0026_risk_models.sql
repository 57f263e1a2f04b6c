-- risk: models, champion and challengers, what challengers would have said.

-- Every model that ever scored, as its blob (risk/models/artifact.py): a receipt names its number, so it can be computed again.
CREATE TABLE risk.models (
    version  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256   bytea NOT NULL UNIQUE,
    kind     text NOT NULL CHECK (kind IN ('fraud', 'anomaly')),
    name     text NOT NULL,
    artifact bytea NOT NULL,
    made_at  timestamptz NOT NULL,
    made_by  text NOT NULL
);
GRANT SELECT, INSERT ON risk.models TO till_app;

-- What people did with models. Each row says what was in force after it, so the last row is the present and undoing is
-- writing an earlier row's state again.
CREATE TABLE risk.model_acts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    by          text NOT NULL,
    act         text NOT NULL CHECK (act IN ('challenge', 'promote', 'retire', 'undo')),
    model       integer NOT NULL REFERENCES risk.models,
    reason      text NOT NULL,
    approval    uuid,
    undoes      bigint UNIQUE REFERENCES risk.model_acts,
    champion    integer REFERENCES risk.models,
    challengers integer[] NOT NULL,
    anomaly     integer REFERENCES risk.models
);
GRANT SELECT, INSERT ON risk.model_acts TO till_app;

-- What each model in force said about a payment while there was a challenger: the champion's row is what happened.
CREATE TABLE risk.shadow_scores (
    payment uuid NOT NULL,
    model   integer NOT NULL,
    score   double precision NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('allow', 'challenge', 'hold', 'deny')),
    PRIMARY KEY (payment, model)
);
GRANT SELECT, INSERT ON risk.shadow_scores TO till_app;
