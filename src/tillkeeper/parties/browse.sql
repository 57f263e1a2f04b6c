-- name: merchants_named
-- Merchants whose name begins with a text, by name. The pattern operators make it a range of the index also in a
-- generic plan, where LIKE could not.
SELECT id, name, category, state, fee_bps, latitude, longitude, reference, created_at FROM parties.merchants
WHERE lower(name) ~>=~ lower(%(text)s) AND lower(name) ~<~ (lower(%(text)s) || chr(1114111))
ORDER BY lower(name) USING ~<~, id LIMIT %(limit)s;
