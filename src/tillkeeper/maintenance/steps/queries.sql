-- name: longest_transactions
-- Who may hold a lock: the transactions that have lasted longest.
SELECT pid, application_name AS who, extract(epoch FROM clock_timestamp() - xact_start)::double precision AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
ORDER BY xact_start LIMIT 3;

-- name: index_named
-- An index with all that is asked about it.
SELECT c.oid AS id, i.indisvalid AS valid, pg_get_indexdef(c.oid) AS definition, pg_relation_size(c.oid) AS bytes,
       tn.nspname || '.' || t.relname AS on_table,
       i.indisreplident OR EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid) AS needed
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE n.nspname = %(schema)s::text AND c.relname = %(name)s::text;

-- name: index_progress
-- How far the building of an index is.
SELECT phase, greatest(blocks_total, tuples_total, lockers_total) AS total,
       CASE WHEN blocks_total > 0 THEN blocks_done WHEN tuples_total > 0 THEN tuples_done ELSE lockers_done END AS done
FROM pg_stat_progress_create_index
WHERE datname = current_database() LIMIT 1;

-- name: leftover_indexes
-- What a broken-off concurrent rebuild of an index, or of all of a table, leaves behind.
SELECT n.nspname || '.' || c.relname AS name
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND n.nspname = %(schema)s::text AND c.relname ~ '_cc(new|old)\d*$'
      AND i.indrelid = (SELECT indrelid FROM pg_index WHERE indexrelid = %(id)s::oid);

-- name: table_named
-- A table with its size; `columns` in order.
SELECT c.oid AS id, c.relkind::text AS kind, pg_table_size(c.oid) AS bytes, c.reltuples::bigint AS rows,
       ARRAY (SELECT attname::text FROM pg_attribute
              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS columns,
       coalesce(s.n_dead_tup, 0) AS dead, s.last_vacuum, s.last_analyze,
       coalesce(s.vacuum_count, 0) AS vacuums, coalesce(s.analyze_count, 0) AS analyzes
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE n.nspname = %(schema)s::text AND c.relname = %(name)s::text AND c.relkind IN ('r', 'p', 'm');

-- name: vacuum_progress
-- How far the vacuum or the analysis of a table is.
SELECT phase, heap_blks_total AS total, heap_blks_scanned AS done
FROM pg_stat_progress_vacuum WHERE relid = %(id)s::oid
UNION ALL
SELECT phase, sample_blks_total, sample_blks_scanned FROM pg_stat_progress_analyze WHERE relid = %(id)s::oid
LIMIT 1;

-- name: setting_named
-- A setting as the server has it now.
SELECT setting AS value, current_setting(name) AS shown, unit, context, vartype, pending_restart, source, sourcefile
FROM pg_settings WHERE lower(name) = lower(%(name)s::text);

-- name: setting_of_ours
-- A setting as ALTER SYSTEM left it, if it did; `fault` says why the server does not take it.
SELECT setting AS value, applied, error AS fault
FROM pg_file_settings
WHERE lower(name) = lower(%(name)s::text) AND sourcefile LIKE '%%/postgresql.auto.conf'
ORDER BY seqno DESC LIMIT 1;

-- name: files_of_tables
-- The file of every table: another one after a change says that the table was rewritten.
SELECT c.oid::regclass::text AS name, pg_relation_filenode(c.oid)::bigint AS file
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema)';

-- name: schema
-- The schema in lines: `column schema.table.column type …`, and so on for whatever holds the application together.
SELECT format('column %s.%s.%s %s', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') AS what
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm')
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema)'
LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT format('constraint %s.%s.%s %s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE k.contype <> 'n'
UNION ALL
SELECT format('index %s.%s %s', n.nspname, c.relname, pg_get_indexdef(c.oid))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE c.relkind IN ('i', 'I')
UNION ALL
SELECT format('function %s.%s(%s) %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
              md5(pg_get_functiondef(p.oid)))
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE p.prokind IN ('f', 'p')
UNION ALL
SELECT format('trigger %s.%s.%s %s %s', n.nspname, c.relname, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled)
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE NOT t.tgisinternal OR t.tgenabled <> 'O'
UNION ALL
SELECT format('row_security %s.%s %s', n.nspname, c.relname, c.relforcerowsecurity)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE c.relrowsecurity
UNION ALL
SELECT format('rights %s %s', n.nspname, array_to_string(coalesce(n.nspacl, acldefault('n', n.nspowner)), ' '))
FROM pg_namespace AS n
WHERE n.nspname !~ '^(pg_|information_schema)'
UNION ALL
SELECT format('rights %s.%s(%s) %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
              array_to_string(p.proacl, ' '))
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE p.proacl <> acldefault('f', p.proowner)
UNION ALL
SELECT format('rights %s.%s.%s %s', n.nspname, c.relname, a.attname, array_to_string(a.attacl, ' '))
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE a.attacl <> '{}' AND NOT a.attisdropped
UNION ALL
SELECT format('rights %s.%s %s', n.nspname, c.relname, array_to_string(c.relacl, ' '))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname !~ '^(pg_|information_schema)'
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relacl IS NOT NULL;

-- name: key_type
-- The type of a column that has a unique index of its own over all rows.
SELECT format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s::text AND c.relname = %(table)s::text AND a.attname = %(key)s::text
  AND EXISTS (SELECT FROM pg_index AS i
              WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum);
