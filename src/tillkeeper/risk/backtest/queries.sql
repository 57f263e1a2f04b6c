-- name: waiting
-- How many are asked for or under way.
SELECT count(*) FROM risk.backtests WHERE state IN ('asked', 'running');

-- name: ask
-- A backtest for the agent to do.
INSERT INTO risk.backtests (id, at, author, from_at, to_at, rules, rules_sha256, model, base_rules, base_model)
VALUES (%(id)s, %(at)s, %(author)s, %(from_at)s, %(to_at)s, %(rules)s, %(rules_sha256)s, %(model)s, %(base_rules)s,
        %(base_model)s);

-- name: keep
-- A backtest that was done where it was asked for.
INSERT INTO risk.backtests (id, at, author, from_at, to_at, rules, rules_sha256, model, base_rules, base_model,
                            state, share, begun_at, ended_at, report)
VALUES (%(id)s, %(at)s, %(author)s, %(from_at)s, %(to_at)s, %(rules)s, %(rules_sha256)s, %(model)s, %(base_rules)s,
        %(base_model)s, 'done', 1, %(begun_at)s, %(at)s, %(report)s::text::jsonb);

-- name: one
-- One backtest with its report.
SELECT id, at, author, from_at, to_at, rules, model, base_rules, base_model, state, share, begun_at, ended_at, said, report
FROM risk.backtests WHERE id = %(id)s;

-- name: latest
-- The newest backtests, without their reports.
SELECT id, at, author, from_at, to_at, rules, model, base_rules, base_model, state, share, begun_at, ended_at, said,
       NULL::jsonb AS report
FROM risk.backtests ORDER BY id DESC LIMIT %(count)s;

-- name: of_rules
-- The newest backtest of a text of rules.
SELECT id, at, author, from_at, to_at, rules, model, base_rules, base_model, state, share, begun_at, ended_at, said, report
FROM risk.backtests WHERE rules_sha256 = %(rules_sha256)s ORDER BY id DESC LIMIT 1;

-- name: again
-- What an agent that died had begun is to be done by the next one.
UPDATE risk.backtests SET state = 'asked', share = 0 WHERE state = 'running';

-- name: claim
-- The one that waited the longest.
UPDATE risk.backtests SET state = 'running', begun_at = %(at)s
WHERE id = (SELECT id FROM risk.backtests WHERE state = 'asked' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id;

-- name: tell
-- How far it is.
UPDATE risk.backtests SET share = %(share)s WHERE id = %(id)s AND state = 'running';

-- name: finish
-- What came of it.
UPDATE risk.backtests SET state = 'done', share = 1, ended_at = %(at)s, report = %(report)s::text::jsonb
WHERE id = %(id)s AND state = 'running';

-- name: fail
-- Nothing came of it.
UPDATE risk.backtests SET state = 'failed', ended_at = %(at)s, said = %(said)s
WHERE id = %(id)s AND state = 'running';

-- name: logins
-- Of logins with the right password: whether it was somebody else (the second proof failed, or a payment from the login's
-- device or address was reported as fraud within a while), the customer (the proof passed), or nobody knows. Those that
-- were let in and not reported are left out.
WITH reported AS (
    SELECT DISTINCT l.id
    FROM risk.labels AS said
    JOIN risk.decisions AS d ON d.id = said.payment
    JOIN risk.logins AS l ON l.customer = d.customer AND l.id BETWEEN %(first)s AND %(last)s AND l.id < d.id
     AND l.at > d.at - %(within)s AND (l.device = d.device OR l.ip = d.ip)
    WHERE said.payment > %(first)s AND said.payment < %(until)s AND said.known_at <= %(as_of)s AND said.fraud
      AND NOT EXISTS (SELECT FROM risk.labels AS later
                      WHERE later.payment = said.payment AND later.known_at <= %(as_of)s AND later.id > said.id)
)
SELECT l.id, CASE WHEN r.id IS NOT NULL THEN true ELSE NOT a.passed END
FROM risk.logins AS l
LEFT JOIN reported AS r ON r.id = l.id
LEFT JOIN LATERAL (
    SELECT bool_or(passed) AS passed FROM risk.login_answers WHERE login = l.id AND at <= %(as_of)s
) AS a ON l.outcome = 'ask_again'
WHERE l.id BETWEEN %(first)s AND %(last)s AND l.succeeded AND (l.outcome <> 'allow' OR r.id IS NOT NULL);
