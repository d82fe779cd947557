-- Files that are held until their producer may have one more table: asked for at each poll.
CREATE INDEX file_held_for_a_table ON nightdrop.file (producer) WHERE state = 'held' AND reason = 'quota_tables';
