-- name: fingerprint
-- Count and digest of the events before an id.
SELECT count(*), 0, coalesce(sum(hash_record_extended(ROW (id, at, actor, action, subject, reason, origin, result), 0)::numeric), 0)
FROM audit.events WHERE id < %(before)s;
