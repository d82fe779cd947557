-- The versions of this program that have read a file and didn't know its type. Each tries it once.
ALTER TABLE nightdrop.file ADD COLUMN judged_by text[];

COMMENT ON COLUMN nightdrop.file.judged_by IS 'The versions of the consumer that did not know its type: any other tries it by itself.';

-- What is looked for at each poll, and isn't there on most days.
CREATE INDEX file_unknown_version ON nightdrop.file (coalesce(judged_by, '{}'), id)
    WHERE state = 'parked' AND reason = 'unknown_version';
CREATE INDEX file_future ON nightdrop.file (as_of) WHERE state = 'parked' AND reason = 'future';
CREATE INDEX file_no_room ON nightdrop.file (producer, id) INCLUDE (size) WHERE state = 'held' AND reason = 'quota_parked';
-- What a producer takes of its quota, without a look at the bytes.
CREATE INDEX file_kept ON nightdrop.file (producer) INCLUDE (size) WHERE kept;
-- The oldest first: for those that nobody looks after.
CREATE INDEX file_parked ON nightdrop.file (decided_at) WHERE state = 'parked';

-- There is nothing in the bucket of a redriven file: it can't be held there, or missed.
CREATE TRIGGER file_redriven BEFORE UPDATE OF state ON nightdrop.file FOR EACH ROW
    WHEN (OLD.state = 'waiting' AND OLD.kept AND NEW.state IN ('held', 'missing'))
    EXECUTE FUNCTION nightdrop.refuse_transition();

-- A key outside the grammar is nobody's file: once a person has seen to it, it may be forgotten.
ALTER TABLE nightdrop.file
    DROP CONSTRAINT file_outside_the_grammar_is_held,
    ADD CONSTRAINT file_outside_the_grammar_is_held CHECK (state IN ('held', 'missing') OR
        (producer IS NOT NULL AND job IS NOT NULL AND as_of IS NOT NULL AND run_id IS NOT NULL));
