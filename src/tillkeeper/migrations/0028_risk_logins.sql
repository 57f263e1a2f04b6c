-- risk: logins, what they were asked and answered, changes of settings. Append only: profiles are rebuilt from them.

-- One try to log in and what was thought of it. `id` is a UUIDv7, so its order is the order of deciding; `at` the time
-- it happened. `agent`: a hash of the User-Agent, which itself is not kept. `known`: accepted logins of the customer that
-- it was compared with. The five `..._lift` are natural logarithms: how much likelier (above 0) or less likely (below 0)
-- the customer is to come like this than anybody is; null where nothing was given.
CREATE TABLE risk.logins (
    id           uuid PRIMARY KEY,
    at           timestamptz NOT NULL,
    customer     uuid NOT NULL,
    succeeded    boolean NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('allow', 'ask_again', 'block')),
    score        double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    reasons      text[] NOT NULL,
    known        integer NOT NULL,
    ip           text,
    network      text,
    country      text,
    agent        bytea,
    browser      text,
    system       text,
    device_kind  text,
    device       text,
    latitude     double precision,
    longitude    double precision,
    network_lift double precision,
    agent_lift   double precision,
    device_lift  double precision,
    hour_lift    double precision,
    place_lift   double precision
);
CREATE INDEX logins_by_customer ON risk.logins (customer, id);
-- What a login is compared with: whoever tries passwords all night leaves no rows here.
CREATE INDEX logins_accepted ON risk.logins (customer, id) WHERE succeeded AND outcome <> 'block';
GRANT SELECT, INSERT ON risk.logins TO till_app;

-- What came of asking again. A login that was asked counts as the customer's own from the answer that passed on.
CREATE TABLE risk.login_answers (
    id     uuid PRIMARY KEY,
    login  uuid NOT NULL REFERENCES risk.logins,
    passed boolean NOT NULL,
    at     timestamptz NOT NULL
);
CREATE INDEX login_answers_by_login ON risk.login_answers (login, id);
GRANT SELECT, INSERT ON risk.login_answers TO till_app;

-- What a customer changed of what protects them, or whom they may pay.
CREATE TABLE risk.setting_changes (
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL,
    customer uuid NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('phone', 'password', 'email', 'payee', 'device')),
    device   text,
    ip       text,
    network  text,
    country  text
);
CREATE INDEX setting_changes_by_customer ON risk.setting_changes (customer, id);
GRANT SELECT, INSERT ON risk.setting_changes TO till_app;

-- Sign-ins of the platform's own people to the console, scored the same way. `way`: how they proved themselves.
CREATE TABLE risk.staff_logins (
    id          uuid PRIMARY KEY,
    at          timestamptz NOT NULL,
    person      text NOT NULL,
    way         text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('allow', 'ask_again', 'block')),
    score       double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    reasons     text[] NOT NULL,
    known       integer NOT NULL,
    ip          text,
    network     text,
    country     text,
    agent       bytea,
    browser     text,
    system      text,
    device_kind text
);
CREATE INDEX staff_logins_by_person ON risk.staff_logins (person, id);
GRANT SELECT, INSERT ON risk.staff_logins TO till_app;

-- One customer's payments, newest first: the timeline. Logins and settings have theirs above.
CREATE INDEX decisions_by_customer ON risk.decisions (customer, id);
