-- monitoring: samples of every metric and their roll-ups.

CREATE SCHEMA monitoring;
GRANT USAGE ON SCHEMA monitoring TO till_app;

-- The agent reads how the server does (connections, waits, write-ahead log). Where the migrating role may not grant
-- that, those metrics stay unknown, and the page says so.
DO $$ BEGIN
    GRANT pg_monitor TO till_app;
EXCEPTION
    WHEN insufficient_privilege THEN RAISE NOTICE 'grant pg_monitor to till_app as a superuser';
    WHEN unique_violation OR internal_error THEN NULL;  -- granted by another database's migration just now
END $$;

-- A metric with its labels, once. `labels`: {"process": "api", ...}.
CREATE TABLE monitoring.series (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    metric text NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    UNIQUE (metric, labels)
);
GRANT SELECT, INSERT ON monitoring.series TO till_app;

-- Raw samples, a partition a day, kept for three days.
CREATE TABLE monitoring.samples (
    series integer NOT NULL,
    at     timestamptz NOT NULL,
    value  double precision NOT NULL,
    PRIMARY KEY (series, at)
) PARTITION BY RANGE (at);
CREATE INDEX samples_by_time ON monitoring.samples (at);
GRANT SELECT, INSERT ON monitoring.samples TO till_app;

-- Five minutes of a series in one row, a partition a month, kept for a year. `total`: of a gauge the sum of its
-- samples, of a counter what it rose by.
CREATE TABLE monitoring.rollups (
    series  integer NOT NULL,
    at      timestamptz NOT NULL,
    samples integer NOT NULL,
    total   double precision NOT NULL,
    low     double precision NOT NULL,
    high    double precision NOT NULL,
    last    double precision NOT NULL,
    PRIMARY KEY (series, at)
) PARTITION BY RANGE (at);
CREATE INDEX rollups_by_time ON monitoring.rollups (at);
GRANT SELECT, INSERT ON monitoring.rollups TO till_app;

-- Make the partitions of a moment and of the time after it, and drop those that are past their age by the server's own
-- clock. The application owns no table: this is all that it can do to one.
CREATE FUNCTION monitoring.keep_partitions_v1(moment timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '2s'
AS $$
DECLARE
    kind    record;
    first   timestamptz;
    part    text;
    old     record;
    changed integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('monitoring.keep_partitions', 0));
    FOR kind IN SELECT * FROM (VALUES ('samples', 'day', interval '3 days'),
                                      ('rollups', 'month', interval '1 year')) AS t (name, step, age)
    LOOP
        FOR ahead IN 0 .. 1 LOOP
            first := date_trunc(kind.step, moment) + ahead * ('1 ' || kind.step)::interval;
            part := kind.name || '_' || to_char(first, 'YYYYMMDD');
            IF to_regclass('monitoring.' || part) IS NULL THEN
                EXECUTE format('CREATE TABLE monitoring.%I PARTITION OF monitoring.%I FOR VALUES FROM (%L) TO (%L)',
                               part, kind.name, first, first + ('1 ' || kind.step)::interval);
                changed := changed + 1;
            END IF;
        END LOOP;
        FOR old IN SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                    WHERE i.inhparent = ('monitoring.' || kind.name)::regclass
                      AND to_date(right(c.relname, 8), 'YYYYMMDD') + ('1 ' || kind.step)::interval
                          < clock_timestamp() - kind.age
        LOOP
            EXECUTE format('DROP TABLE monitoring.%I', old.relname);
            changed := changed + 1;
        END LOOP;
    END LOOP;
    RETURN changed;
END;
$$;
REVOKE ALL ON FUNCTION monitoring.keep_partitions_v1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.keep_partitions_v1 TO till_app;
