
-- The reader: every report table, also of tomorrow's, and the views of the schema nightdrop; never its tables.
GRANT CONNECT ON DATABASE {database} TO {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {consumer} GRANT USAGE ON SCHEMAS TO {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {consumer} GRANT SELECT ON TABLES TO {reader};
DO {quote}
DECLARE
    place regnamespace;
    thing regclass;
BEGIN
    FOR place IN SELECT oid FROM pg_namespace WHERE pg_get_userbyid(nspowner) = {consumer_text} LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', place, {reader_text});
    END LOOP;
    FOR thing IN
        SELECT oid FROM pg_class
         WHERE (relkind IN ('r', 'p', 'v', 'm') AND relpersistence <> 't'
                AND relnamespace <> 'nightdrop'::regnamespace AND pg_get_userbyid(relowner) = {consumer_text})
            OR (relkind = 'v' AND relnamespace = 'nightdrop'::regnamespace)
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO %I', thing, {reader_text});
    END LOOP;
END
{quote};

COMMIT;
