
-- A routed table may be somebody else's: then rows are all that the consumer may touch in it.
DO {quote}
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass({table_text}) AND pg_get_userbyid(relowner) <> {consumer_text}) THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {consumer};
        GRANT SELECT ON {table} TO {reader};
    END IF;
END
{quote};
