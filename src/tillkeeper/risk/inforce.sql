-- name: one_at_a_time
-- Whoever changes what is in force goes one after the other: numbers are in the order of commits, and readers miss none.
SELECT pg_advisory_xact_lock(hashtextextended('risk.in_force', 0));

-- name: add_rule_set
-- A rule set seen for the first time gets a version; NOT EXISTS keeps known ones from using numbers up.
INSERT INTO risk.rule_sets (sha256, source, features, loaded_at)
SELECT %(sha256)s, %(source)s, %(features)s, %(at)s
WHERE NOT EXISTS (SELECT FROM risk.rule_sets WHERE sha256 = %(sha256)s)
ON CONFLICT (sha256) DO NOTHING;

-- name: rule_set_version
-- The version of a text.
SELECT version FROM risk.rule_sets WHERE sha256 = %(sha256)s;

-- name: activate
-- From now on this rule set decides; nothing is written, and nothing returned, if it does already, if the proposal did, or
-- if another one decides than the proposal was made from.
INSERT INTO risk.activations (rule_set, at, origin, proposal, author)
SELECT %(version)s, %(at)s, %(origin)s, %(proposal)s, %(author)s
FROM (SELECT (SELECT rule_set FROM risk.activations ORDER BY id DESC LIMIT 1) AS rule_set) AS now
WHERE now.rule_set IS DISTINCT FROM %(version)s
  AND NOT EXISTS (SELECT FROM risk.proposals AS p WHERE p.id = %(proposal)s AND p.base IS DISTINCT FROM now.rule_set)
ON CONFLICT (proposal) WHERE proposal IS NOT NULL DO NOTHING
RETURNING id;

-- name: last_activations
-- The rule sets that came into force, the last one first.
SELECT a.rule_set, a.at, a.origin, a.author, a.proposal, s.source
FROM risk.activations AS a JOIN risk.rule_sets AS s ON s.version = a.rule_set
ORDER BY a.id DESC LIMIT %(limit)s;

-- name: has_history
-- Whether risk ever decided anything: without history there is nothing to try rules on.
SELECT EXISTS (SELECT FROM risk.decisions);

-- name: was_active
-- Whether a text ever decided.
SELECT EXISTS (
    SELECT FROM risk.activations AS a JOIN risk.rule_sets AS s ON s.version = a.rule_set WHERE s.source = %(source)s
);

-- name: add_proposal
-- A rule set that somebody would like to see in force.
INSERT INTO risk.proposals (id, rule_set, base, author, reason, at)
VALUES (%(id)s, %(rule_set)s, %(base)s, %(author)s, %(reason)s, %(at)s);

-- name: proposals
-- Proposals, the newest first, or one of them.
SELECT p.id, p.rule_set, p.base, p.author, p.reason, p.at, s.source, s.sha256,
       (SELECT a.at FROM risk.activations AS a WHERE a.proposal = p.id) AS active_since,
       p.rule_set = (SELECT rule_set FROM risk.activations ORDER BY id DESC LIMIT 1) AS active,
       (SELECT b.id FROM risk.backtests AS b
        WHERE b.rules_sha256 = sha256(convert_to(s.source, 'UTF8')) AND b.state = 'done' ORDER BY b.id DESC LIMIT 1) AS backtest
FROM risk.proposals AS p JOIN risk.rule_sets AS s ON s.version = p.rule_set
WHERE %(id)s::uuid IS NULL OR p.id = %(id)s
ORDER BY p.id DESC LIMIT %(limit)s;

-- name: revision
-- What tells whether anything that is in force has changed, and the number of the last label.
SELECT coalesce((SELECT max(id) FROM risk.activations), 0), coalesce((SELECT max(id) FROM risk.listings), 0),
       coalesce((SELECT max(id) FROM risk.mutes), 0), coalesce((SELECT max(id) FROM risk.model_acts), 0),
       coalesce((SELECT max(id) FROM risk.feature_acts), 0),
       coalesce((SELECT max(id) FROM risk.labels), 0);

-- name: add_configuration
-- A configuration met for the first time gets a version; NOT EXISTS keeps known ones from using numbers up.
INSERT INTO risk.configurations (sha256, rule_set, champion, anomaly, columns, at)
SELECT %(sha256)s, %(rule_set)s, %(champion)s, %(anomaly)s, %(columns)s, %(at)s
WHERE NOT EXISTS (SELECT FROM risk.configurations WHERE sha256 = %(sha256)s)
ON CONFLICT (sha256) DO NOTHING;

-- name: configuration_version
-- The version of a configuration.
SELECT version FROM risk.configurations WHERE sha256 = %(sha256)s;

-- name: write_listing
-- An entry of a list, or its end.
INSERT INTO risk.listings (list, entity, key, ended, until, reason, author, at)
VALUES (%(list)s, %(entity)s, %(key)s, %(ended)s, %(until)s, %(reason)s, %(author)s, %(at)s);

-- name: listings
-- The entries in force at a moment, the newest first.
SELECT list, entity, key, until, reason, author, at, ended FROM (
    SELECT DISTINCT ON (list, entity, key) id, list, entity, key, until, reason, author, at, ended
    FROM risk.listings ORDER BY list, entity, key, id DESC
) AS last
WHERE NOT ended AND (until IS NULL OR until > %(at)s) ORDER BY id DESC LIMIT %(limit)s;

-- name: count_listings
-- How many entries are in force at a moment.
SELECT count(*) FROM (
    SELECT DISTINCT ON (list, entity, key) until, ended FROM risk.listings ORDER BY list, entity, key, id DESC
) AS last
WHERE NOT ended AND (until IS NULL OR until > %(at)s);

-- name: listings_of
-- What the lists say of one, the newest first, ended entries too.
SELECT list, entity, key, until, reason, author, at, ended FROM risk.listings
WHERE entity = %(entity)s AND key = %(key)s ORDER BY id DESC LIMIT %(limit)s;

-- name: write_mute
-- A rule falls silent, or speaks again.
INSERT INTO risk.mutes (rule, entity, key, ended, until, reason, author, at)
VALUES (%(rule)s, %(entity)s, %(key)s, %(ended)s, %(until)s, %(reason)s, %(author)s, %(at)s);

-- name: mutes
-- The rules that are silent at a moment, the newest first.
SELECT rule, entity, key, until, reason, author, at, ended FROM (
    SELECT DISTINCT ON (rule, entity, key) id, rule, entity, key, until, reason, author, at, ended
    FROM risk.mutes ORDER BY rule, entity, key, id DESC
) AS last
WHERE NOT ended AND until > %(at)s ORDER BY id DESC LIMIT %(limit)s;

-- name: add_trips
-- Circuit breakers that opened.
INSERT INTO risk.trips (rule, rule_set, hits, at_most, within_s, at)
SELECT rule, %(rule_set)s, hits, at_most, within_s, at
FROM unnest(%(rules)b::text[], %(hits)b::integer[], %(at_most)b::integer[], %(within_s)b::integer[], %(ats)b::timestamptz[])
     AS t (rule, hits, at_most, within_s, at);

-- name: trips
-- Circuit breakers that opened lately, the newest first.
SELECT rule, rule_set, hits, at_most, within_s, at FROM risk.trips ORDER BY id DESC LIMIT %(limit)s;

-- name: note_engine
-- What the process that decides has in force.
INSERT INTO risk.engines (name, configuration, faults, label, filling, since, at)
VALUES (%(name)s, %(configuration)s, %(faults)s, %(label)s, %(filling)s, %(since)s, %(at)s)
ON CONFLICT (name) DO UPDATE
SET configuration = excluded.configuration, faults = excluded.faults, label = excluded.label, filling = excluded.filling,
    since = excluded.since, at = excluded.at;

-- name: engine
-- What the process that decides has in force, and when the oldest label was written that it has not learnt.
SELECT e.configuration, c.rule_set, c.champion, c.anomaly, e.faults, e.filling, e.since, e.at,
       (SELECT l.written_at FROM risk.labels AS l WHERE l.id > e.label ORDER BY l.id LIMIT 1) AS behind_since
FROM risk.engines AS e LEFT JOIN risk.configurations AS c ON c.version = e.configuration
WHERE e.name = %(name)s;
