//! A redriven file has the place in the order that it had: it is judged by what came after it.

use serde_json::json;

use super::{files, mend, parked, refused, refusing};
use crate::message::departures;
use crate::site::Site;

#[test]
fn what_was_replaced_meanwhile_is_superseded() {
    let site = refusing(Site::anywhere(), "");
    site.drop(&refused("2013-01-31T05:00:00Z").with("mode", json!("replace")));
    site.once();
    site.drop(&departures("2013-01-31T06:00:00Z").with("mode", json!("replace")));
    mend(&site);
    site.once();

    parked(&site, &["retry", "1"]);
    site.once();

    assert_eq!(
        files(&site),
        ["superseded|null|false|0", "loaded|null|false|0"]
    );
    assert_eq!(
        site.rows("SELECT flight FROM reports.departures ORDER BY 1"),
        ["1141", "1545"]
    );
}

#[test]
fn of_two_at_the_same_instant_the_one_that_arrived_first_yields_though_it_is_loaded_last() {
    let site = refusing(Site::anywhere(), "");
    for message in [
        refused("2013-01-31T05:00:00Z"),
        departures("2013-01-31T05:00:00Z"),
    ] {
        site.drop(&message.with("mode", json!("replace")));
        let _ = site.once();
    }
    mend(&site);
    parked(&site, &["retry", "1"]);
    site.once();
    assert_eq!(
        files(&site),
        ["superseded|null|false|0", "loaded|null|false|0"]
    );
}

#[test]
fn a_redriven_append_is_never_superseded() {
    let site = refusing(Site::anywhere(), "");
    site.drop(&refused("2013-01-31T05:00:00Z"));
    site.once();
    mend(&site);
    site.drop(&departures("2013-01-31T06:00:00Z"));
    site.once();
    parked(&site, &["retry", "1"]);
    site.once();
    assert_eq!(
        site.rows("SELECT flight, _file FROM reports.departures ORDER BY 1"),
        ["1141|2", "1545|2", "9999|1"]
    );
}

#[test]
fn what_came_with_other_content_under_its_run_meanwhile_keeps_it_out() {
    let site = refusing(Site::anywhere(), "");
    let message = refused("2013-01-31T05:00:00Z");
    site.drop(&message);
    site.once();
    site.drop(&message.rows(&json!([["B6", 1]])));
    site.once();
    mend(&site);
    parked(&site, &["retry", "1"]);
    site.once();
    assert_eq!(
        files(&site),
        ["parked|run_reused|true|1", "loaded|null|false|0"]
    );
    assert_eq!(site.rows("SELECT flight FROM reports.departures"), ["1"]);
}
