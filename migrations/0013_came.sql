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

-- The newest failure of a job, and the newest of what came and was not simply loaded, by when they were: no later than
-- they were listed, for a clock that is ahead must not hide what comes after. When a file was decided says nothing
-- of that: a person may decide on it days later.
CREATE INDEX file_failed_at ON nightdrop.file (producer, job, least(as_of, listed_at) DESC, as_of DESC)
    WHERE state = 'noted' AND reason = 'failed';
DROP INDEX nightdrop.file_failed;
CREATE INDEX file_came ON nightdrop.file (producer, job, least(as_of, listed_at) DESC, as_of DESC)
    WHERE state <> 'noted' AND (state IN ('parked', 'held') OR kept_out_since IS NOT NULL);

-- As before, but for three things: a result that was ever parked or held has come, whatever became of it; a file that
-- was held is held until it is decided; and of a job that was retired only its present life counts.
CREATE OR REPLACE VIEW nightdrop.freshness AS
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

COMMENT ON COLUMN nightdrop.freshness.waiting IS 'Files that wait to be loaded, but for those that were held.';
COMMENT ON COLUMN nightdrop.freshness.held IS 'Files that were left in the bucket, and those of them that are being tried again.';
COMMENT ON COLUMN nightdrop.freshness.failed_at IS 'When its last failed run failed, by the producer''s clock; when word of it was listed, if that is earlier.';
