-- name: outcomes
-- Logins by slot of time and outcome since a moment, and how many of them failed; among a bounded number of rows.
SELECT date_bin(%(slot)s, at, %(since)s) AS slot, outcome, count(*), count(*) FILTER (WHERE NOT succeeded)
FROM (SELECT at, outcome, succeeded FROM risk.logins WHERE id >= %(first)s ORDER BY id DESC LIMIT %(rows)s) AS newest
WHERE at >= %(since)s GROUP BY 1, 2 ORDER BY 1, 2;

-- name: by_network
-- The networks with most failures since a moment: logins, failures, customers, addresses.
SELECT coalesce(network, '') AS network, coalesce(country, '') AS country, count(*),
       count(*) FILTER (WHERE NOT succeeded) AS failed, count(DISTINCT customer), count(DISTINCT ip)
FROM (
    SELECT network, country, succeeded, customer, ip, at FROM risk.logins WHERE id >= %(first)s ORDER BY id DESC LIMIT %(rows)s
) AS newest
WHERE at >= %(since)s GROUP BY 1, 2 ORDER BY failed DESC, count(*) DESC LIMIT %(limit)s;

-- name: riskiest
-- The logins of the highest score since a moment.
SELECT l.id, l.at, l.succeeded, l.outcome, l.score, l.reasons, l.device, l.ip, l.network, l.country, l.browser, l.system,
       (SELECT a.passed FROM risk.login_answers AS a WHERE a.login = l.id ORDER BY a.id DESC LIMIT 1), l.customer
FROM (SELECT * FROM risk.logins WHERE id >= %(first)s ORDER BY id DESC LIMIT %(rows)s) AS l
WHERE l.at >= %(since)s ORDER BY l.score DESC, l.id DESC LIMIT %(limit)s;

-- name: answered
-- What became of those who gave the right password and were asked again since a moment: passed, failed, never answered.
SELECT count(*) FILTER (WHERE passed), count(*) FILTER (WHERE NOT passed), count(*) FILTER (WHERE passed IS NULL)
FROM (
    SELECT (SELECT bool_or(a.passed) FROM risk.login_answers AS a WHERE a.login = l.id) AS passed
    FROM (SELECT id, outcome, succeeded, at FROM risk.logins WHERE id >= %(first)s ORDER BY id DESC LIMIT %(rows)s) AS l
    WHERE l.outcome = 'ask_again' AND l.succeeded AND l.at >= %(since)s
) AS asked;

-- name: staff
-- The newest sign-ins of the platform's own people.
SELECT id, at, person, way, outcome, score, reasons, ip, network, country, browser, system
FROM risk.staff_logins ORDER BY id DESC LIMIT %(limit)s;

-- name: rule_hits
-- How often each reason stood beside the newest logins since a moment; rules' names are among the reasons.
SELECT reason, sum(logins)::bigint FROM (
    SELECT reasons, count(*) AS logins FROM (
        SELECT at, reasons FROM risk.logins WHERE id >= %(first)s ORDER BY id DESC LIMIT %(rows)s
    ) AS newest
    WHERE at >= %(since)s GROUP BY reasons
) AS alike CROSS JOIN unnest(reasons) AS reason
GROUP BY reason;
