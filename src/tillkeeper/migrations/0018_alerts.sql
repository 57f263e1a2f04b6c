-- monitoring: what objectives counted, how rules stand, alerts and what became of them, silences, notices, components.

-- What an objective counted in a minute: `good` of `total` answers, or of looks; `blind`: looks that saw nothing.
CREATE TABLE monitoring.objective_minutes (
    objective text NOT NULL,
    minute    timestamptz NOT NULL,
    good      bigint NOT NULL CHECK (good BETWEEN 0 AND total),
    total     bigint NOT NULL,
    blind     integer NOT NULL,
    seen_at   timestamptz NOT NULL,  -- everything before this moment is counted
    PRIMARY KEY (objective, minute)
);
CREATE INDEX objective_minutes_by_age ON monitoring.objective_minutes (minute);
GRANT SELECT, INSERT, UPDATE, DELETE ON monitoring.objective_minutes TO till_app;

-- How each rule stands, by the labels that tell its instances apart (JSON, its keys sorted).
CREATE TABLE monitoring.standings (
    rule    text NOT NULL,
    labels  text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('fine', 'bad', 'unknown')),
    since   timestamptz NOT NULL,
    at      timestamptz NOT NULL,
    value   double precision,
    bound   double precision,
    PRIMARY KEY (rule, labels)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON monitoring.standings TO till_app;

-- `cause`: it is bad, or nothing is known. `told_at`: when people were last told that it fires.
CREATE TABLE monitoring.alerts (
    id              uuid PRIMARY KEY,
    rule            text NOT NULL,
    labels          text NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('page', 'ticket', 'info')),
    state           text NOT NULL CHECK (state IN ('firing', 'acknowledged', 'silenced', 'resolved')),
    cause           text NOT NULL CHECK (cause IN ('bad', 'unknown')),
    value           double precision,
    bound           double precision,
    fired_at        timestamptz NOT NULL,
    told_at         timestamptz,
    acknowledged_by text,
    silenced_until  timestamptz,
    resolved_at     timestamptz,
    CONSTRAINT alerts_silence CHECK ((state = 'silenced') = (silenced_until IS NOT NULL)),
    CONSTRAINT alerts_end CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
);
-- The same trouble is one alert for as long as it lasts.
CREATE UNIQUE INDEX alerts_open ON monitoring.alerts (rule, labels) WHERE state <> 'resolved';
CREATE INDEX alerts_past ON monitoring.alerts (resolved_at) WHERE state = 'resolved';
GRANT SELECT, INSERT, UPDATE ON monitoring.alerts TO till_app;

-- What became of it, in order.
CREATE TABLE monitoring.alert_events (
    id     uuid PRIMARY KEY,
    alert  uuid NOT NULL REFERENCES monitoring.alerts,
    at     timestamptz NOT NULL,
    kind   text NOT NULL CHECK (kind IN ('fired', 'fired_silenced', 'refired', 'reminded', 'changed', 'acknowledged', 'silenced',
                                         'unsilenced', 'resolved')),
    person text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX alert_events_by_alert ON monitoring.alert_events (alert, id);
GRANT SELECT, INSERT ON monitoring.alert_events TO till_app;

-- Nobody is told while one lasts; it always has an end. `labels` unset: every instance of the rule.
CREATE TABLE monitoring.silences (
    id       uuid PRIMARY KEY,
    rule     text NOT NULL,
    labels   text,
    person   text NOT NULL,
    reason   text NOT NULL,
    begun_at timestamptz NOT NULL,
    until    timestamptz NOT NULL CHECK (until >= begun_at)
);
CREATE INDEX silences_by_end ON monitoring.silences (until);
GRANT SELECT, INSERT ON monitoring.silences TO till_app;
GRANT UPDATE (until) ON monitoring.silences TO till_app;

-- What is told by channels: what happened at about one time is one notice. `taken`: the channels that have it, by digest.
CREATE TABLE monitoring.alert_notices (
    id     uuid PRIMARY KEY,
    at     timestamptz NOT NULL,
    lines  json NOT NULL,
    state  text NOT NULL CHECK (state IN ('due', 'sent', 'failed')),
    due_at timestamptz NOT NULL,
    tries  smallint NOT NULL DEFAULT 0,
    taken  text[] NOT NULL DEFAULT '{}',
    said   text NOT NULL DEFAULT ''
);
CREATE INDEX alert_notices_due ON monitoring.alert_notices (due_at) WHERE state = 'due';
CREATE INDEX alert_notices_by_age ON monitoring.alert_notices (at);
GRANT SELECT, INSERT, UPDATE, DELETE ON monitoring.alert_notices TO till_app;

-- How a part of the platform stood, and until when that was seen; what no row covers nobody has seen.
-- `seen_by`: the agent judges all of them; the status page sees by itself that the database does not answer.
CREATE TABLE monitoring.component_states (
    id        uuid PRIMARY KEY,
    component text NOT NULL,
    state     text NOT NULL CHECK (state IN ('works', 'degraded', 'down', 'unknown')),
    begun_at  timestamptz NOT NULL,
    seen_at   timestamptz NOT NULL CHECK (seen_at >= begun_at),
    seen_by   text NOT NULL CHECK (seen_by IN ('agent', 'status')),
    cause     text NOT NULL DEFAULT ''
);
CREATE INDEX component_states_by_end ON monitoring.component_states (seen_at);
CREATE INDEX component_states_newest ON monitoring.component_states (component, id) WHERE seen_by = 'agent';
GRANT SELECT, INSERT, DELETE ON monitoring.component_states TO till_app;
GRANT UPDATE (seen_at) ON monitoring.component_states TO till_app;
