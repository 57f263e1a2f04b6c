-- name: make
-- The least a ledger can be: two balances, a transfer with both running balances, an entry.
CREATE TABLE accounts (id integer PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 60);
CREATE TABLE transfers (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    debit          integer NOT NULL,
    credit         integer NOT NULL,
    amount         bigint NOT NULL,
    debit_balance  bigint NOT NULL,
    credit_balance bigint NOT NULL
);
CREATE TABLE entries (transfer bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE FUNCTION transfer(debit integer, credit integer, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one         bigint;
    other       bigint;
    transfer_id bigint;
BEGIN
    IF debit < credit THEN
        SELECT balance INTO one FROM accounts WHERE id = debit FOR UPDATE;
        SELECT balance INTO other FROM accounts WHERE id = credit FOR UPDATE;
    ELSE
        SELECT balance INTO other FROM accounts WHERE id = credit FOR UPDATE;
        SELECT balance INTO one FROM accounts WHERE id = debit FOR UPDATE;
    END IF;
    IF one < amount THEN
        RAISE EXCEPTION 'insufficient funds';
    END IF;
    UPDATE accounts SET balance = one - amount WHERE id = debit;
    UPDATE accounts SET balance = other + amount WHERE id = credit;
    INSERT INTO transfers (debit, credit, amount, debit_balance, credit_balance)
    VALUES (debit, credit, amount, one - amount, other + amount) RETURNING id INTO transfer_id;
    INSERT INTO entries (transfer) VALUES (transfer_id);
END;
$$;
INSERT INTO accounts SELECT id, 1000000000 FROM generate_series(1, 10000) AS id;
