-- name: expired_payments
-- Payments that nobody came for in time, the longest overdue first.
SELECT id FROM payments.payments
WHERE state IN ('pending', 'challenged', 'in_review', 'authorized') AND expires_at <= %(now)s
ORDER BY expires_at
LIMIT %(limit)s;

-- name: forget_samples
-- Samples that no chart shows any more.
DELETE FROM payments.samples WHERE at < %(before)s;
