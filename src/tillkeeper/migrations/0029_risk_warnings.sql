-- risk: early warning: signals of the platform, alerts about customers and merchants, what a machine proposes against them.

-- Something that left its band, or an attack that a detector sees; open while `over_at` is unset.
-- `about_kind`, `about`: what it is about: a rule's name, a merchant's or customer's id, a device, an address, a network; both
-- empty: the platform. `log_e`, `log_bound`: natural logarithm of the evidence, and where it becomes a signal (0: no such test).
-- `money`: minor units of `currency`, the rules' reference, that went through within what was seen. `evidence`: JSON, bounded.
CREATE TABLE risk.signals (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,47}$'),
    about_kind text NOT NULL CHECK (about_kind IN ('', 'rule', 'customer', 'merchant', 'device', 'ip', 'network')),
    about      text NOT NULL,
    severity   text NOT NULL CHECK (severity IN ('page', 'ticket', 'info')),
    direction  text NOT NULL CHECK (direction IN ('up', 'down')),
    begun_at   timestamptz NOT NULL,  -- event time of the first of what is seen in it
    found_at   timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    over_at    timestamptz,
    value      double precision NOT NULL,
    usual      double precision,
    log_e      double precision NOT NULL,
    log_bound  double precision NOT NULL,
    events     bigint NOT NULL,
    money      bigint NOT NULL,
    currency   char(3) NOT NULL,
    evidence   json NOT NULL
);
-- The same trouble is one signal for as long as it lasts.
CREATE UNIQUE INDEX signals_open ON risk.signals (kind, about_kind, about) WHERE over_at IS NULL;
GRANT SELECT, INSERT ON risk.signals TO till_app;
GRANT UPDATE (severity, seen_at, over_at, value, usual, log_e, events, money, evidence) ON risk.signals TO till_app;

-- A customer or merchant that somebody should look at, and why: a decision (`payment`), a login, a detector's hit (`signal`).
-- `amount`, `expected_loss`: minor units of `currency`, the rules' reference; expected_loss = amount × probability_ppm / 10^6.
-- `queued`: within the alert budget: those are worked on; what is below it is kept and counted, and may be drawn up later.
CREATE TABLE risk.alerts (
    id              uuid PRIMARY KEY,
    kind            text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,47}$'),
    subject_kind    text NOT NULL CHECK (subject_kind IN ('customer', 'merchant')),
    subject         uuid NOT NULL,
    at              timestamptz NOT NULL,  -- when it happened
    found_at        timestamptz NOT NULL,
    payment         uuid,
    login           uuid,
    signal          uuid REFERENCES risk.signals,
    outcome         text NOT NULL,         -- what was decided about the payment or login; empty: nothing
    reasons         text[] NOT NULL,       -- names of the rules that hit
    amount          bigint NOT NULL CHECK (amount >= 0),
    currency        char(3) NOT NULL,
    probability_ppm integer NOT NULL CHECK (probability_ppm BETWEEN 0 AND 1000000),
    expected_loss   bigint NOT NULL CHECK (expected_loss >= 0),
    queued          boolean NOT NULL,
    CONSTRAINT alerts_source CHECK (num_nonnulls(payment, login, signal) >= 1)
);
CREATE UNIQUE INDEX alerts_by_payment ON risk.alerts (payment, kind, subject) WHERE payment IS NOT NULL;
CREATE UNIQUE INDEX alerts_by_login ON risk.alerts (login, kind) WHERE login IS NOT NULL;
CREATE UNIQUE INDEX alerts_by_signal ON risk.alerts (signal, subject) WHERE signal IS NOT NULL AND payment IS NULL AND login IS NULL;
CREATE INDEX alerts_by_subject ON risk.alerts (subject, id);
CREATE INDEX alerts_by_loss ON risk.alerts (expected_loss DESC, id) WHERE queued;
GRANT SELECT, INSERT ON risk.alerts TO till_app;
GRANT UPDATE (queued) ON risk.alerts TO till_app;

-- What a machine proposes against a signal: a short-lived rule as the text of one [[rule]], with its end inside. Only a person
-- puts it live.
CREATE TABLE risk.remedies (
    id     uuid PRIMARY KEY,
    signal uuid NOT NULL REFERENCES risk.signals,
    at     timestamptz NOT NULL,
    name   text NOT NULL,
    rule   text NOT NULL,
    until  timestamptz NOT NULL
);
CREATE INDEX remedies_by_signal ON risk.remedies (signal);
GRANT SELECT, INSERT ON risk.remedies TO till_app;

-- What people did about a signal. `proposal`: of the rules that came of its remedy.
CREATE TABLE risk.signal_acts (
    id       uuid PRIMARY KEY,
    signal   uuid NOT NULL REFERENCES risk.signals,
    at       timestamptz NOT NULL,
    person   text NOT NULL,
    act      text NOT NULL CHECK (act IN ('closed', 'proposed')),
    reason   text NOT NULL,
    proposal text NOT NULL DEFAULT ''
);
CREATE INDEX signal_acts_by_signal ON risk.signal_acts (signal, id);
GRANT SELECT, INSERT ON risk.signal_acts TO till_app;

-- What a stream of the platform counted in an hour of event time: the past that its daily and weekly rhythm is read from.
CREATE TABLE risk.stream_hours (
    stream text NOT NULL,
    hour   timestamptz NOT NULL,
    trials bigint NOT NULL,
    hits   bigint NOT NULL,
    PRIMARY KEY (stream, hour)
);
CREATE INDEX stream_hours_by_age ON risk.stream_hours (hour);
GRANT SELECT, INSERT, DELETE ON risk.stream_hours TO till_app;

-- How far each reader of history has come: everything that a snapshot of the database saw (`next_xid`: the first
-- transaction after it, `open_xids`: those under way), so that what commits late is not missed.
CREATE TABLE risk.warning_cursors (
    reader    text PRIMARY KEY,
    at        timestamptz NOT NULL,
    next_xid  bigint NOT NULL,
    open_xids bigint[] NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON risk.warning_cursors TO till_app;
