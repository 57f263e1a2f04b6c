-- ledger: accounts, transfers, holds. The application may read; only ledger.post_v1 and ledger.open_v1 write.

CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO till_app;

-- Balances are counted on the account's own side: credits - debits for 'credit', debits - credits for 'debit'.
-- `held` is the part of the balance that open holds reserve. `version` counts the transfers applied,
-- `booked_at` is the last one's booking time.
-- `day`, `day_spent`: what left the account on the newest business day, against `day_limit` (see post_v1).
-- fillfactor: balances change constantly; room in the page keeps the updates HOT (no index is touched).
CREATE TABLE ledger.accounts (
    id          uuid PRIMARY KEY,
    currency    char(3) NOT NULL,
    side        text NOT NULL CHECK (side IN ('debit', 'credit')),
    purpose     text NOT NULL,
    lower_limit bigint,
    day_limit   bigint CHECK (day_limit >= 0),
    balance     bigint NOT NULL DEFAULT 0,
    held        bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    version     bigint NOT NULL DEFAULT 0,
    day         date,
    day_spent   bigint NOT NULL DEFAULT 0 CHECK (day_spent >= 0),
    booked_at   timestamptz,
    opened_at   timestamptz NOT NULL,
    CONSTRAINT within_limit CHECK (lower_limit IS NULL OR balance - held >= lower_limit)
) WITH (fillfactor = 60);
GRANT SELECT ON ledger.accounts TO till_app;

-- One debit, one credit, one positive amount. The running balance and version of both sides make every account
-- a chain that can be checked link by link.
CREATE TABLE ledger.transfers (
    id             uuid PRIMARY KEY,
    debit_account  uuid NOT NULL,
    credit_account uuid NOT NULL CHECK (credit_account <> debit_account),
    amount         bigint NOT NULL CHECK (amount > 0),
    kind           text NOT NULL,
    payment        uuid NOT NULL,
    hold           uuid,
    reverses       uuid,
    debit_balance  bigint NOT NULL,
    credit_balance bigint NOT NULL,
    debit_version  bigint NOT NULL,
    credit_version bigint NOT NULL,
    counted_day    date,
    event_at       timestamptz NOT NULL,
    booked_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX transfers_by_debit ON ledger.transfers (debit_account, debit_version);
CREATE UNIQUE INDEX transfers_by_credit ON ledger.transfers (credit_account, credit_version);
CREATE INDEX transfers_by_payment ON ledger.transfers (payment);
CREATE UNIQUE INDEX transfers_by_reversed ON ledger.transfers (reverses) WHERE reverses IS NOT NULL;
GRANT SELECT ON ledger.transfers TO till_app;

-- A reservation on the debit account. open -> captured | voided | expired; captured may be less than amount.
CREATE TABLE ledger.holds (
    id             uuid PRIMARY KEY,
    debit_account  uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    captured       bigint NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'captured', 'voided', 'expired')),
    payment        uuid NOT NULL,
    counted_day    date,
    expires_at     timestamptz NOT NULL,
    held_at        timestamptz NOT NULL,
    closed_at      timestamptz
) WITH (fillfactor = 80);
CREATE INDEX holds_by_payment ON ledger.holds (payment);
GRANT SELECT ON ledger.holds TO till_app;
