-- risk: cases: what alerts become, who works on them, what was decided; and who shares a device, an address or a payee with whom.

-- A subject has one open case: what is alerted about it meanwhile belongs to it. `expected_loss`: of the payments alerted about,
-- probability times amount, each payment once; minor units of `currency`, the one that the rules count in.
CREATE TABLE risk.cases (
    id            uuid PRIMARY KEY,
    subject_kind  text NOT NULL CHECK (subject_kind IN ('customer', 'merchant')),
    subject       uuid NOT NULL,
    state         text NOT NULL CHECK (state IN ('open', 'closed')),
    severity      text NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    expected_loss bigint NOT NULL CHECK (expected_loss >= 0),
    currency      char(3) NOT NULL,
    alerts        integer NOT NULL CHECK (alerts > 0),
    opened_at     timestamptz NOT NULL,
    alerted_at    timestamptz NOT NULL,  -- the newest alert
    due_at        timestamptz NOT NULL,
    overdue_at    timestamptz,           -- when it was seen that nobody had decided in time; told once for each due time
    claimed_by    text,
    claimed_until timestamptz,
    verdict       text CHECK (verdict IN ('fraud', 'genuine', 'unclear')),
    closed_by     text,
    closed_at     timestamptz,
    CONSTRAINT cases_claim CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CONSTRAINT cases_end CHECK ((state = 'closed') = (verdict IS NOT NULL AND closed_by IS NOT NULL AND closed_at IS NOT NULL))
);
CREATE UNIQUE INDEX cases_open ON risk.cases (subject, subject_kind) WHERE state = 'open';
CREATE INDEX cases_queue ON risk.cases (expected_loss, id) WHERE state = 'open';
CREATE INDEX cases_due ON risk.cases (due_at) WHERE state = 'open';
CREATE INDEX cases_past ON risk.cases (closed_at, id) WHERE state = 'closed';
CREATE INDEX cases_by_subject ON risk.cases (subject, id);
GRANT SELECT, INSERT ON risk.cases TO till_app;
GRANT UPDATE (state, severity, expected_loss, alerts, alerted_at, due_at, overdue_at, claimed_by, claimed_until, verdict, closed_by,
              closed_at) ON risk.cases TO till_app;

-- What a case is made of: each alert belongs to one case.
CREATE TABLE risk.case_alerts (
    alert   uuid PRIMARY KEY REFERENCES risk.alerts,
    case_id uuid NOT NULL REFERENCES risk.cases,
    at      timestamptz NOT NULL
);
CREATE INDEX case_alerts_by_case ON risk.case_alerts (case_id, alert);
GRANT SELECT, INSERT ON risk.case_alerts TO till_app;
-- Which alerts within the budget belong to no case yet: few, and the newest.
CREATE INDEX alerts_queued ON risk.alerts (id) WHERE queued;

-- What became of a case, in order.
CREATE TABLE risk.case_events (
    id      uuid PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES risk.cases,
    at      timestamptz NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('opened', 'raised', 'claimed', 'released', 'handed_over', 'noted', 'overdue', 'decided',
                                          'reopened', 'listed')),
    person  text NOT NULL DEFAULT '',
    detail  text NOT NULL DEFAULT ''
);
CREATE INDEX case_events_by_case ON risk.case_events (case_id, id);
GRANT SELECT, INSERT ON risk.case_events TO till_app;

-- What people decided: a case that was opened again is decided again. `payments`: those that the verdict is about; their labels
-- stand in risk.labels, known since `at`.
CREATE TABLE risk.case_verdicts (
    id       uuid PRIMARY KEY,
    case_id  uuid NOT NULL REFERENCES risk.cases,
    at       timestamptz NOT NULL,
    person   text NOT NULL,
    verdict  text NOT NULL CHECK (verdict IN ('fraud', 'genuine', 'unclear')),
    reason   text NOT NULL,
    payments uuid[] NOT NULL
);
CREATE INDEX case_verdicts_by_case ON risk.case_verdicts (case_id, id);
GRANT SELECT, INSERT ON risk.case_verdicts TO till_app;

-- Who used a device or an address, paid somebody or had money paid out to an account, of late, and how often: made from
-- decisions and logins behind them, forgotten when it is old. It is here so that those need no further index where they are written.
CREATE TABLE risk.ties (
    kind     text NOT NULL CHECK (kind IN ('device', 'ip', 'payee', 'account')),
    entity   text NOT NULL,
    customer uuid NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    times    bigint NOT NULL CHECK (times > 0),
    PRIMARY KEY (kind, entity, customer)
);
CREATE INDEX ties_of_customer ON risk.ties (customer, last_at);
CREATE INDEX ties_by_age ON risk.ties (last_at);
GRANT SELECT, INSERT, DELETE ON risk.ties TO till_app;
GRANT UPDATE (first_at, last_at, times) ON risk.ties TO till_app;

-- How far a reader behind decisions or logins has come.
CREATE TABLE risk.case_readers (
    reader text PRIMARY KEY,
    last   uuid NOT NULL
);
GRANT SELECT, INSERT ON risk.case_readers TO till_app;
GRANT UPDATE (last) ON risk.case_readers TO till_app;
