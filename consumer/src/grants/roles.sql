-- Nightdrop's three roles in the database {database_name}. To be run there by a superuser, before the first
-- `nightdrop-consumer migrate` and again after each that applied something:
--     nightdrop-consumer grants | psql -v ON_ERROR_STOP=1 -d {database_name}
-- They have no passwords yet. In psql: \password {owner_name}
BEGIN;
-- Else what somebody else made would be called by the names used here: a superuser's own schema comes before the system's.
SET LOCAL search_path = pg_catalog, pg_temp;

DO {quote}
DECLARE
    name text;
    other text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{owner_text}, {consumer_text}, {reader_text}] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
    FOREACH name IN ARRAY ARRAY[{consumer_text}, {reader_text}] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = name
                      AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)) THEN
            RAISE EXCEPTION 'the role % may do more than can be taken from it here', name
                USING HINT = format('ALTER ROLE %I NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS', name);
        END IF;
        -- Inherited or not: SET ROLE is all that it takes.
        SELECT rolname INTO other FROM pg_roles
         WHERE rolname <> name AND pg_has_role(name, oid, 'MEMBER')
           AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
                OR rolname IN ({owner_text}, {consumer_text}, 'pg_execute_server_program', 'pg_read_server_files',
                               'pg_write_server_files', 'pg_read_all_data', 'pg_write_all_data'))
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the role % is a member of %, and may do what that may', name, other
                USING HINT = format('REVOKE %I FROM %I', other, name);
        END IF;
        IF EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND pg_get_userbyid(datdba) = name) THEN
            RAISE EXCEPTION 'the database belongs to %, who may do all in it', name
                USING HINT = format('ALTER DATABASE %I OWNER TO %I', current_database(), {owner_text});
        END IF;
    END LOOP;
END
{quote};

-- The owner: makes and changes what is in the schema nightdrop, by `nightdrop-consumer migrate`.
GRANT CONNECT, CREATE ON DATABASE {database} TO {owner};
CREATE SCHEMA IF NOT EXISTS nightdrop;
ALTER SCHEMA nightdrop OWNER TO {owner};
DO {quote}
DECLARE
    thing regclass;
    routine regprocedure;
BEGIN
    -- The sequence of an identity column goes with its table.
    FOR thing IN
        SELECT oid FROM pg_class
         WHERE relnamespace = 'nightdrop'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
           AND pg_get_userbyid(relowner) <> {owner_text}
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', thing, {owner_text});
    END LOOP;
    FOR routine IN
        SELECT oid FROM pg_proc
         WHERE pronamespace = 'nightdrop'::regnamespace AND pg_get_userbyid(proowner) <> {owner_text}
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO %I', routine, {owner_text});
    END LOOP;
END
{quote};

-- The consumer: rows of the schema nightdrop, and report tables. Upserts are staged in temporary tables.
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {consumer};
REVOKE ALL ON SCHEMA nightdrop FROM PUBLIC, {consumer}, {reader};
GRANT USAGE ON SCHEMA nightdrop TO {consumer}, {reader};
REVOKE ALL ON ALL TABLES IN SCHEMA nightdrop FROM PUBLIC, {consumer}, {reader};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA nightdrop TO {consumer};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA nightdrop
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {consumer};
DO {quote}
BEGIN
    -- Which migrations were applied is the owner's to say.
    IF to_regclass('nightdrop.migration') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON nightdrop.migration FROM {consumer};
    END IF;
END
{quote};
