//! The way back of what was parked or held: by itself, or because a person wants it.

use crate::message::{Message, departures};
use crate::site::{Site, on_each};

/// What an older version left: it had read this file and didn't know its type.
fn parked_by_an_older_version(site: &Site, message: &Message, version: &str) {
    let (key, body) = (message.key(), message.body());
    site.execute(&format!(
        "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id)
         VALUES ('{key}', '\"old\"', {}, '{}', '{}', '{}', '{}');
         INSERT INTO nightdrop.parked SELECT id, 0, convert_to($body${body}$body$, 'UTF8') FROM nightdrop.file WHERE key = '{key}';
         UPDATE nightdrop.file SET state = 'parked', decided_at = now(), gone_at = now(), kept = true,
                reason = 'unknown_version', error = 'not known', judged_by = '{{{version}}}'
         WHERE key = '{key}'",
        body.len(), message.source, message.subject, message.time, message.id
    ));
}

#[test]
fn what_an_older_version_did_not_know_is_loaded_by_the_first_that_does() {
    on_each(|site| {
        assert_eq!(site.consumer(&["migrate"]).code, Some(0));
        let small = departures("2013-01-31T05:00:00Z");
        parked_by_an_older_version(&site, &small, "0.0.1");

        let ended = site.once();

        assert_eq!(ended.stdout, "1 result loaded, 2 rows\n");
        assert_eq!(
            site.rows("SELECT state, reason, kept, d.flight FROM nightdrop.file f JOIN jfk.departures d ON d._file = f.id ORDER BY 4"),
            ["loaded|null|false|1141", "loaded|null|false|1545"]
        );
        assert_eq!(site.rows("SELECT count(*) FROM nightdrop.parked"), ["0"]);
    });
}

#[test]
fn a_file_that_comes_back_knows_that_its_object_is_gone() {
    let site = Site::on(nightdrop_compose::S3Kind::available()[0]);
    assert_eq!(site.consumer(&["migrate"]).code, Some(0));
    let message = departures("2013-01-31T05:00:00Z");
    parked_by_an_older_version(&site, &message, "0.0.1");
    // Somebody has put the same object again: a sighting of its own, with a verdict of its own.
    site.execute(
        "INSERT INTO nightdrop.file (key, etag, size, producer, job, as_of, run_id, state, decided_at, reason, error)
         SELECT key, etag, size, producer, job, as_of, run_id, 'held', now(), 'unreadable', 'refused' FROM nightdrop.file",
    );

    site.once();

    assert_eq!(
        site.rows("SELECT state, gone_at IS NOT NULL FROM nightdrop.file ORDER BY id"),
        ["loaded|true", "held|false"]
    );
}

#[test]
fn a_version_tries_once_what_it_does_not_know() {
    on_each(|site| {
        let unknown = departures("2013-01-31T03:00:00Z");
        let body = unknown.body().replace("result.v1", "result.v9");
        site.drop_as(&unknown.key(), body.as_bytes());
        site.once();
        let judged = "SELECT state, reason, judged_by, claimed_at FROM nightdrop.file";
        let before = site.rows(judged);
        assert!(
            before[0].starts_with("parked|unknown_version|["),
            "{before:?}"
        );
        site.once();
        assert_eq!(site.rows(judged), before);

        // To this version it is as good as new if only another one has judged it.
        site.execute("UPDATE nightdrop.file SET judged_by = '{0.0.1}'");
        site.once();
        let after = site.rows(judged);
        assert_ne!(after, before);
        assert!(
            after[0].starts_with("parked|unknown_version|[\"0.0.1\",\""),
            "{after:?}"
        );
        site.once();
        assert_eq!(site.rows(judged), after);
        assert_eq!(site.rows("SELECT count(*) FROM nightdrop.parked"), ["1"]);
    });
}
