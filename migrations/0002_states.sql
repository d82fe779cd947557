-- A parked file's bytes are kept in Postgres. Redriven, it waits again and is read from there, for its
-- object is deleted by then, or soon will be.
ALTER TABLE nightdrop.file ADD COLUMN kept boolean NOT NULL DEFAULT false;
UPDATE nightdrop.file SET kept = true WHERE state = 'parked';

ALTER TABLE nightdrop.file
    DROP CONSTRAINT file_gone_is_decided,
    ADD CONSTRAINT file_gone_is_decided_or_kept CHECK
        (gone_at IS NULL OR state NOT IN ('waiting', 'held') OR (state = 'waiting' AND kept)),
    ADD CONSTRAINT file_parked_is_kept CHECK (state <> 'parked' OR kept),
    ADD CONSTRAINT file_kept_is_parked_or_redriven CHECK (NOT kept OR state IN ('parked', 'waiting'));

COMMENT ON COLUMN nightdrop.file.kept IS 'Its stored bytes are in nightdrop.parked, and are read from there should it be loaded after all.';

-- The legal ways from one state to another; docs/architecture.md draws them, and a test holds them against
-- the consumer's own. The condition is evaluated without calling the function, unless it is true.
CREATE FUNCTION nightdrop.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'file %: from % to % is no way that a file goes',
        NEW.id, CASE TG_OP WHEN 'UPDATE' THEN OLD.state ELSE 'nothing' END, NEW.state
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'file_transition';
END
$$;

CREATE TRIGGER file_transition BEFORE UPDATE OF state ON nightdrop.file FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NOT (
        (OLD.state = 'waiting' AND NEW.state IN ('loaded', 'superseded', 'duplicate', 'parked', 'held', 'noted', 'missing'))
        OR (OLD.state = 'held' AND NEW.state IN ('waiting', 'dropped', 'missing'))
        OR (OLD.state = 'parked' AND NEW.state IN ('waiting', 'dropped'))))
    EXECUTE FUNCTION nightdrop.refuse_transition();

CREATE TRIGGER file_begins BEFORE INSERT ON nightdrop.file FOR EACH ROW
    WHEN (NEW.state NOT IN ('waiting', 'held'))
    EXECUTE FUNCTION nightdrop.refuse_transition();
