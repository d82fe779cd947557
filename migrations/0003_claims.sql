-- The waiting rows, each in one of four indexes, so that a claim walks over no row that it can't take:
-- those that anyone may take now, those whose consumer ended over them, those that are put off, and those
-- that are leased. A claim first brings back what is put off or leased no longer.
CREATE INDEX file_free ON nightdrop.file (streamed, producer, job, as_of, id)
    WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts = 0;
CREATE INDEX file_suspect ON nightdrop.file (attempts, producer, job, as_of, id)
    WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts > 0;
CREATE INDEX file_put_off ON nightdrop.file (producer, retry_at)
    WHERE state = 'waiting' AND token IS NULL AND retry_at IS NOT NULL;
CREATE INDEX file_leased ON nightdrop.file (producer, job, lease_until)
    WHERE token IS NOT NULL;
DROP INDEX nightdrop.file_waiting, nightdrop.file_claimed;

-- What is listed but can't be got is looked at again after a while, not at each LIST.
CREATE INDEX file_missing ON nightdrop.file (key, etag) WHERE state = 'missing';

-- What stands between the first two slashes of a key: its producer, if it is one of ours.
CREATE FUNCTION nightdrop.folder(key text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN key LIKE 'inbox/%/%' THEN split_part(key, '/', 2) ELSE '' END
$$;
CREATE INDEX file_held_in ON nightdrop.file (nightdrop.folder(key)) WHERE state = 'held';

-- How many files wait, or are held, of what one producer may have; counted no further than that.
CREATE FUNCTION nightdrop.waiting(whose text, up_to bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM (
        (SELECT 1 FROM nightdrop.file
         WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts = 0
           AND NOT streamed AND producer = whose LIMIT up_to)
        UNION ALL
        (SELECT 1 FROM nightdrop.file
         WHERE state = 'waiting' AND token IS NULL AND retry_at IS NULL AND attempts = 0
           AND streamed AND producer = whose LIMIT up_to)
        UNION ALL
        (SELECT 1 FROM nightdrop.file
         WHERE state = 'waiting' AND token IS NULL AND retry_at IS NOT NULL AND producer = whose LIMIT up_to)
        UNION ALL
        (SELECT 1 FROM nightdrop.file WHERE token IS NOT NULL AND producer = whose LIMIT up_to)) file
$$;
CREATE FUNCTION nightdrop.held(whose text, up_to bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM (
        SELECT 1 FROM nightdrop.file WHERE state = 'held' AND nightdrop.folder(key) = whose LIMIT up_to) file
$$;
