-- name: add
-- A model seen for the first time gets a version; NOT EXISTS keeps known ones from using numbers up.
INSERT INTO risk.models (sha256, kind, name, artifact, made_at, made_by)
SELECT %(sha256)s, %(kind)s, %(name)s, %(artifact)s, %(at)s, %(by)s
WHERE NOT EXISTS (SELECT FROM risk.models WHERE sha256 = %(sha256)s)
ON CONFLICT (sha256) DO NOTHING
RETURNING version;

-- name: version_of
-- The number of a blob.
SELECT version FROM risk.models WHERE sha256 = %(sha256)s;

-- name: blob
-- A model whole.
SELECT artifact FROM risk.models WHERE version = %(version)s;

-- name: named
-- The model of a number, and models of a name that may look like one, the newest first.
SELECT version, name, kind, encode(sha256, 'hex') AS sha256, made_at, made_by FROM risk.models
WHERE version = %(version)s OR name = %(name)s ORDER BY coalesce(version = %(version)s, false) DESC, version DESC LIMIT 2;

-- name: newest
-- The newest models, and all that are in force.
SELECT version, name, kind, encode(sha256, 'hex') AS sha256, made_at, made_by FROM risk.models
WHERE version = ANY (%(in_force)s::integer[])
   OR version IN (SELECT version FROM risk.models ORDER BY version DESC LIMIT %(limit)s)
ORDER BY version DESC;

-- name: one_at_a_time
-- Acts on models wait for each other until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('risk.model_acts', 0));

-- name: in_force
-- What the last act left.
SELECT id, champion, challengers, anomaly FROM risk.model_acts ORDER BY id DESC LIMIT 1;

-- name: revision
-- The number of the last act.
SELECT coalesce(max(id), 0) FROM risk.model_acts;

-- name: add_act
-- An act and what is in force after it.
INSERT INTO risk.model_acts (at, by, act, model, reason, approval, undoes, champion, challengers, anomaly)
VALUES (%(at)s, %(by)s, %(act)s, %(model)s, %(reason)s, %(approval)s, %(undoes)s, %(champion)s, %(challengers)s, %(anomaly)s)
RETURNING id;

-- name: acts
-- What people did, the newest first.
SELECT id, at, by, act, model, reason, approval, undoes, champion, challengers, anomaly
FROM risk.model_acts ORDER BY id DESC LIMIT %(limit)s;

-- name: approved
-- Whether an approval has been carried out already.
SELECT id FROM risk.model_acts WHERE approval = %(approval)s;

-- name: promotion
-- The newest promotion that nobody took back.
SELECT id, model FROM risk.model_acts AS done
WHERE act = 'promote' AND NOT EXISTS (SELECT FROM risk.model_acts WHERE undoes = done.id)
ORDER BY id DESC LIMIT 1;

-- name: before
-- What was in force before an act.
SELECT id, champion, challengers, anomaly FROM risk.model_acts WHERE id < %(id)s ORDER BY id DESC LIMIT 1;

-- name: reigns
-- Models that people had decide in a role, the last one first, without those that were taken back from deciding since: an
-- undo or a retirement says that a model did harm, whoever promoted it before.
WITH in_role AS (
    SELECT id, act, model, CASE %(role)s::text WHEN 'champion' THEN champion ELSE anomaly END AS decides
    FROM risk.model_acts
), steps AS (
    SELECT id, act, model, decides, lag(decides) OVER (ORDER BY id) AS decided FROM in_role
)
SELECT promoted.model FROM steps AS promoted
WHERE promoted.act = 'promote' AND promoted.decides = promoted.model
  AND NOT EXISTS (
    SELECT FROM steps AS taken
    WHERE taken.id > promoted.id AND taken.act IN ('undo', 'retire')
      AND taken.decided = promoted.model AND taken.decides IS DISTINCT FROM promoted.model)
GROUP BY promoted.model ORDER BY max(promoted.id) DESC LIMIT %(limit)s;

-- name: write_shadow
-- What models said about the payments of a turn; a turn that is tried again says it once.
INSERT INTO risk.shadow_scores (payment, model, score, outcome)
SELECT payment, model, score, outcome
FROM unnest(%(payments)b::uuid[], %(models)b::integer[], %(scores)b::float8[], %(outcomes)b::text[])
     AS t (payment, model, score, outcome)
ON CONFLICT DO NOTHING;

-- name: compared
-- Payments that were scored by all of these models and are old enough to be judged, the newest, as columns: what has one
-- width is packed in its binary form. Their latest label known by then counts, none being genuine. One row a model.
WITH judged AS (
    SELECT d.id, d.at, d.customer
    FROM risk.decisions d
    WHERE d.id >= %(from_id)s AND d.at >= %(since)s AND d.at < %(until)s
      AND (SELECT count(*) FROM risk.shadow_scores s WHERE s.payment = d.id AND s.model = ANY (%(models)s::integer[]))
          = cardinality(%(models)s::integer[])
    ORDER BY d.id DESC LIMIT %(limit)s
), known AS (
    SELECT j.*, coalesce((SELECT l.fraud FROM risk.labels l
                          WHERE l.payment = j.id AND l.known_at <= %(known_by)s ORDER BY l.id DESC LIMIT 1), false) AS fraud
    FROM judged j
)
SELECT s.model, string_agg(uuid_send(k.customer), '' ORDER BY k.id), string_agg(timestamptz_send(k.at), '' ORDER BY k.id),
       string_agg(float8send(s.score), '' ORDER BY k.id), string_agg(boolsend(s.outcome <> 'allow'), '' ORDER BY k.id),
       string_agg(boolsend(k.fraud), '' ORDER BY k.id)
FROM known k JOIN risk.shadow_scores s ON s.payment = k.id AND s.model = ANY (%(models)s::integer[])
GROUP BY s.model ORDER BY s.model;
