-- parties: customers' sealed columns, legal holds, the register of erasures.

-- `name` held names in the clear before there was a vault: `till migrate` seals what stands in it into `full_name` and
-- empties it; nothing writes it any more. A cell of no bytes, and a sealing key of none, are what an erasure leaves.
ALTER TABLE parties.customers
    ALTER COLUMN name DROP NOT NULL,
    ADD COLUMN sealing_key bytea,
    ADD COLUMN full_name bytea,
    ADD COLUMN full_name_tag bytea,
    ADD COLUMN phone bytea,
    ADD COLUMN phone_tag bytea,
    ADD COLUMN id_number bytea,
    ADD COLUMN id_number_tag bytea,
    DROP CONSTRAINT customers_state_check,
    ADD CONSTRAINT customers_state_check CHECK (state IN ('active', 'frozen', 'erased')),
    ADD CONSTRAINT customers_named CHECK ((name IS NULL) = (full_name IS NOT NULL)),
    ADD CONSTRAINT customers_sealed CHECK ((full_name IS NULL) = (sealing_key IS NULL)),
    ADD CONSTRAINT customers_erased CHECK (state <> 'erased' OR (
        length(sealing_key) = 0 AND length(full_name) = 0 AND full_name_tag IS NULL
        AND coalesce(length(phone), 0) = 0 AND phone_tag IS NULL
        AND coalesce(length(id_number), 0) = 0 AND id_number_tag IS NULL
    ));
DROP INDEX parties.customers_by_name;
-- Equal names, phones and id numbers are found by their blind index; what is to be sealed, by being in the clear.
CREATE INDEX customers_by_full_name ON parties.customers (full_name_tag);
CREATE INDEX customers_by_phone ON parties.customers (phone_tag) WHERE phone_tag IS NOT NULL;
CREATE INDEX customers_by_id_number ON parties.customers (id_number_tag) WHERE id_number_tag IS NOT NULL;
CREATE INDEX customers_in_the_clear ON parties.customers (id) WHERE name IS NOT NULL;

-- What a court or an authority wants kept: while one is open, its customer is not erased.
CREATE TABLE parties.legal_holds (
    id             uuid PRIMARY KEY,
    customer       uuid NOT NULL REFERENCES parties.customers,
    reason         text NOT NULL,
    placed_by      text NOT NULL,
    placed_at      timestamptz NOT NULL,
    released_by    text,
    released_at    timestamptz,
    release_reason text NOT NULL DEFAULT '',
    CONSTRAINT released CHECK ((released_by IS NULL) = (released_at IS NULL))
);
CREATE UNIQUE INDEX legal_holds_open ON parties.legal_holds (customer) WHERE released_at IS NULL;
GRANT SELECT, INSERT ON parties.legal_holds TO till_app;
GRANT UPDATE (released_by, released_at, release_reason) ON parties.legal_holds TO till_app;

-- Who was erased, by whom and why; the same lines stand in a file outside the database, from which a restored database
-- learns whom to erase again. Append only. No foreign key: an older copy may not know the customer yet.
CREATE TABLE parties.erasures (
    customer  uuid PRIMARY KEY,
    actor     text NOT NULL,
    reason    text NOT NULL,
    erased_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON parties.erasures TO till_app;
