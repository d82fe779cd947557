-- What a result's query ran with: where a cursor job is to go on whose state folder is lost.
ALTER TABLE nightdrop.file ADD COLUMN parameters text;

COMMENT ON COLUMN nightdrop.file.parameters IS 'What the query of a result that was read ran with, as JSON; NULL where that is nothing, or longer than 2,000 bytes.';
