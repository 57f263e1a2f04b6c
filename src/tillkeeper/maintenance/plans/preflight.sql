-- name: load
-- Whether this role sees what others do; the age of the oldest open transaction in seconds, connections in use, and how many
-- there may be.
SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
       coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)
                        FILTER (WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())), 0)::float8,
       (count(*) FILTER (WHERE backend_type = 'client backend'))::integer, current_setting('max_connections')::integer
FROM pg_stat_activity;

-- name: replicas
-- Standbys and how many seconds each is behind; what receives the log for the archive replays nothing and is none.
SELECT application_name, CASE WHEN state = 'streaming' THEN coalesce(extract(epoch FROM replay_lag), 0) END::float8
FROM pg_stat_replication
WHERE coalesce(application_name, '') NOT IN ('pg_receivewal', 'pg_basebackup') AND state IS DISTINCT FROM 'backup'
ORDER BY application_name;

-- name: other_runs
-- Whether a run of another plan is under way.
SELECT EXISTS (SELECT FROM maintenance.runs WHERE ended_at IS NULL AND NOT rehearsal AND plan <> %(plan)s);
