-- A load that was ended as overdue is remembered for as long as a lease: its consumer, if it is alive, gives
-- the files back itself, and nobody is to blame it meanwhile.
ALTER TABLE nightdrop.load ADD ended_at timestamptz;

COMMENT ON COLUMN nightdrop.load.ended_at IS 'When another session ended it; NULL for one that goes on or ended by itself.';
