-- name: push
-- The fault that the tour plants: money goes from one account to another, and no transfer says so.
UPDATE ledger.accounts SET balance = balance + CASE WHEN id = %(to)s THEN %(amount)s ELSE -%(amount)s END
WHERE id IN (%(from)s, %(to)s);
