-- name: fingerprint
-- Count, sum and digest of the transfers before an id.
SELECT count(*), coalesce(sum(amount), 0),
       coalesce(sum(hash_record_extended(ROW (id, debit_account, credit_account, amount, kind, payment, debit_balance,
                                              credit_balance), 0)::numeric), 0)
FROM ledger.transfers WHERE id < %(before)s;
