-- parties: customers and merchants.

CREATE SCHEMA parties;
GRANT USAGE ON SCHEMA parties TO till_app;

CREATE TABLE parties.customers (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'frozen')),
    reference  text UNIQUE,
    created_at timestamptz NOT NULL
);
-- The console finds people and shops by the beginning of their name.
CREATE INDEX customers_by_name ON parties.customers (lower(name) text_pattern_ops, id);
GRANT SELECT, INSERT, UPDATE ON parties.customers TO till_app;

CREATE TABLE parties.merchants (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    category   text NOT NULL,
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'closed')),
    fee_bps    integer NOT NULL CHECK (fee_bps BETWEEN 0 AND 10000),
    latitude   double precision,
    longitude  double precision,
    reference  text UNIQUE,
    created_at timestamptz NOT NULL
);
CREATE INDEX merchants_by_name ON parties.merchants (lower(name) text_pattern_ops, id);
GRANT SELECT, INSERT, UPDATE ON parties.merchants TO till_app;
