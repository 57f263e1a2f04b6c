-- payments: wallets, payment orders and their moves, refunds, rail attempts, QR codes, webhooks.

CREATE SCHEMA payments;
GRANT USAGE ON SCHEMA payments TO till_app;

-- A wallet is an owner's ledger account in one currency. The platform's own accounts have the nil owner.
CREATE TABLE payments.wallets (
    owner     uuid NOT NULL,
    currency  char(3) NOT NULL,
    purpose   text NOT NULL,
    account   uuid NOT NULL UNIQUE,
    opened_at timestamptz NOT NULL,
    PRIMARY KEY (owner, currency, purpose)
);
GRANT SELECT, INSERT ON payments.wallets TO till_app;

-- One payment order of any kind: 'payment' (to a merchant), 'send' (to a person), 'top_up', 'withdrawal' (by a
-- customer), 'payout' (to a merchant's bank). The bank's side is the nil party. `fee_bps`: the rate agreed.
CREATE TABLE payments.payments (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL,
    state       text NOT NULL,
    payer       uuid NOT NULL,
    payee       uuid NOT NULL,
    amount      bigint NOT NULL CHECK (amount > 0),
    currency    char(3) NOT NULL,
    fee_bps     integer NOT NULL DEFAULT 0,
    fee         bigint NOT NULL DEFAULT 0 CHECK (fee >= 0),
    captured    bigint NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    refunded    bigint NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND captured),
    manual      boolean NOT NULL DEFAULT false,
    risk        text,
    failure     text,
    hold        uuid,
    reference   text,
    note        text,
    event_at    timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    expires_at  timestamptz
) WITH (fillfactor = 85);
CREATE INDEX payments_by_payer ON payments.payments (payer, id);
CREATE INDEX payments_by_payee ON payments.payments (payee, id);
CREATE INDEX payments_by_reference ON payments.payments (reference) WHERE reference IS NOT NULL;
-- The few that wait for somebody: challenge, review, capture or a rail.
CREATE INDEX payments_waiting ON payments.payments (state, id)
    WHERE state IN ('pending', 'challenged', 'in_review', 'authorized');
CREATE INDEX payments_expiring ON payments.payments (expires_at)
    WHERE state IN ('pending', 'challenged', 'in_review', 'authorized') AND expires_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON payments.payments TO till_app;

-- Every change of state after the first, in order: the payment's story.
CREATE TABLE payments.moves (
    id        uuid PRIMARY KEY,
    payment   uuid NOT NULL,
    from_state text NOT NULL,
    to_state  text NOT NULL,
    amount    bigint NOT NULL DEFAULT 0,
    actor     text NOT NULL,
    reason    text NOT NULL DEFAULT '',
    at        timestamptz NOT NULL
);
CREATE INDEX moves_by_payment ON payments.moves (payment, id);
GRANT SELECT, INSERT ON payments.moves TO till_app;

CREATE TABLE payments.refunds (
    id         uuid PRIMARY KEY,
    payment    uuid NOT NULL REFERENCES payments.payments,
    amount     bigint NOT NULL CHECK (amount > 0),
    fee_returned bigint NOT NULL DEFAULT 0,
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL
);
CREATE INDEX refunds_by_payment ON payments.refunds (payment, id);
GRANT SELECT, INSERT ON payments.refunds TO till_app;

-- A one-time code for a challenged payment, kept hashed; `tries` bounds guessing.
CREATE TABLE payments.challenges (
    payment   uuid PRIMARY KEY,
    code_hash bytea NOT NULL,
    tries     smallint NOT NULL DEFAULT 0
);
GRANT SELECT, INSERT, UPDATE ON payments.challenges TO till_app;

-- A durable attempt on an external rail: written before the rail is called, so a crash between is finished later.
-- `acknowledged`: the bank has said that it has it, so from then on it is only asked, never sent again.
CREATE TABLE payments.rail_attempts (
    id         uuid PRIMARY KEY,
    payment    uuid NOT NULL,
    rail       text NOT NULL,
    direction  text NOT NULL CHECK (direction IN ('in', 'out')),
    amount     bigint NOT NULL,
    currency   char(3) NOT NULL,
    instruction text NOT NULL DEFAULT '',
    state      text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'accepted', 'rejected')),
    tries      smallint NOT NULL DEFAULT 0,
    acknowledged boolean NOT NULL DEFAULT false,
    due_at     timestamptz NOT NULL,
    answer     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX rail_attempts_due ON payments.rail_attempts (due_at) WHERE state IN ('due', 'sent');
CREATE INDEX rail_attempts_by_payment ON payments.rail_attempts (payment);
GRANT SELECT, INSERT, UPDATE ON payments.rail_attempts TO till_app;

-- What a merchant shows: fixed amount (paid once) or open amount (paid any number of times).
CREATE TABLE payments.qr_codes (
    id         uuid PRIMARY KEY,
    merchant   uuid NOT NULL,
    currency   char(3) NOT NULL,
    amount     bigint CHECK (amount > 0),
    reference  text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    paid_by    uuid
);
CREATE INDEX qr_codes_by_payment ON payments.qr_codes (paid_by) WHERE paid_by IS NOT NULL;
CREATE INDEX qr_codes_by_merchant ON payments.qr_codes (merchant, id);
GRANT SELECT, INSERT, UPDATE ON payments.qr_codes TO till_app;

-- `failures`: tries that failed since the last success; while there are any, the endpoint is only probed, and not
-- before `paused_until`.
CREATE TABLE payments.webhook_endpoints (
    id          uuid PRIMARY KEY,
    url         text NOT NULL,
    topics      text[] NOT NULL,
    secret      text NOT NULL,
    failures    integer NOT NULL DEFAULT 0,
    paused_until timestamptz,
    disabled_at timestamptz,
    created_at  timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON payments.webhook_endpoints TO till_app;

-- One message to one endpoint. `outbox_id` makes the fan-out of a news row idempotent. A message that is being
-- sent stays 'due' with `due_at` moved on: after a crash it is simply due again.
CREATE TABLE payments.webhook_deliveries (
    id         uuid PRIMARY KEY,
    endpoint   uuid NOT NULL REFERENCES payments.webhook_endpoints ON DELETE CASCADE,
    outbox_id  bigint NOT NULL,
    topic      text NOT NULL,
    subject    uuid NOT NULL,
    payload    text NOT NULL,
    state      text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'delivered', 'failed')),
    tries      smallint NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL,
    last_answer text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    UNIQUE (endpoint, outbox_id)
) WITH (fillfactor = 70);
CREATE INDEX webhook_deliveries_due ON payments.webhook_deliveries (endpoint, due_at, id) WHERE state = 'due';
CREATE INDEX webhook_deliveries_by_subject ON payments.webhook_deliveries (subject, endpoint, outbox_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON payments.webhook_deliveries TO till_app;

-- What an api process measured in one second, for the console: durations from a command's arrival in the queue to its
-- answer. Kept for a day.
CREATE TABLE payments.samples (
    at       timestamptz NOT NULL,
    turns    integer NOT NULL,
    payments integer NOT NULL,
    p50_us   integer NOT NULL,
    p99_us   integer NOT NULL,
    max_us   integer NOT NULL
);
CREATE INDEX samples_by_time ON payments.samples (at);
GRANT SELECT, INSERT, DELETE ON payments.samples TO till_app;
