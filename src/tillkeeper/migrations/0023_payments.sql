-- payments: more of each second of the api.

-- A second of the api, from now on also when nothing happened: no row means that nobody measured.
-- `asked`, `failed`: orders (POST) answered, and those answered by a failure of ours. `succeeded` to `refused`: what
-- became of the commands of the turn. `latency`, `queueing`: how many of them in each bucket (base/histogram.py), from
-- arrival to durable answer and from arrival to their turn; empty when there were none.
ALTER TABLE payments.samples
    ADD COLUMN process text NOT NULL DEFAULT '',
    ADD COLUMN asked integer NOT NULL DEFAULT 0,
    ADD COLUMN failed integer NOT NULL DEFAULT 0,
    ADD COLUMN answers_2xx integer NOT NULL DEFAULT 0,
    ADD COLUMN answers_4xx integer NOT NULL DEFAULT 0,
    ADD COLUMN answers_5xx integer NOT NULL DEFAULT 0,
    ADD COLUMN succeeded integer NOT NULL DEFAULT 0,
    ADD COLUMN waiting integer NOT NULL DEFAULT 0,
    ADD COLUMN declined integer NOT NULL DEFAULT 0,
    ADD COLUMN refused integer NOT NULL DEFAULT 0,
    ADD COLUMN latency integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN queueing integer[] NOT NULL DEFAULT '{}';
