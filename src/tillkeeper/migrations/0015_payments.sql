-- payments: sealed webhook secrets.

-- `secret` held them in the clear before there was a vault: `till migrate` seals them into `signing_secret` and empties it.
ALTER TABLE payments.webhook_endpoints
    ALTER COLUMN secret DROP NOT NULL,
    ADD COLUMN signing_secret bytea,
    ADD CONSTRAINT webhook_endpoints_secret CHECK ((secret IS NULL) = (signing_secret IS NOT NULL));
