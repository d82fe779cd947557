//! What the consumer's role may do in Postgres: all that it must, and no more.

use nightdrop_runtime::exit::Code;
use nightdrop_runtime::findings::Finding;
use sqlx::Row;

use crate::consumer::Consumer;

const LEAST: &str = "Postgres: least rights";
const LEDGER: &str = "Postgres: rights in the ledger";
const MAKE: &str = "Postgres: rights to make tables";
const STAGE: &str = "Postgres: right to temporary tables";

pub(super) const LINES: &[&str] = &[LEAST, LEDGER, MAKE, STAGE];

const GRANTS: &str = "run what `nightdrop-consumer grants` prints";

/// Whether the ledger's tables may be the role's own is for the configuration to say: who applies migrations makes them.
const ROLE: &str = "SELECT
    current_user::text,
    CASE WHEN rolsuper THEN 'a superuser'
         WHEN rolcreaterole THEN 'one that may make roles'
         WHEN rolcreatedb THEN 'one that may make databases'
         WHEN rolbypassrls THEN 'one that no row security holds'
         WHEN rolreplication THEN 'one that may replicate'
         WHEN EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND pg_has_role(datdba, 'MEMBER'))
         THEN 'the database''s owner'
         ELSE (SELECT format('a member of %I', other.rolname) FROM pg_roles other
               WHERE other.rolname <> current_user AND pg_has_role(other.oid, 'MEMBER')
                 AND (other.rolsuper OR other.rolcreaterole OR other.rolcreatedb OR other.rolreplication OR other.rolbypassrls
                      OR other.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
                                           'pg_read_all_data', 'pg_write_all_data'))
               ORDER BY other.rolname LIMIT 1)
    END,
    EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('nightdrop') AND pg_has_role(relowner, 'MEMBER')),
    has_database_privilege(current_database(), 'CREATE'),
    has_database_privilege(current_database(), 'TEMPORARY'),
    (SELECT coalesce(array_agg(nspname::text ORDER BY nspname), '{}') FROM pg_namespace
     WHERE has_schema_privilege(oid, 'CREATE') AND nspname NOT LIKE 'pg\\_%'
       AND nspname NOT IN ('information_schema', 'nightdrop', 'public'))
 FROM pg_roles WHERE rolname = current_user";

/// What of the ledger the role lacks. Which migrations were applied is the owner's to say; a view is only read.
const LACKS: &str = "SELECT
    to_regnamespace('nightdrop') IS NOT NULL,
    coalesce(has_schema_privilege(to_regnamespace('nightdrop'), 'USAGE'), false),
    (SELECT coalesce(array_agg(format('%s on nightdrop.%I', privilege, relname) ORDER BY relname, privilege), '{}')
     FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) privilege
     WHERE relnamespace = to_regnamespace('nightdrop') AND relkind IN ('r', 'p', 'v', 'm')
       AND (privilege = 'SELECT' OR (relkind IN ('r', 'p') AND relname <> 'migration'))
       AND NOT has_table_privilege(pg_class.oid, privilege))";

pub(super) async fn look(consumer: &Consumer) -> Result<Vec<Finding>, sqlx::Error> {
    let role = sqlx::query(ROLE).fetch_one(consumer.pool()).await?;
    let lacks = sqlx::query(LACKS).fetch_one(consumer.pool()).await?;
    let name: String = role.try_get(0)?;
    let schemas: Vec<String> = role.try_get(5)?;
    Ok(vec![
        least(
            &name,
            role.try_get(1)?,
            role.try_get(2)?,
            consumer.config.postgres.migrate,
        ),
        ledger(
            lacks.try_get(0)?,
            lacks.try_get(1)?,
            &lacks.try_get::<Vec<String>, _>(2)?,
        ),
        make(role.try_get(3)?, &schemas),
        if role.try_get(4)? {
            Finding::ok(STAGE, "upserts are staged in them")
        } else {
            Finding::fail(
                STAGE,
                Code::NoPerm,
                format!("{name} lacks TEMPORARY on the database, where upserts are staged"),
                GRANTS,
            )
        },
    ])
}

fn least(name: &str, too_much: Option<String>, owns_ledger: bool, migrate: bool) -> Finding {
    if let Some(what) = too_much {
        return Finding::fail(
            LEAST,
            Code::NoPerm,
            format!("{name} is {what}"),
            "let the consumer have a role of its own: `nightdrop-consumer grants` prints how",
        );
    }
    match (owns_ledger, migrate) {
        (true, true) => Finding::ok(
            LEAST,
            format!("{name} is a plain role; it makes the ledger's tables, too (migrate = true)"),
        ),
        (true, false) => Finding::fail(
            LEAST,
            Code::NoPerm,
            format!("{name} may change and drop the ledger's tables, though migrate = false"),
            GRANTS,
        ),
        (false, _) => Finding::ok(
            LEAST,
            format!("{name} is a plain role, and the ledger is another's"),
        ),
    }
}

fn ledger(there: bool, usable: bool, lacks: &[String]) -> Finding {
    if !there {
        return Finding::unproven(
            LEDGER,
            Code::Config,
            "there is no schema nightdrop yet",
            "run `nightdrop-consumer migrate` as its owner, then ask again",
        );
    }
    if !usable {
        return Finding::fail(
            LEDGER,
            Code::NoPerm,
            "USAGE on the schema nightdrop is missing",
            GRANTS,
        );
    }
    if lacks.is_empty() {
        return Finding::ok(LEDGER, "rows can be read and written");
    }
    Finding::fail(
        LEDGER,
        Code::NoPerm,
        format!("missing: {}", lacks.join(", ")),
        GRANTS,
    )
}

fn make(anywhere: bool, schemas: &[String]) -> Finding {
    match (anywhere, schemas) {
        (true, _) => Finding::ok(MAKE, "also for a producer that comes tomorrow"),
        (false, []) => Finding::fail(
            MAKE,
            Code::NoPerm,
            "CREATE is missing on the database, and on every schema in it",
            GRANTS,
        ),
        (false, schemas) => Finding::ok(
            MAKE,
            format!("only in {}, as by grants --strict", schemas.join(", ")),
        ),
    }
}
