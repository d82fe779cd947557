-- Runs that were loaded and whose history has been pruned, for good: forgetting never means loading again.
CREATE TABLE nightdrop.seen (
    producer  text   NOT NULL,
    run_id    uuid   NOT NULL,
    body_hash bytea  NOT NULL CHECK (octet_length(body_hash) = 32),
    -- The `_file` of its rows.
    file      bigint NOT NULL,
    PRIMARY KEY (producer, run_id)
);
-- Files are pruned about in their order: a tiny index finds the one behind a row's `_file`.
CREATE INDEX seen_file ON nightdrop.seen USING brin (file);

COMMENT ON TABLE nightdrop.seen IS 'Loaded runs that were pruned from nightdrop.file, by their content''s hash, for good: the same run again is still a duplicate.';

-- A job is settled anew after it was retired. What was loaded before belongs to another life of it, and a
-- load that knows an earlier life loads nothing. Not the instant at which the settling began: what an
-- earlier life's last load wrote meanwhile would look younger.
ALTER TABLE nightdrop.job
    ADD COLUMN life bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ALTER COLUMN created_at SET DEFAULT clock_timestamp();

COMMENT ON COLUMN nightdrop.job.life IS 'Which life of this job it is: another one after each `retire`.';
COMMENT ON COLUMN nightdrop.job.created_at IS 'When this life of the job began: no result loaded before supersedes one of it.';

-- Where the results of a job's earlier lives are.
CREATE TABLE nightdrop.retired (
    producer     text        NOT NULL,
    job          text        NOT NULL,
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    mode         text        NOT NULL,
    created_at   timestamptz NOT NULL,
    retired_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (producer, job, retired_at)
);

COMMENT ON TABLE nightdrop.retired IS 'The earlier lives of retired jobs, and the tables that hold their rows.';

-- Objects are deleted by the time of their verdict: what stays for `delete_after` is not looked at meanwhile.
DROP INDEX nightdrop.file_to_delete;
CREATE INDEX file_to_delete ON nightdrop.file (decided_at, id)
    WHERE gone_at IS NULL AND state IN ('loaded', 'superseded', 'duplicate', 'parked', 'noted', 'dropped');

-- Which newer `replace` covers an older one, so that the older may leave the history.
CREATE INDEX file_replaced ON nightdrop.file (producer, job, range_column, range_from)
    WHERE state = 'loaded' AND mode = 'replace';
