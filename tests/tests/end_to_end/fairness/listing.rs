//! What is in the bucket is seen, whatever else is there.

use std::time::Duration;

use nightdrop_bucket::PAGE;

use super::claims::results;
use crate::crashes::gate_before_s3;
use crate::gate::Hold;
use crate::message::{Message, departures, message};
use crate::site::{Site, let_pass, on_each, until};

fn lga(hour: u32) -> Message {
    message("lga", "departures", &format!("2013-01-31T{hour:02}:00:00Z"))
}

/// Puts an object under each of these raw keys, as the server's owner.
pub fn put_raw(site: &Site, keys: &[String]) {
    request(site, "PUT", keys);
}

fn request(site: &Site, method: &str, keys: &[String]) {
    let inbox = &site.inbox;
    std::thread::scope(|scope| {
        for keys in keys.chunks(keys.len().div_ceil(16).max(1)) {
            scope.spawn(move || {
                for key in keys {
                    let answer = inbox.request(&inbox.root(), method, key, "x").unwrap();
                    assert!((200..300).contains(&answer.status), "{key}: {answer:?}");
                }
            });
        }
    });
}

fn held(site: &Site) -> Vec<String> {
    site.rows("SELECT key FROM nightdrop.file WHERE state = 'held' ORDER BY key")
}

#[test]
fn more_than_a_page_under_one_name_hides_nobody_behind_it() {
    on_each(|site| {
        let site = site.configured("[quota]\nheld = 2000\n");
        let strange: Vec<String> = (0..PAGE + 100)
            .map(|n| format!("inbox/aaa/stray/{n:05}"))
            .collect();
        put_raw(&site, &strange);
        let results: Vec<Message> = (0..3).map(lga).collect();
        site.drop_all(&results);

        site.once();

        assert_eq!(site.rows("SELECT count(*) FROM lga.departures"), ["6"]);
        assert!(held(&site) == strange, "all of them are written down");
    });
}

#[test]
fn a_folder_that_is_jumped_over_ends_before_the_next_one_begins() {
    on_each(|site| {
        let names = ["aaa", "aaa0", "aaa_a", "aab"];
        for name in names {
            site.drop(&message(name, "departures", "2013-01-31T01:00:00Z"));
        }
        for (at, name) in names.iter().enumerate() {
            let end = format!("inbox/{name}/{}", char::MAX);
            let listed: Vec<String> = site
                .keys_after(&end)
                .iter()
                .filter_map(|key| key.split('/').nth(1).map(str::to_owned))
                .collect();
            assert_eq!(listed, names[at + 1..], "after {name}");
        }
    });
}

#[test]
fn of_strange_keys_under_one_name_so_many_are_written_down_and_those_that_vanish_are_missing() {
    on_each(|site| {
        let site = site.configured("[quota]\nheld = 3\n");
        let strange: Vec<String> = (0..9).map(|n| format!("inbox/aaa/stray/{n}")).collect();
        put_raw(&site, &strange);
        put_raw(
            &site,
            &["inbox/loose".into(), "inbox/an%20odd%20name/x".into()],
        );
        site.drop(&lga(1));

        let ended = site.once();
        let said = "under inbox/aaa/ are more than 3 keys outside the grammar";
        assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
        assert_eq!(site.rows("SELECT count(*) FROM lga.departures"), ["2"]);
        let found = held(&site);
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found[..3], strange[..3]);

        request(&site, "DELETE", &strange[..2]);
        site.once();
        assert_eq!(
            site.rows(
                "SELECT key, reason FROM nightdrop.file WHERE state = 'missing' ORDER BY key"
            ),
            [
                format!("{}|gone", strange[0]),
                format!("{}|gone", strange[1])
            ]
        );
        // There is room for others now.
        site.once();
        assert_eq!(held(&site)[..3], strange[2..5]);
    });
}

#[test]
fn a_producer_with_as_much_waiting_as_it_may_leaves_the_rest_in_the_bucket_and_room_is_used() {
    on_each(|site| {
        let site = site.configured("[quota]\nwaiting = 5\n");
        site.rest("jfk", "departures");
        let results: Vec<Message> = (0..23)
            .map(|minute| departures(&format!("2013-01-31T05:{minute:02}:00Z")))
            .collect();
        site.drop_all(&results);
        site.drop(&lga(1));

        site.once();
        assert_eq!(
            site.rows(
                "SELECT producer, state, count(*) FROM nightdrop.file GROUP BY 1, 2 ORDER BY 1"
            ),
            ["jfk|waiting|5", "lga|loaded|1"]
        );

        site.execute("DELETE FROM nightdrop.pause");
        let ended = site.once();
        assert_eq!(ended.stdout, "23 results loaded, 46 rows\n");
        assert_eq!(site.keys(), Vec::<String>::new());
    });
}

#[test]
fn a_producer_that_is_full_is_not_listed_and_what_was_not_looked_at_is_not_thought_gone() {
    let mut site = Site::anywhere().configured(&format!("[quota]\nwaiting = {PAGE}\nheld = 2\n"));
    put_raw(&site, &["inbox/jfk/departures/zzz".to_owned()]);
    site.once();
    site.rest("jfk", "departures");
    site.drop_all(&results("jfk", "departures", PAGE + 1));
    let gate = gate_before_s3(&mut site);
    let consumer = site.start(&["run"]);
    until("it to be full", || {
        consumer.log().contains("as its quota allows")
    });
    // Where it has room, a folder with a backlog is asked for by itself.
    gate.refuse("prefix=inbox%2Fjfk%2F");
    let look = |hours: std::ops::Range<u32>| {
        for hour in hours {
            site.drop(&lga(hour));
            let rows = (2 * hour).to_string();
            site.wait_for("SELECT count(*) FROM lga.departures", &[&rows]);
        }
        site.rows("SELECT state, reason, count(*) FROM nightdrop.file WHERE producer IS DISTINCT FROM 'lga' GROUP BY 1, 2 ORDER BY 1, 2")
    };
    assert_eq!(look(1..4), ["held|key|1", "waiting|null|1000"]);

    // Fewer wait than may, but more than may are held.
    site.execute(
        "UPDATE nightdrop.file SET state = 'held', decided_at = now(), reason = 'unreadable', error = 'a test'
         WHERE id IN (SELECT id FROM nightdrop.file WHERE producer = 'jfk' AND state = 'waiting' LIMIT 3)",
    );
    site.drop(&departures("2013-01-30T00:00:00Z"));
    assert_eq!(
        look(4..7),
        ["held|key|1", "held|unreadable|3", "waiting|null|997"]
    );
    let log = consumer.log();
    assert!(!log.contains("bucket can't be used"), "{log}");
}

#[test]
fn a_folder_whose_pages_come_slowly_keeps_nobody_from_being_seen() {
    let mut site = Site::anywhere();
    site.rest("aaa", "departures");
    site.drop_all(&results("aaa", "departures", 2 * PAGE + 1));
    let gate = gate_before_s3(&mut site);
    gate.hold(Hold::Request("prefix=inbox%2Faaa%2F"));
    let _consumer = site.start(&["run"]);
    gate.wait();
    site.drop(&lga(1));
    // So long folders have their turns before it is time to look across again, and a little more.
    let_pass(Duration::from_millis(1100));
    gate.open();

    let aaa = "SELECT count(*) FROM nightdrop.file WHERE producer = 'aaa'";
    site.wait_for(aaa, &[&(2 * PAGE + 1).to_string()]);
    assert_eq!(
        site.rows(
            "SELECT count(*) FROM nightdrop.file
             WHERE producer = 'aaa' AND id < (SELECT id FROM nightdrop.file WHERE producer = 'lga')"
        ),
        [(2 * PAGE).to_string()]
    );
}

#[test]
fn what_is_listed_and_never_there_is_looked_at_again_after_an_hour_and_not_at_each_list() {
    let mut site = Site::anywhere();
    let gate = gate_before_s3(&mut site);
    site.drop(&departures("2013-01-31T01:00:00Z"));
    gate.answer(
        "/inbox/jfk/",
        "404 Not Found",
        "<Error><Code>NoSuchKey</Code></Error>",
    );
    let consumer = site.start(&["run"]);
    site.wait_for(
        "SELECT state, reason FROM nightdrop.file",
        &["missing|gone"],
    );
    // Some more looks at the bucket.
    for hour in 1..5 {
        site.drop(&lga(hour));
        let rows = (2 * hour).to_string();
        site.wait_for("SELECT count(*) FROM lga.departures", &[&rows]);
    }
    assert_eq!(
        site.rows("SELECT state FROM nightdrop.file WHERE producer = 'jfk'"),
        ["missing"]
    );

    gate.refuse("nothing");
    site.execute(
        "UPDATE nightdrop.file SET gone_at = now() - interval '61 min' WHERE producer = 'jfk'",
    );
    site.wait_for("SELECT count(*) FROM jfk.departures", &["2"]);
    until("it to be deleted", || site.is_inbox_empty());
    drop(consumer);
}
