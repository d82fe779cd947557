use super::*;

fn window(every: &str, timezone: &str) -> Window {
    Window {
        every: every.parse().unwrap(),
        column: "at".parse().unwrap(),
        timezone: timezone.parse().unwrap(),
    }
}

fn interval(window: &Window, ty: Type, clock: &str) -> String {
    let column = Described {
        column: nightdrop_schema::Column::new("at".parse().unwrap(), ty),
        source_type: String::new(),
    };
    match window.at(None, clock.parse().unwrap(), &[column]) {
        Ok(interval) => interval.to_string(),
        Err(error) => error.to_string(),
    }
}

fn instants(every: &str, clock: &str) -> String {
    interval(&window(every, "America/New_York"), Type::Timestamptz, clock)
}

#[test]
fn a_slot_has_ended_in_the_job_s_time_zone() {
    // In New York it is still the 30th.
    assert_eq!(
        interval(
            &window("1d", "America/New_York"),
            Type::Date,
            "2013-01-31T04:59:59Z"
        ),
        "[2013-01-29, 2013-01-30) of at"
    );
    assert_eq!(
        interval(
            &window("1d", "America/New_York"),
            Type::Date,
            "2013-01-31T05:00:00Z"
        ),
        "[2013-01-30, 2013-01-31) of at"
    );
    assert_eq!(
        interval(&window("1d", "UTC"), Type::Date, "2013-01-31T05:00:00Z"),
        "[2013-01-30, 2013-01-31) of at"
    );
}

#[test]
fn the_column_s_type_decides_what_the_ends_are() {
    let clock = "2013-01-31T05:00:00Z";
    let day = window("1d", "America/New_York");
    insta::assert_snapshot!(interval(&day, Type::Timestamp, clock), @"[2013-01-30T00:00:00.000000, 2013-01-31T00:00:00.000000) of at");
    insta::assert_snapshot!(interval(&day, Type::Timestamptz, clock), @"[2013-01-30T05:00:00.000000Z, 2013-01-31T05:00:00.000000Z) of at");
    insta::assert_snapshot!(interval(&day, Type::String, clock), @"window.column: at travels as string; only a date, timestamp or timestamptz lies in a slot; `types` may say so");
    insta::assert_snapshot!(interval(&window("1h", "UTC"), Type::Date, clock), @"window.column: at travels as date; a slot that is shorter than a day has no days as ends");
}

#[test]
fn days_of_23_and_25_hours_are_whole() {
    assert_eq!(
        instants("1d", "2013-03-11T12:00:00Z"),
        "[2013-03-10T05:00:00.000000Z, 2013-03-11T04:00:00.000000Z) of at"
    );
    assert_eq!(
        instants("1d", "2013-11-04T12:00:00Z"),
        "[2013-11-03T04:00:00.000000Z, 2013-11-04T05:00:00.000000Z) of at"
    );
    // Midnight itself is left out: in São Paulo clocks went from 23:59:59 to 01:00.
    assert_eq!(
        interval(
            &window("1d", "America/Sao_Paulo"),
            Type::Timestamptz,
            "2013-10-21T12:00:00Z"
        ),
        "[2013-10-20T03:00:00.000000Z, 2013-10-21T02:00:00.000000Z) of at"
    );
}

#[test]
fn an_hour_that_comes_twice_is_one_slot_and_ends_the_second_time() {
    // 01:00 to 02:00 comes from 05:00Z to 07:00Z; 01:15 was over at 05:15Z, and again at 06:15Z.
    assert_eq!(
        instants("1h", "2013-11-03T06:59:59Z"),
        "[2013-11-03T04:00:00.000000Z, 2013-11-03T05:00:00.000000Z) of at"
    );
    assert_eq!(
        instants("1h", "2013-11-03T07:00:00Z"),
        "[2013-11-03T05:00:00.000000Z, 2013-11-03T07:00:00.000000Z) of at"
    );
    assert_eq!(
        instants("15m", "2013-11-03T06:14:59Z"),
        instants("15m", "2013-11-03T06:00:00Z")
    );
    assert_eq!(
        instants("15m", "2013-11-03T06:15:00Z"),
        "[2013-11-03T05:00:00.000000Z, 2013-11-03T05:15:00.000000Z) of at"
    );
}

#[test]
fn an_hour_that_is_left_out_is_no_slot() {
    assert_eq!(
        instants("1h", "2013-03-10T07:00:00Z"),
        "[2013-03-10T06:00:00.000000Z, 2013-03-10T07:00:00.000000Z) of at"
    );
    assert_eq!(
        instants("1h", "2013-03-10T08:00:00Z"),
        "[2013-03-10T07:00:00.000000Z, 2013-03-10T08:00:00.000000Z) of at"
    );
}

#[test]
fn slots_cover_every_instant_once() {
    for every in ["15m", "1h", "6h", "1d", "1w", "1mo"] {
        for timezone in [
            "America/New_York",
            "America/Sao_Paulo",
            "Australia/Lord_Howe",
            "UTC",
        ] {
            let window = window(every, timezone);
            let slots = window.slots("2013-01-01", "2014-01-01");
            // A year has no whole number of weeks.
            let slots = match every {
                "1w" => window.slots("2013-01-07", "2014-01-06").unwrap(),
                _ => slots.unwrap(),
            };
            for pair in slots.windows(2) {
                assert!(window.first(pair[0].from) < window.first(pair[0].to));
                assert_eq!(
                    window.first(pair[0].to),
                    window.first(pair[1].from),
                    "{every} {timezone}"
                );
            }
        }
    }
}

#[test]
fn a_backfill_is_of_whole_slots() {
    let day = window("1d", "America/New_York");
    let slots = day.slots("2013-01-30", "2013-02-01").unwrap();
    assert_eq!(slots.len(), 2);
    // The same, as an instant.
    assert_eq!(
        day.slots("2013-01-30T05:00:00Z", "2013-02-01T00:00:00-05:00"),
        Ok(slots)
    );
    let refusal = |from, to| day.slots(from, to).unwrap_err();
    insta::assert_snapshot!(refusal("2013-01-30T06:00:00", "2013-02-01"), @"--from 2013-01-30T06:00:00 lies inside a slot of 1d; the slot begins at 2013-01-30 00:00:00");
    insta::assert_snapshot!(refusal("2013-01-30", "2013-01-30"), @"--to 2013-01-30 is not after --from 2013-01-30");
    insta::assert_snapshot!(refusal("2013-01-30", "soon"), @"--to soon is no moment; write 2013-01-31, 2013-01-31T06:00:00 (in America/New_York) or 2013-01-31T06:00:00Z");
}

#[test]
fn a_slot_that_has_not_ended_is_refused_by_name() {
    let day = window("1d", "America/New_York");
    let slot = day.slots("2013-01-31", "2013-02-01").unwrap()[0];
    let at = |clock: &str| {
        day.at(Some(slot), clock.parse().unwrap(), &[])
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(at("2013-02-01T04:59:59Z"), @"the slot [2013-01-31 00:00:00, 2013-02-01 00:00:00) in America/New_York has not ended: the source's clock shows 2013-02-01T04:59:59.000000Z");
    assert!(at("2013-02-01T05:00:00Z").starts_with("window.column: "));
}

#[test]
fn slots_divide_the_day_the_week_or_the_year() {
    for (text, every) in [
        ("1mo", Every::Month),
        ("1w", Every::Week),
        ("1d", Every::Day),
        ("24h", Every::Day),
        ("6h", Every::Minutes(360)),
        ("60m", Every::Minutes(60)),
        ("1m", Every::Minutes(1)),
    ] {
        assert_eq!(text.parse(), Ok(every));
    }
    for text in [
        "",
        "d",
        "2d",
        "5h",
        "7m",
        "0m",
        "1s",
        "25h",
        "1.5h",
        "4294967295h",
    ] {
        assert!(text.parse::<Every>().is_err(), "{text}");
    }
}
