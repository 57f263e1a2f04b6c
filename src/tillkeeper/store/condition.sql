-- name: server
-- What server this is, and whether it keeps what it acknowledged.
SELECT current_setting('server_version_num')::integer / 10000 AS major,
       current_setting('server_version') AS version,
       array(SELECT name::text FROM unnest(ARRAY['fsync', 'synchronous_commit', 'full_page_writes']) AS name
             WHERE current_setting(name) = 'off') AS off;

-- name: role
-- As whom we come, and whether that role can do more than it should.
SELECT rolname::text AS name,
       rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls AS mighty,
       (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid) AS owned
FROM pg_roles
WHERE rolname = current_user;

-- name: changeable
-- Of the tables named, those whose rows this role could change or delete.
SELECT name
FROM unnest(%(tables)s::text[]) AS name
WHERE has_table_privilege(to_regclass(name), 'UPDATE, DELETE, TRUNCATE');
