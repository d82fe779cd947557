//! Secrets that change while a consumer runs. Those of the bucket are in the bucket's own tests.

use crate::message::departures;
use crate::site::{on_one, until};

#[test]
fn a_password_of_postgres_that_was_changed_counts_without_a_restart() {
    on_one(|site| {
        site.drop(&departures("2013-01-31T05:00:00Z"));
        let consumer = site.start(&["run"]);
        site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);

        // On one connection: the test's own password is the old one too.
        site.execute(&format!(
            "BEGIN; ALTER ROLE {} PASSWORD 'another'; COMMIT;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE usename = current_user AND application_name LIKE 'nightdrop/%'",
            site.database.name()
        ));
        until("the old one is refused", || {
            consumer.log().contains("password authentication failed")
        });
        std::fs::write(site.folder.path().join("pg"), "another").unwrap();
        site.drop(&departures("2013-01-31T06:00:00Z"));
        site.wait_for("SELECT count(*) FROM jfk.departures", &["4"]);
        consumer.kill();
    });
}
