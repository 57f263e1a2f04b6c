-- name: logins_of
-- A customer's logins before an id, newest first, with the last answer to each.
SELECT l.id, l.at, l.succeeded, l.outcome, l.score, l.reasons, l.device, l.ip, l.network, l.country, l.browser, l.system,
       (SELECT a.passed FROM risk.login_answers AS a WHERE a.login = l.id ORDER BY a.id DESC LIMIT 1)
FROM risk.logins AS l WHERE l.customer = %(customer)s AND l.id < %(before)s ORDER BY l.id DESC LIMIT %(limit)s;

-- name: changes_of
-- A customer's changes of settings before an id, newest first.
SELECT id, at, kind, device, ip, network, country
FROM risk.setting_changes WHERE customer = %(customer)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s;

-- name: attempts_of
-- A customer's payments and payouts before an id, newest first, with the last word on what each turned out to be.
SELECT d.id, d.at, d.kind, d.outcome, d.reasons, d.amount, d.currency::text, d.payee, d.device, d.ip, l.fraud, l.known_at
FROM (
    SELECT * FROM risk.decisions WHERE customer = %(customer)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s
) AS d
LEFT JOIN LATERAL (
    SELECT fraud, known_at FROM risk.labels WHERE payment = d.id ORDER BY id DESC LIMIT 1
) AS l ON true
ORDER BY d.id DESC;

-- name: seen_before
-- Which of these devices a customer came from before an id, among a bounded number of entries.
SELECT device FROM (
    (SELECT device FROM risk.logins WHERE customer = %(customer)s AND id < %(before)s ORDER BY id DESC LIMIT %(look)s)
    UNION ALL
    (SELECT device FROM risk.setting_changes WHERE customer = %(customer)s AND id < %(before)s ORDER BY id DESC LIMIT %(look)s)
    UNION ALL
    (SELECT device FROM risk.decisions WHERE customer = %(customer)s AND id < %(before)s ORDER BY id DESC LIMIT %(look)s)
) AS earlier WHERE device = ANY (%(devices)b::text[]) GROUP BY device;
