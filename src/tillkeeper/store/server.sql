-- name: connections
-- Connections in use, how many are allowed, sessions that wait for a lock, and the age of the oldest transaction.
SELECT count(*) FILTER (WHERE backend_type = 'client backend')::integer, current_setting('max_connections')::integer,
       count(*) FILTER (WHERE wait_event_type = 'Lock')::integer,
       coalesce(extract(epoch FROM max(clock_timestamp() - xact_start) FILTER (WHERE backend_type = 'client backend')), 0)::float8,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
FROM pg_stat_activity;

-- name: database
-- What this database did since its statistics began, and how large it is.
SELECT xact_commit, xact_rollback, deadlocks, temp_bytes, blks_hit, blks_read, pg_database_size(datid)
FROM pg_stat_database WHERE datname = current_database();

-- name: log
-- Write-ahead log written, and checkpoints made.
SELECT (SELECT wal_bytes::float8 FROM pg_stat_wal), num_timed + num_requested, write_time / 1000
FROM pg_stat_checkpointer;

-- name: log_kept
-- How much write-ahead log the server keeps on disk.
SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir();

-- name: tables
-- The largest tables, with their indexes, and the rows in them that are dead.
SELECT schemaname || '.' || relname, pg_table_size(relid), pg_indexes_size(relid), n_dead_tup
FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC LIMIT %(limit)s;
