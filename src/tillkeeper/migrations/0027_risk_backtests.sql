-- risk: backtests, asked for and done.

-- One backtest: rules and a model (null: none) over the payments of [from_at, to_at), beside a base (`base_rules` empty:
-- nothing is compared). Rules are kept as their text, so that a draft can be tried before anybody proposes it; its hash
-- finds the backtest of a proposal. What was asked never changes; how far it is, and what came of it, does.
CREATE TABLE risk.backtests (
    id           uuid PRIMARY KEY,
    at           timestamptz NOT NULL,
    author       text NOT NULL,
    from_at      timestamptz NOT NULL,
    to_at        timestamptz NOT NULL,
    rules        text NOT NULL,
    rules_sha256 bytea NOT NULL,
    model        integer,
    base_rules   text NOT NULL,
    base_model   integer,
    state        text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'running', 'done', 'failed')),
    share        double precision NOT NULL DEFAULT 0 CHECK (share BETWEEN 0 AND 1),
    begun_at     timestamptz,
    ended_at     timestamptz,
    said         text NOT NULL DEFAULT '',
    report       jsonb,
    CHECK (from_at < to_at),
    CHECK ((state = 'done') = (report IS NOT NULL))
);
CREATE INDEX backtests_of_rules ON risk.backtests (rules_sha256, id DESC);
CREATE INDEX backtests_open ON risk.backtests (id) WHERE state IN ('asked', 'running');
GRANT SELECT, INSERT ON risk.backtests TO till_app;
GRANT UPDATE (state, share, begun_at, ended_at, said, report) ON risk.backtests TO till_app;
