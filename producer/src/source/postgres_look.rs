//! What a role can write in Postgres, and how its connection is secured.

use nightdrop_runtime::postgres::{options, wire};
use secrecy::SecretString;
use sqlx::{ConnectOptions, Connection, Row, ValueRef};
use url::Url;

use super::{
    Error, Look, Writes,
    postgres::{judged, text},
};

/// Whatever a role may do that this one may become, it may do: SET ROLE is all that it takes. Temporary tables are nobody's loss. What a schema's owner may do in it is looked at by its tables.
const LOOK: &str = "\
SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)::text,
       (SELECT coalesce(
            max(CASE WHEN r.rolsuper AND r.rolname = current_user THEN 'it is a superuser'
                     WHEN r.rolsuper THEN format('it may become %I, a superuser', r.rolname)
                     WHEN r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_write_all_data')
                     THEN format('it is a member of %I', r.rolname)
                     WHEN has_database_privilege(r.oid, current_database(), 'CREATE') THEN 'it may create schemas' END),
            (SELECT format('it may write to %s', c.oid::regclass)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles r
             WHERE pg_has_role(r.oid, 'MEMBER')
               AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
               AND n.nspname NOT IN ('pg_catalog', 'information_schema')
               AND has_schema_privilege(r.oid, n.oid, 'USAGE')
               AND (has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
                    OR has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE'))
             ORDER BY c.oid::regclass::text LIMIT 1))
        FROM pg_roles r WHERE pg_has_role(r.oid, 'MEMBER'))";

pub(super) async fn look(url: &Url, password: Option<&SecretString>) -> Result<Look, Error> {
    let options = options(url, password, "nightdrop-producer")
        .map_err(|why| Error::Settings(why.to_string()))?;
    let mut connection = options.connect().await.map_err(judged)?;
    let row = sqlx::raw_sql(LOOK)
        .fetch_one(&mut connection)
        .await
        .map_err(judged)?;
    let (wire, stays_here) = wire(&options, text(&row, 0)? == "true");
    let writes = if row.try_get_raw(1).map_err(judged)?.is_null() {
        Writes::Nothing
    } else {
        Writes::Something(text(&row, 1)?.to_owned())
    };
    let _ = connection.close().await;
    Ok(Look {
        wire,
        stays_here,
        writes,
    })
}
