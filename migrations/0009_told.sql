-- Jobs that are expected, though nothing of them may ever have come: what [[expect]] says.
CREATE TABLE nightdrop.expectation (
    producer text        NOT NULL,
    job      text        NOT NULL,
    every    interval    NOT NULL CHECK (every > interval '0'),
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (producer, job)
);

COMMENT ON TABLE nightdrop.expectation IS 'Jobs whose newest result is never to be older than `every`: the [[expect]] of the consumer that started last.';

-- What each target of alarms was told of, and has not been told the end of.
CREATE TABLE nightdrop.alarm (
    target   text        NOT NULL,
    kind     text        NOT NULL,
    -- Both empty for what is nobody's: keys outside the grammar.
    producer text        NOT NULL,
    job      text        NOT NULL,
    since    timestamptz NOT NULL,
    told_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target, kind, producer, job)
);

COMMENT ON TABLE nightdrop.alarm IS 'What each target of alarms was told of, until it is told that it has ended.';

-- What is still to be told: written together with `alarm`, removed once the target has taken it.
CREATE TABLE nightdrop.outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target      text        NOT NULL,
    kind        text        NOT NULL,
    producer    text        NOT NULL,
    job         text        NOT NULL,
    turn        bigint      NOT NULL,
    message     uuid        NOT NULL DEFAULT gen_random_uuid(),
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    attempts    integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    tried_at    timestamptz,
    retry_at    timestamptz NOT NULL DEFAULT now(),
    error       text,
    refused     boolean     NOT NULL DEFAULT false
);
CREATE INDEX outbox_order ON nightdrop.outbox (target, refused, turn, id);

COMMENT ON TABLE nightdrop.outbox IS 'Alarms on their way: one row for each that a target has not taken yet.';

-- Since when a file that waits again was parked or held. To whoever is told, a held one still is until it is decided anew:
-- what is tried by itself each hour is not well in between.
ALTER TABLE nightdrop.file ADD COLUMN kept_out_since timestamptz;
COMMENT ON COLUMN nightdrop.file.kept_out_since IS 'Of a file that is parked or held no more: since when it was, the first time.';
UPDATE nightdrop.file SET kept_out_since = coalesce(decided_at, now())
WHERE state = 'dropped' OR (state = 'waiting' AND kept);

-- Not the statements that do it: an older consumer may be at work beside a newer one.
CREATE FUNCTION nightdrop.remember_kept_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.kept_out_since := coalesce(OLD.kept_out_since, OLD.decided_at);
    RETURN NEW;
END
$$;
CREATE TRIGGER file_kept_out BEFORE UPDATE OF state ON nightdrop.file FOR EACH ROW
    WHEN (OLD.state IN ('parked', 'held') AND NEW.state NOT IN ('parked', 'held'))
    EXECUTE FUNCTION nightdrop.remember_kept_out();

CREATE INDEX file_tried_again ON nightdrop.file (producer, job)
    WHERE state = 'waiting' AND NOT kept AND kept_out_since IS NOT NULL;

-- The newest result of a job that has a say in when the next is due.
CREATE INDEX file_promise ON nightdrop.file (producer, job, as_of DESC, id DESC)
    WHERE state = 'loaded' AND (next_by IS NOT NULL OR range_column IS NULL);

-- The newest failure of a job, and the newest of what came and was not simply loaded, by when they were: no later than
-- they were listed, for a clock that is ahead must not hide what comes after. When a file was decided says nothing
-- of that: a person may decide on it days later.
CREATE INDEX file_failed ON nightdrop.file (producer, job, least(as_of, listed_at) DESC, as_of DESC)
    WHERE state = 'noted' AND reason = 'failed';
CREATE INDEX file_came ON nightdrop.file (producer, job, least(as_of, listed_at) DESC, as_of DESC)
    WHERE state <> 'noted' AND (state IN ('parked', 'held') OR kept_out_since IS NOT NULL);

-- What earlier migrations left without a word, and what is new.
COMMENT ON COLUMN nightdrop.file.id IS 'Its number; `_file` in the reports.';
COMMENT ON COLUMN nightdrop.file.key IS 'The object''s key in the bucket.';
COMMENT ON COLUMN nightdrop.file.etag IS 'The object''s ETag: another one under the same key is another sighting.';
COMMENT ON COLUMN nightdrop.file.size IS 'Its size as it is stored, in bytes.';
COMMENT ON COLUMN nightdrop.file.producer IS 'Who dropped it, by its key; null where the key is outside the grammar.';
COMMENT ON COLUMN nightdrop.file.job IS 'Which of the producer''s jobs it is of, likewise.';
COMMENT ON COLUMN nightdrop.file.run_id IS 'Which run of the job: with the producer, what exactly-once is about.';
COMMENT ON COLUMN nightdrop.file.state IS 'waiting, loaded, superseded, duplicate, parked, held, noted, dropped or missing.';
COMMENT ON COLUMN nightdrop.file.streamed IS 'Too large for a batch: it is loaded as a stream.';
COMMENT ON COLUMN nightdrop.file.attempts IS 'How many consumers have ended over it.';
COMMENT ON COLUMN nightdrop.file.token IS 'By which claim it is being worked on; null if by none.';
COMMENT ON COLUMN nightdrop.file.worker IS 'Who claimed it last.';
COMMENT ON COLUMN nightdrop.file.lease_until IS 'Until when the claim holds.';
COMMENT ON COLUMN nightdrop.file.retry_at IS 'Not to be tried before; null for at once, or for never by itself.';
COMMENT ON COLUMN nightdrop.file.row_count IS 'Its rows.';
COMMENT ON COLUMN nightdrop.file.mode IS 'append, replace or upsert.';
COMMENT ON COLUMN nightdrop.file.range_column IS 'The column of a ranged replace.';
COMMENT ON COLUMN nightdrop.file.range_to IS 'The end of the range, exclusive, as range_from is given.';
COMMENT ON COLUMN nightdrop.file.next_by IS 'By when it promised the next result.';
COMMENT ON COLUMN nightdrop.file.reason IS 'A short name for what keeps it out of the reports, or for what was noted.';
COMMENT ON COLUMN nightdrop.file.error IS 'The sentence that a person reads; it may quote values of the file.';
COMMENT ON COLUMN nightdrop.file.listed_at IS 'When a LIST showed it first.';
COMMENT ON COLUMN nightdrop.file.claimed_at IS 'When it was claimed last.';
COMMENT ON COLUMN nightdrop.file.decided_at IS 'When it came to its state: of a loaded one, when its rows were committed.';
COMMENT ON COLUMN nightdrop.parked.file IS 'Whose bytes: a row of nightdrop.file.';
COMMENT ON COLUMN nightdrop.parked.part IS 'Which part, from 0.';
COMMENT ON COLUMN nightdrop.parked.bytes IS 'The part.';
COMMENT ON COLUMN nightdrop.destination.table_schema IS 'The table''s schema.';
COMMENT ON COLUMN nightdrop.destination.table_name IS 'The table.';
COMMENT ON COLUMN nightdrop.destination.routed IS 'Named by a [[route]]: its columns are its owner''s.';
COMMENT ON COLUMN nightdrop.destination.created_at IS 'When it was first loaded into.';
COMMENT ON COLUMN nightdrop.job.producer IS 'Whose.';
COMMENT ON COLUMN nightdrop.job.job IS 'Which.';
COMMENT ON COLUMN nightdrop.job.table_schema IS 'The schema of its table.';
COMMENT ON COLUMN nightdrop.job.table_name IS 'The table that its rows are in.';
COMMENT ON COLUMN nightdrop.job.mode IS 'append, replace or upsert.';
COMMENT ON COLUMN nightdrop.job.primary_key IS 'What tells an upsert''s rows apart.';
COMMENT ON COLUMN nightdrop.pause.producer IS 'Whose.';
COMMENT ON COLUMN nightdrop.pause.job IS 'Which job.';
COMMENT ON COLUMN nightdrop.pause.until IS 'When it is tried again.';
COMMENT ON COLUMN nightdrop.pause.failures IS 'How often in a row its table refused.';
COMMENT ON COLUMN nightdrop.pause.error IS 'What Postgres said.';
COMMENT ON COLUMN nightdrop.load.token IS 'By which claim its files are loaded.';
COMMENT ON COLUMN nightdrop.load.worker IS 'Who loads.';
COMMENT ON COLUMN nightdrop.load.pid IS 'The session''s process.';
COMMENT ON COLUMN nightdrop.load.backend_start IS 'When the session began: pids come again.';
COMMENT ON COLUMN nightdrop.load.deadline IS 'When it may be ended, unless it is put off before.';
COMMENT ON COLUMN nightdrop.breaker.host IS 'Whose view of the server it is.';
COMMENT ON COLUMN nightdrop.breaker.server IS 'bucket or postgres.';
COMMENT ON COLUMN nightdrop.breaker.state IS 'closed, open or half_open.';
COMMENT ON COLUMN nightdrop.breaker.since IS 'Since when.';
COMMENT ON COLUMN nightdrop.breaker.ask_at IS 'When an open one asks again.';
COMMENT ON COLUMN nightdrop.breaker.error IS 'What opened it.';
COMMENT ON COLUMN nightdrop.seen.producer IS 'Whose.';
COMMENT ON COLUMN nightdrop.seen.run_id IS 'Which run.';
COMMENT ON COLUMN nightdrop.seen.body_hash IS 'SHA-256 of its inflated body.';
COMMENT ON COLUMN nightdrop.seen.file IS 'The `_file` of its rows.';
COMMENT ON COLUMN nightdrop.retired.producer IS 'Whose.';
COMMENT ON COLUMN nightdrop.retired.job IS 'Which.';
COMMENT ON COLUMN nightdrop.retired.table_schema IS 'The schema of its table.';
COMMENT ON COLUMN nightdrop.retired.table_name IS 'The table that its rows are in.';
COMMENT ON COLUMN nightdrop.retired.mode IS 'append, replace or upsert.';
COMMENT ON COLUMN nightdrop.retired.created_at IS 'When that life began.';
COMMENT ON COLUMN nightdrop.retired.retired_at IS 'When it ended.';
COMMENT ON COLUMN nightdrop.expectation.producer IS 'Whose.';
COMMENT ON COLUMN nightdrop.expectation.job IS 'Which.';
COMMENT ON COLUMN nightdrop.expectation.every IS 'The newest result in the reports is never to be as of longer ago.';
COMMENT ON COLUMN nightdrop.expectation.since IS 'When it was first expected: a job that has never come is late `every` after that.';
COMMENT ON COLUMN nightdrop.alarm.kind IS 'late, failing, parked or held.';
COMMENT ON COLUMN nightdrop.alarm.target IS 'A digest of the `url` in [[webhook]] as it is written there: the address itself may be a secret.';
COMMENT ON COLUMN nightdrop.alarm.producer IS 'Whose; empty for keys in the inbox that are none of results.';
COMMENT ON COLUMN nightdrop.alarm.job IS 'Which job''s; empty likewise, and for several of one producer.';
COMMENT ON COLUMN nightdrop.alarm.since IS 'Since when it was wrong.';
COMMENT ON COLUMN nightdrop.alarm.told_at IS 'When it was written into the outbox that it is.';
COMMENT ON COLUMN nightdrop.outbox.id IS 'Its number.';
COMMENT ON COLUMN nightdrop.outbox.target IS 'Whom: as in nightdrop.alarm.';
COMMENT ON COLUMN nightdrop.outbox.kind IS 'What it is about: likewise.';
COMMENT ON COLUMN nightdrop.outbox.producer IS 'Whose.';
COMMENT ON COLUMN nightdrop.outbox.job IS 'Which job''s.';
COMMENT ON COLUMN nightdrop.outbox.turn IS 'In this order they are told, then by id: a producer has one message in each turn.';
COMMENT ON COLUMN nightdrop.outbox.message IS 'The `webhook-id`: the same at each attempt, so that a receiver knows one that comes twice.';
COMMENT ON COLUMN nightdrop.outbox.body IS 'What is said.';
COMMENT ON COLUMN nightdrop.outbox.created_at IS 'When it was written.';
COMMENT ON COLUMN nightdrop.outbox.attempts IS 'How often it was tried.';
COMMENT ON COLUMN nightdrop.outbox.tried_at IS 'When it was tried last.';
COMMENT ON COLUMN nightdrop.outbox.retry_at IS 'Not before: after a failure, or while a consumer is telling it.';
COMMENT ON COLUMN nightdrop.outbox.error IS 'What the last attempt came to.';
COMMENT ON COLUMN nightdrop.outbox.refused IS 'The target has refused it often enough for the others to pass it.';

-- One row for each job that is known in any way. Whoever reads it needs no right but to read it, and sees
-- nothing out of a file that was not loaded: not even the sentences, which may quote it. Each part is found
-- by an index of its own, so that a history of millions is not walked. Of jobs that have neither a table nor
-- an expectation a producer has a thousand at most, those with parked and held files first: names cost who has
-- its key nothing. A result that was ever parked or held has come, whatever became of it; a file that was held is held
-- until it is decided; and of a job that was retired only its present life counts.
CREATE VIEW nightdrop.freshness AS
WITH RECURSIVE ever_failed (producer, job, place) AS (
    (SELECT producer, job, 1 FROM nightdrop.file WHERE state = 'noted' AND reason = 'failed'
     ORDER BY producer, job LIMIT 1)
    UNION ALL
    SELECT next.producer, next.job, next.place
    FROM ever_failed e, LATERAL (
        (SELECT f.producer, f.job, e.place + 1 AS place FROM nightdrop.file f
         WHERE f.state = 'noted' AND f.reason = 'failed' AND e.place < 1000
           AND f.producer = e.producer AND f.job > e.job
         ORDER BY f.job LIMIT 1)
        UNION ALL
        (SELECT f.producer, f.job, 1 FROM nightdrop.file f
         WHERE f.state = 'noted' AND f.reason = 'failed' AND f.producer > e.producer
         ORDER BY f.producer, f.job LIMIT 1)
        ORDER BY place DESC LIMIT 1) next
), waiting AS (
    SELECT producer, job, count(*) AS files FROM (
        SELECT producer, job FROM nightdrop.file
        WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts = 0
        UNION ALL
        SELECT producer, job FROM nightdrop.file
        WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts > 0
        UNION ALL
        SELECT producer, job FROM nightdrop.file
        WHERE state = 'waiting' AND token IS NULL AND retry_at IS NOT NULL
        UNION ALL
        SELECT producer, job FROM nightdrop.file WHERE token IS NOT NULL) file
    GROUP BY producer, job
), parked AS (
    SELECT producer, job, count(*) AS files, min(decided_at) AS since
    FROM nightdrop.file WHERE state = 'parked' GROUP BY producer, job
), held AS (
    SELECT producer, job, count(*) AS files, min(since) AS since, count(*) FILTER (WHERE tried) AS tried
    FROM (
        SELECT producer, job, coalesce(kept_out_since, decided_at) AS since, false AS tried FROM nightdrop.file
        WHERE state = 'held' AND producer IS NOT NULL
        UNION ALL
        SELECT producer, job, kept_out_since, true FROM nightdrop.file
        WHERE state = 'waiting' AND NOT kept AND kept_out_since IS NOT NULL) file
    GROUP BY producer, job
), settled AS (
    SELECT producer, job FROM nightdrop.job UNION SELECT producer, job FROM nightdrop.expectation
), known AS (
    SELECT producer, job FROM settled
    UNION ALL
    SELECT producer, job FROM (
        SELECT producer, job, row_number() OVER (PARTITION BY producer ORDER BY bool_or(kept) DESC, job) AS place FROM (
            SELECT producer, job, false AS kept FROM ever_failed
            UNION ALL SELECT producer, job, false FROM waiting
            UNION ALL SELECT producer, job, true FROM parked
            UNION ALL SELECT producer, job, true FROM held) file
        WHERE NOT EXISTS (SELECT FROM settled s WHERE s.producer = file.producer AND s.job = file.job)
        GROUP BY producer, job) other
    WHERE place <= 1000
)
SELECT known.producer, known.job,
       j.table_schema || '.' || j.table_name AS "table", j.mode,
       newest.as_of, newest.decided_at AS committed_at, newest.row_count AS rows,
       due.next_by, coalesce(due.next_by < now(), false) AS late,
       coalesce(waiting.files, 0) - coalesce(held.tried, 0) AS waiting,
       coalesce(parked.files, 0) AS parked, parked.since AS parked_since,
       coalesce(held.files, 0) AS held, held.since AS held_since,
       failed.at IS NOT NULL
           AND (last.at IS NULL OR (failed.at, failed.as_of) > (last.at, last.as_of))
           AND (apart.at IS NULL OR (failed.at, failed.as_of) > (apart.at, apart.as_of)) AS failing,
       failed.at AS failed_at, failed.kind AS failed_kind
FROM known
LEFT JOIN nightdrop.job j USING (producer, job)
LEFT JOIN nightdrop.expectation e USING (producer, job)
LEFT JOIN waiting USING (producer, job)
LEFT JOIN parked USING (producer, job)
LEFT JOIN held USING (producer, job)
-- What was loaded before the job was retired is in another table.
LEFT JOIN LATERAL (
    SELECT f.as_of, f.decided_at, f.row_count FROM nightdrop.file f
    WHERE f.producer = known.producer AND f.job = known.job AND f.state = 'loaded' AND f.decided_at >= j.created_at
    ORDER BY f.as_of DESC, f.id DESC LIMIT 1) newest ON true
-- A result that promises nothing ends the promise before it: its job has no schedule any more. Not so one of a range,
-- which may be a backfill, and of any slot: the result that was promised has still to come.
LEFT JOIN LATERAL (
    SELECT f.next_by FROM nightdrop.file f
    WHERE f.producer = known.producer AND f.job = known.job AND f.state = 'loaded'
      AND (f.next_by IS NOT NULL OR f.range_column IS NULL) AND f.decided_at >= j.created_at
    ORDER BY f.as_of DESC, f.id DESC LIMIT 1) promise ON true
LEFT JOIN LATERAL (
    SELECT least(newest.as_of + e.every, CASE WHEN newest.as_of IS NULL THEN e.since + e.every END,
                 promise.next_by) AS next_by) due ON true
LEFT JOIN LATERAL (
    SELECT least(f.as_of, f.listed_at) AS at, f.as_of,
           substring(f.error FROM '^the run failed with exit code \d+ \((\w+)\)') AS kind
    FROM nightdrop.file f
    WHERE f.producer = known.producer AND f.job = known.job AND f.state = 'noted' AND f.reason = 'failed'
    ORDER BY least(f.as_of, f.listed_at) DESC, f.as_of DESC LIMIT 1) failed ON true
-- Whether a newer result came: in any life, whatever became of it. What was parked for its time may be loaded hours after
-- it came: it is among the others.
LEFT JOIN LATERAL (
    SELECT least(f.as_of, f.listed_at) AS at, f.as_of FROM nightdrop.file f
    WHERE f.producer = known.producer AND f.job = known.job AND f.state = 'loaded' AND f.kept_out_since IS NULL
    ORDER BY f.as_of DESC, f.id DESC LIMIT 1) last ON true
LEFT JOIN LATERAL (
    SELECT least(f.as_of, f.listed_at) AS at, f.as_of FROM nightdrop.file f
    WHERE f.producer = known.producer AND f.job = known.job
      AND f.state <> 'noted' AND (f.state IN ('parked', 'held') OR f.kept_out_since IS NOT NULL)
    ORDER BY least(f.as_of, f.listed_at) DESC, f.as_of DESC LIMIT 1) apart ON true;

COMMENT ON VIEW nightdrop.freshness IS 'How fresh the reports are: one row for each job of each producer.';
COMMENT ON COLUMN nightdrop.freshness.producer IS 'Who drops the results.';
COMMENT ON COLUMN nightdrop.freshness.job IS 'Which of its jobs.';
COMMENT ON COLUMN nightdrop.freshness."table" IS 'The table that its rows are in; null until the first result has come.';
COMMENT ON COLUMN nightdrop.freshness.mode IS 'append, replace or upsert.';
COMMENT ON COLUMN nightdrop.freshness.as_of IS 'The instant that the newest result in the reports is as of, by its source''s clock.';
COMMENT ON COLUMN nightdrop.freshness.committed_at IS 'When that result was committed.';
COMMENT ON COLUMN nightdrop.freshness.rows IS 'The rows of that result.';
COMMENT ON COLUMN nightdrop.freshness.next_by IS 'By when a newer one was promised by the producer, or is expected by [[expect]]; null if by neither.';
COMMENT ON COLUMN nightdrop.freshness.late IS 'Whether that has passed, and no newer result is in the reports.';
COMMENT ON COLUMN nightdrop.freshness.waiting IS 'Files that wait to be loaded, but for those that were held.';
COMMENT ON COLUMN nightdrop.freshness.parked IS 'Files that could not be loaded, and are kept.';
COMMENT ON COLUMN nightdrop.freshness.parked_since IS 'When the first of them was parked.';
COMMENT ON COLUMN nightdrop.freshness.held IS 'Files that were left in the bucket, and those of them that are being tried again.';
COMMENT ON COLUMN nightdrop.freshness.held_since IS 'When the first of them was.';
COMMENT ON COLUMN nightdrop.freshness.failing IS 'Whether the job''s last run that is heard of failed.';
COMMENT ON COLUMN nightdrop.freshness.failed_at IS 'When its last failed run failed, by the producer''s clock; when word of it was listed, if that is earlier.';
COMMENT ON COLUMN nightdrop.freshness.failed_kind IS 'What that was about: source, contract, timeout or config.';

CREATE VIEW nightdrop.load_history AS
SELECT f.id AS file, f.producer, f.job, f.run_id, f.as_of, f.listed_at, f.decided_at, f.state, f.reason, f.mode,
       f.row_count AS rows, f.size, f.decided_at - f.as_of AS lag, f.next_by, f.key
FROM nightdrop.file f
WHERE f.decided_at IS NOT NULL;

COMMENT ON VIEW nightdrop.load_history IS 'What became of each file, as far back as [keep] history goes: one row for each sighting that is decided.';
COMMENT ON COLUMN nightdrop.load_history.file IS 'The `_file` of its rows in the reports.';
COMMENT ON COLUMN nightdrop.load_history.producer IS 'Who dropped it; null where its key is outside the grammar.';
COMMENT ON COLUMN nightdrop.load_history.job IS 'Which of its jobs, likewise.';
COMMENT ON COLUMN nightdrop.load_history.mode IS 'append, replace or upsert; null where it was not read so far.';
COMMENT ON COLUMN nightdrop.load_history.run_id IS 'Which run of the job.';
COMMENT ON COLUMN nightdrop.load_history.as_of IS 'The instant that it is as of, by its source''s clock.';
COMMENT ON COLUMN nightdrop.load_history.listed_at IS 'When it was first seen in the bucket.';
COMMENT ON COLUMN nightdrop.load_history.decided_at IS 'When it came to its state: of a loaded one, when its rows were committed.';
COMMENT ON COLUMN nightdrop.load_history.state IS 'loaded, superseded, duplicate, parked, held, noted, dropped or missing.';
COMMENT ON COLUMN nightdrop.load_history.reason IS 'A short name for why it is not in the reports.';
COMMENT ON COLUMN nightdrop.load_history.rows IS 'Its rows.';
COMMENT ON COLUMN nightdrop.load_history.size IS 'Its size as it was stored.';
COMMENT ON COLUMN nightdrop.load_history.lag IS 'From as_of to decided_at: how old the news was.';
COMMENT ON COLUMN nightdrop.load_history.next_by IS 'By when it promised the next.';
COMMENT ON COLUMN nightdrop.load_history.key IS 'Its key in the bucket.';
