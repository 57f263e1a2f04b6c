-- risk: what is in force and who put it there; what a decision was made under; lists, mutes, bypassed payments. All of it
-- is history: in force is what was said last.

-- Who put a rule set in force: the package, a file named in the settings, or people who agreed to a proposal.
ALTER TABLE risk.activations
    ADD COLUMN origin text NOT NULL DEFAULT 'file' CHECK (origin IN ('package', 'file', 'people')),
    ADD COLUMN proposal uuid,
    ADD COLUMN author text NOT NULL DEFAULT 'system';
CREATE UNIQUE INDEX activations_of_proposal ON risk.activations (proposal) WHERE proposal IS NOT NULL;

-- A rule set that somebody would like to see in force. `base`: what was in force when it was written; `author`: a
-- person's handle, or "watch" for what the machine proposes.
CREATE TABLE risk.proposals (
    id       uuid PRIMARY KEY,
    rule_set integer NOT NULL REFERENCES risk.rule_sets,
    base     integer REFERENCES risk.rule_sets,
    author   text NOT NULL,
    reason   text NOT NULL,
    at       timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.proposals TO till_app;

-- What decisions are made under. `champion`, `anomaly`: versions of models, null where none scores. `columns`: the names of a
-- receipt's values, in their order: what rules and models read.
CREATE TABLE risk.configurations (
    version  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256   bytea NOT NULL UNIQUE,
    rule_set integer NOT NULL REFERENCES risk.rule_sets,
    champion integer,
    anomaly  integer,
    columns  text[] NOT NULL,
    at       timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.configurations TO till_app;

-- `configuration`: null in receipts older than configurations, whose values stand in the order of rule_sets.features.
-- `effects`: what kept a hit from deciding, or decided beside the rules: "shadow:RULE", "muted:RULE", "weakened:RULE",
-- "blocked:ENTITY", "trusted:ENTITY", "bypassed:OUTCOME".
ALTER TABLE risk.decisions
    ADD COLUMN configuration integer,
    ADD COLUMN effects text[] NOT NULL DEFAULT '{}';

-- Would-be holds and challenges that were let through, to measure what stopping them would have been worth.
CREATE TABLE risk.bypasses (
    payment uuid PRIMARY KEY,
    outcome text NOT NULL CHECK (outcome IN ('challenge', 'hold')),
    at      timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.bypasses TO till_app;

-- Entries of the lists, and their ends: of one (list, entity, key) the last word counts. `key`: the id of a customer or
-- payee, or the text of a device or address. `until`: null for no end, which only a block and a watch may have.
CREATE TABLE risk.listings (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list   text NOT NULL CHECK (list IN ('block', 'trust', 'watch')),
    entity text NOT NULL CHECK (entity IN ('customer', 'payee', 'device', 'ip')),
    key    text NOT NULL,
    ended  boolean NOT NULL,
    until  timestamptz,
    reason text NOT NULL,
    author text NOT NULL,
    at     timestamptz NOT NULL,
    CHECK (list <> 'trust' OR ended OR until IS NOT NULL)
);
CREATE INDEX listings_last ON risk.listings (list, entity, key, id DESC);
GRANT SELECT, INSERT ON risk.listings TO till_app;

-- Rules that are silent for a while, for everybody (`entity` and `key` empty) or for one; the last word counts.
CREATE TABLE risk.mutes (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule   text NOT NULL,
    entity text NOT NULL DEFAULT '' CHECK (entity IN ('', 'customer', 'payee', 'device', 'ip')),
    key    text NOT NULL DEFAULT '',
    ended  boolean NOT NULL,
    until  timestamptz NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    at     timestamptz NOT NULL
);
CREATE INDEX mutes_last ON risk.mutes (rule, entity, key, id DESC);
GRANT SELECT, INSERT ON risk.mutes TO till_app;

-- A rule's circuit breaker opened: it hit more often than it may, so its outcome is weakened to a challenge.
-- `hits` within `within_s` seconds were more than `at_most`.
CREATE TABLE risk.trips (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule     text NOT NULL,
    rule_set integer NOT NULL,
    hits     integer NOT NULL,
    at_most  integer NOT NULL,
    within_s integer NOT NULL,
    at       timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.trips TO till_app;

-- What the process that decides has in force: the one state of this file. `faults`: what it was told and could not take,
-- so that it goes on with what it had. `label`: the last label it learnt; `filling`: features that it still fills from history.
CREATE TABLE risk.engines (
    name          text PRIMARY KEY,
    configuration integer NOT NULL,
    faults        text[] NOT NULL,
    label         bigint NOT NULL,
    filling       integer NOT NULL,
    since         timestamptz NOT NULL,
    at            timestamptz NOT NULL
);
GRANT SELECT, INSERT ON risk.engines TO till_app;
GRANT UPDATE (configuration, faults, label, filling, since, at) ON risk.engines TO till_app;
