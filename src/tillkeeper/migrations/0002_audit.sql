-- audit: what people and keys did. Append only.

CREATE SCHEMA audit;
GRANT USAGE ON SCHEMA audit TO till_app;

CREATE TABLE audit.events (
    id      uuid PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    action  text NOT NULL,
    subject text NOT NULL,
    reason  text NOT NULL DEFAULT '',
    origin  text NOT NULL DEFAULT ''
);
CREATE INDEX events_by_subject ON audit.events (subject, id);
GRANT SELECT, INSERT ON audit.events TO till_app;
