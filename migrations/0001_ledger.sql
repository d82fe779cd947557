-- The consumer's own tables. The schema `nightdrop` is made before this runs: the table of
-- applied migrations lives in it too.

COMMENT ON SCHEMA nightdrop IS 'Nightdrop''s ledger: what was seen in the bucket, what became of it, and which tables it went to.';

-- Queue, ledger and history at once: one row for each sighting of an object in the bucket.
CREATE TABLE nightdrop.file (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          text        NOT NULL,
    etag         text        NOT NULL,
    size         bigint      NOT NULL CHECK (size >= 0),
    -- From the key; null where the key is outside the grammar.
    producer     text,
    job          text,
    as_of        timestamptz,
    run_id       uuid,

    state        text        NOT NULL DEFAULT 'waiting',
    -- Streams are loaded one at a time in a lane of their own, all others in batches.
    streamed     boolean     NOT NULL DEFAULT false,
    attempts     smallint    NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    token        uuid,
    worker       text,
    lease_until  timestamptz,
    retry_at     timestamptz,

    -- From the body, once it has been read.
    body_hash    bytea       CHECK (octet_length(body_hash) = 32),
    row_count    bigint      CHECK (row_count >= 0),
    mode         text        CHECK (mode IN ('append', 'replace', 'upsert')),
    range_column text,
    range_from   bigint,
    range_to     bigint,
    next_by      timestamptz,

    -- A short name to group by, and the sentence that a person reads.
    reason       text,
    error        text,

    listed_at    timestamptz NOT NULL DEFAULT now(),
    claimed_at   timestamptz,
    decided_at   timestamptz,
    -- The object is known to be no longer in the bucket: our DELETE was confirmed, or it vanished.
    gone_at      timestamptz,

    CONSTRAINT file_state_known CHECK (state IN
        ('waiting', 'loaded', 'superseded', 'duplicate', 'parked', 'held', 'noted', 'dropped', 'missing')),
    CONSTRAINT file_waits_or_is_decided CHECK ((state = 'waiting') = (decided_at IS NULL)),
    CONSTRAINT file_leased_while_waiting CHECK (state = 'waiting' OR (token IS NULL AND lease_until IS NULL)),
    CONSTRAINT file_bad_has_a_reason CHECK (state NOT IN ('parked', 'held') OR (reason IS NOT NULL AND error IS NOT NULL)),
    CONSTRAINT file_outside_the_grammar_is_held CHECK (state = 'held' OR
        (producer IS NOT NULL AND job IS NOT NULL AND as_of IS NOT NULL AND run_id IS NOT NULL)),
    CONSTRAINT file_loaded_is_known CHECK (state <> 'loaded' OR
        (body_hash IS NOT NULL AND row_count IS NOT NULL AND mode IS NOT NULL)),
    CONSTRAINT file_range_is_whole CHECK ((range_column IS NULL) = (range_from IS NULL) AND (range_from IS NULL) = (range_to IS NULL)),
    CONSTRAINT file_missing_is_gone CHECK (state <> 'missing' OR gone_at IS NOT NULL),
    CONSTRAINT file_gone_is_decided CHECK (gone_at IS NULL OR state NOT IN ('waiting', 'held'))
);

-- What exactly-once rests on.
CREATE UNIQUE INDEX file_loaded_once ON nightdrop.file (producer, run_id) WHERE state = 'loaded';
-- One row a sighting: a key seen again after its DELETE is a new one.
CREATE UNIQUE INDEX file_sighting ON nightdrop.file (key, etag) WHERE gone_at IS NULL;
-- What was deleted while a LIST was under way.
CREATE INDEX file_gone ON nightdrop.file (gone_at) WHERE gone_at IS NOT NULL;
CREATE INDEX file_waiting ON nightdrop.file (producer, job, as_of, id) WHERE state = 'waiting';
CREATE INDEX file_claimed ON nightdrop.file (token) WHERE token IS NOT NULL;
CREATE INDEX file_held ON nightdrop.file (retry_at) WHERE state = 'held';
CREATE INDEX file_to_delete ON nightdrop.file (id)
    WHERE gone_at IS NULL AND state IN ('loaded', 'superseded', 'duplicate', 'parked', 'noted', 'dropped');
CREATE INDEX file_history ON nightdrop.file (producer, job, as_of DESC, id DESC) WHERE state = 'loaded';

COMMENT ON TABLE nightdrop.file IS 'One row for each sighting of a result file in the bucket: the queue, the ledger and the history.';
COMMENT ON COLUMN nightdrop.file.as_of IS 'The instant that the result is as of, to the second, from its key; exact once the file has been read.';
COMMENT ON COLUMN nightdrop.file.body_hash IS 'SHA-256 of the inflated body.';
COMMENT ON COLUMN nightdrop.file.range_from IS 'The range of a ranged replace, half-open, as an ordering number: an int64 as it is, a date in days and a timestamp in microseconds since 2000-01-01.';
COMMENT ON COLUMN nightdrop.file.gone_at IS 'When the object was known to be no longer in the bucket.';

-- What could not be loaded, as it was stored in the bucket, in parts of 1 MiB.
CREATE TABLE nightdrop.parked (
    file  bigint  NOT NULL REFERENCES nightdrop.file (id),
    part  integer NOT NULL CHECK (part >= 0),
    bytes bytea   NOT NULL,
    PRIMARY KEY (file, part)
);

COMMENT ON TABLE nightdrop.parked IS 'The bytes of parked files, as they were stored, in parts of 1 MiB.';

-- The tables that results go to: made by the consumer, or named by a route. No other is ever written.
CREATE TABLE nightdrop.destination (
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    -- Made for one producer's job, whose new columns are added; a routed table's columns are its owner's.
    routed       boolean     NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_schema, table_name)
);

COMMENT ON TABLE nightdrop.destination IS 'The tables that results are loaded into; no other table is ever written.';

CREATE TABLE nightdrop.job (
    producer     text        NOT NULL,
    job          text        NOT NULL,
    table_schema text        NOT NULL,
    table_name   text        NOT NULL,
    mode         text        NOT NULL CHECK (mode IN ('append', 'replace', 'upsert')),
    primary_key  text[]      NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (producer, job),
    FOREIGN KEY (table_schema, table_name) REFERENCES nightdrop.destination,
    -- A replace or an upsert touches the producer's own rows: two jobs would undo each other's.
    CONSTRAINT job_one_a_table UNIQUE (table_schema, table_name, producer),
    CONSTRAINT job_key_goes_with_upsert CHECK ((mode = 'upsert') = (primary_key <> '{}'))
);

COMMENT ON TABLE nightdrop.job IS 'One row for each producer''s job: where its rows go and how. A replace or an upsert locks it while it loads.';

-- A job whose table refuses rests until then; its files stay waiting and everyone else goes on.
CREATE TABLE nightdrop.pause (
    producer text        NOT NULL,
    job      text        NOT NULL,
    until    timestamptz NOT NULL,
    failures integer     NOT NULL DEFAULT 1 CHECK (failures > 0),
    error    text        NOT NULL,
    PRIMARY KEY (producer, job)
);

COMMENT ON TABLE nightdrop.pause IS 'Jobs whose report table refuses: tried again after `until`, with back-off up to 15 minutes.';
