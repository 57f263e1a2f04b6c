-- name: one_at_a_time
-- Changes of the declared features wait for each other until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('risk.features'));

-- name: features
-- Everything that was ever declared, with the last thing done with it.
SELECT f.number, f.name, f.source, f.author, f.at, a.act, a.author AS act_author, a.reason, a.at AS act_at
FROM risk.features f
JOIN LATERAL (SELECT act, author, reason, at FROM risk.feature_acts WHERE feature = f.number ORDER BY id DESC LIMIT 1) a ON true
ORDER BY f.number LIMIT %(limit)s;

-- name: add
-- A declaration met for the first time.
INSERT INTO risk.features (name, source, sha256, author, at)
VALUES (%(name)s, %(source)s, %(sha256)s, %(author)s, %(at)s) RETURNING number;

-- name: act
-- What was done with a feature.
INSERT INTO risk.feature_acts (feature, act, author, reason, at)
VALUES (%(feature)s, %(act)s, %(author)s, %(reason)s, %(at)s);

-- name: revision
-- What tells whether a feature was declared or retired since.
SELECT coalesce(max(id), 0) FROM risk.feature_acts;
