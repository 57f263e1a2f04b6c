-- name: past
-- What each customer's logins are compared with: the newest that were let in, or asked again and passed.
SELECT c.customer, l.at, l.ip, l.network, l.country, l.agent, l.browser, l.system, l.device_kind, l.device, l.latitude,
       l.longitude
FROM unnest(%(customers)b::uuid[]) AS c (customer)
CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT * FROM risk.logins AS of
        WHERE of.customer = c.customer AND of.succeeded AND of.outcome <> 'block' ORDER BY of.id DESC LIMIT %(looked)s
    ) AS newest
    WHERE newest.outcome = 'allow'
       OR EXISTS (SELECT FROM risk.login_answers AS a WHERE a.login = newest.id AND a.passed)
    ORDER BY newest.id DESC LIMIT %(compared)s
) AS l;

-- name: everybody
-- The newest accepted logins of all customers, in the order in which they were accepted.
SELECT l.customer, l.at, l.ip, l.network, l.country, l.agent, l.browser, l.system, l.device_kind, l.device, l.latitude,
       l.longitude
FROM (
    (SELECT id AS accepted, id AS login FROM risk.logins WHERE succeeded AND outcome = 'allow' ORDER BY id DESC LIMIT %(limit)s)
    UNION ALL
    (SELECT id, login FROM risk.login_answers WHERE passed ORDER BY id DESC LIMIT %(limit)s)
    ORDER BY accepted DESC LIMIT %(limit)s
) AS x JOIN risk.logins AS l ON l.id = x.login
ORDER BY x.accepted;

-- name: asked
-- Logins that were asked again, whatever came of it: whose they are, what they were, and the answers so far.
SELECT l.id, l.customer, l.succeeded, l.outcome, l.at, l.ip, l.network, l.country, l.agent, l.browser, l.system,
       l.device_kind, l.device, l.latitude, l.longitude,
       (SELECT count(*) FROM risk.login_answers AS a WHERE a.login = l.id),
       EXISTS (SELECT FROM risk.login_answers AS a WHERE a.login = l.id AND a.passed)
FROM risk.logins AS l WHERE l.id = ANY (%(logins)b::uuid[]);

-- name: write_logins
-- Logins of a turn. Reasons come as one text a row: arrays within arrays cannot be unnested row by row.
INSERT INTO risk.logins (id, at, customer, succeeded, outcome, score, reasons, known, ip, network, country, agent, browser,
                         system, device_kind, device, latitude, longitude, network_lift, agent_lift, device_lift, hour_lift,
                         place_lift)
SELECT id, at, customer, succeeded, outcome, score, string_to_array(reasons, ','), known, ip, network, country, agent,
       browser, system, device_kind, device, latitude, longitude, network_lift, agent_lift, device_lift, hour_lift, place_lift
FROM unnest(%(ids)b::uuid[], %(ats)b::timestamptz[], %(customers)b::uuid[], %(succeeded)b::boolean[], %(outcomes)b::text[],
            %(scores)b::float8[], %(reasons)b::text[], %(known)b::integer[], %(ips)b::text[], %(networks)b::text[],
            %(countries)b::text[], %(agents)b::bytea[], %(browsers)b::text[], %(systems)b::text[], %(kinds)b::text[],
            %(devices)b::text[], %(latitudes)b::float8[], %(longitudes)b::float8[], %(network_lifts)b::float8[],
            %(agent_lifts)b::float8[], %(device_lifts)b::float8[], %(hour_lifts)b::float8[], %(place_lifts)b::float8[])
     AS t (id, at, customer, succeeded, outcome, score, reasons, known, ip, network, country, agent, browser, system,
           device_kind, device, latitude, longitude, network_lift, agent_lift, device_lift, hour_lift, place_lift);

-- name: write_answers
-- What came of asking again.
INSERT INTO risk.login_answers (id, login, passed, at)
SELECT id, login, passed, at
FROM unnest(%(ids)b::uuid[], %(logins)b::uuid[], %(passed)b::boolean[], %(ats)b::timestamptz[]) AS t (id, login, passed, at);

-- name: write_changes
-- Changes of settings.
INSERT INTO risk.setting_changes (id, at, customer, kind, device, ip, network, country)
SELECT id, at, customer, kind, device, ip, network, country
FROM unnest(%(ids)b::uuid[], %(ats)b::timestamptz[], %(customers)b::uuid[], %(kinds)b::text[], %(devices)b::text[],
            %(ips)b::text[], %(networks)b::text[], %(countries)b::text[])
     AS t (id, at, customer, kind, device, ip, network, country);

-- name: events_after
-- A batch of what customers did besides paying, in order of arrival.
(SELECT id, 'login', at, customer, device, ip, network, country, succeeded, score, '' AS kind
 FROM risk.logins WHERE id > %(last)s ORDER BY id LIMIT %(count)s)
UNION ALL
(SELECT id, 'setting', at, customer, device, ip, network, country, true, 0, kind
 FROM risk.setting_changes WHERE id > %(last)s ORDER BY id LIMIT %(count)s)
ORDER BY id LIMIT %(count)s;

-- name: person_past
-- What a sign-in of one of the platform's own people is compared with.
SELECT at, ip, network, country, agent, browser, system, device_kind
FROM risk.staff_logins WHERE person = %(person)s AND outcome <> 'block' ORDER BY id DESC LIMIT %(limit)s;

-- name: people_past
-- The newest sign-ins of all of the platform's people, oldest first.
SELECT person, at, ip, network, country, agent, browser, system, device_kind
FROM (SELECT * FROM risk.staff_logins WHERE outcome <> 'block' ORDER BY id DESC LIMIT %(limit)s) AS newest ORDER BY id;

-- name: write_staff_login
-- One sign-in to the console.
INSERT INTO risk.staff_logins (id, at, person, way, outcome, score, reasons, known, ip, network, country, agent, browser,
                               system, device_kind)
VALUES (%(id)s, %(at)s, %(person)s, %(way)s, %(outcome)s, %(score)s, %(reasons)s, %(known)s, %(ip)s, %(network)s, %(country)s,
        %(agent)s, %(browser)s, %(system)s, %(kind)s);
