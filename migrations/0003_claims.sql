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
