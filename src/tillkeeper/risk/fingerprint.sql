-- name: fingerprint
-- Count, sum and digest of the decisions before an id.
SELECT count(*), coalesce(sum(amount), 0),
       coalesce(sum(hash_record_extended(ROW (id, at, customer, payee, amount, outcome, rule_set), 0)::numeric), 0)
FROM risk.decisions WHERE id < %(before)s;
