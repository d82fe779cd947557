-- When the object was put, by the bucket's clock: what a result's way is measured by. And the trace that its run
-- belongs to, if any: its object may be deleted by another consumer than the one that read it.
ALTER TABLE nightdrop.file
    ADD COLUMN put_at timestamptz,
    ADD COLUMN traceparent text CHECK (octet_length(traceparent) <= 55);

COMMENT ON COLUMN nightdrop.file.put_at IS 'When the object was put, by the bucket''s clock; NULL for what was listed before this was written down.';
COMMENT ON COLUMN nightdrop.file.traceparent IS 'The W3C trace context that the result came with, or that it was given when it was read.';
