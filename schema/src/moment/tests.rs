//! What moments promise. That Postgres agrees is tested against a server, in `tests/`.

use proptest::prelude::*;

use super::*;

fn problem<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn days_count_from_2000_as_in_postgres() {
    for (text, raw) in [
        ("2000-01-01", 0),
        ("1970-01-01", -10_957),
        ("2013-01-31", 4779),
        ("1999-12-31", -1),
        ("2000-02-29", 59),
        ("-4713-11-24", DATE_MIN),
        ("+5874897-12-31", DATE_END - 1),
        ("infinity", i32::MAX),
        ("-infinity", i32::MIN),
    ] {
        let date = Date::parse(text).unwrap();
        assert_eq!((date.raw(), date.to_string().as_str()), (raw, text));
    }
}

#[test]
fn years_outside_0001_to_9999_are_astronomical_and_signed() {
    assert_eq!(
        Date::from_civil(0, 12, 31).unwrap().to_string(),
        "+0000-12-31"
    );
    assert_eq!(
        Date::parse("0000-12-31").unwrap(),
        Date::from_civil(0, 12, 31).unwrap()
    );
    assert_eq!(
        Date::parse("-4712-01-01").unwrap().civil(),
        Some((-4712, 1, 1))
    );
    assert_eq!(
        Date::parse("+12345-01-01").unwrap().to_string(),
        "+12345-01-01"
    );
    assert_eq!(
        problem(Date::parse("12345-01-01")),
        "\"12345-01-01\" has a year of more than four digits; write it with a sign, as +12345-01-01"
    );
}

#[test]
fn a_day_that_is_none_is_refused() {
    for (text, why) in [
        (
            "2013-02-29",
            "there is no day 29 in February of the year 2013; write one from 01 to 28",
        ),
        (
            "2000-02-30",
            "there is no day 30 in February of the year 2000; write one from 01 to 29",
        ),
        (
            "1900-02-29",
            "there is no day 29 in February of the year 1900; write one from 01 to 28",
        ),
        (
            "2013-04-31",
            "there is no day 31 in April of the year 2013; write one from 01 to 30",
        ),
        (
            "2013-01-00",
            "there is no day 00 in January of the year 2013; write one from 01 to 31",
        ),
        (
            "0000-00-00",
            "there is no month 00; write one from 01 to 12",
        ),
        (
            "2013-13-01",
            "there is no month 13; write one from 01 to 12",
        ),
    ] {
        assert_eq!(
            problem(Date::parse(text)),
            format!("\"{text}\" is no day: {why}")
        );
    }
    for text in [
        "-4713-11-23",
        "+5874898-01-01",
        "+9999999-01-01",
        "-9999-01-01",
    ] {
        assert!(
            problem(Date::parse(text)).contains("beyond what Postgres holds"),
            "{text}"
        );
    }
}

#[test]
fn other_forms_of_a_day_are_refused() {
    for text in [
        "",
        "2013",
        "2013-1-31",
        "20130131",
        "31.01.2013",
        "2013-01-31 ",
        "213-01-01",
        "+213-01-01",
    ] {
        assert!(
            problem(Date::parse(text)).ends_with("has another form; write it as 2013-01-31"),
            "{text}"
        );
    }
    assert!(problem(Date::parse("2013-01-31T00:00:00")).contains("has a time of day"));
    assert!(problem(Date::parse("-Infinity")).contains("in small letters"));
    assert!(problem(Time::parse("-01:00:00")).contains("outside the day"));
    assert!(problem(Time::parse("838:59:59")).contains("outside the day"));
    assert!(problem(Time::parse("infinity")).contains("has another form"));
}

#[test]
fn a_time_of_day_is_below_24_00_and_never_bent() {
    assert_eq!(Time::parse("00:00:00").unwrap().raw(), 0);
    assert_eq!(
        Time::parse("23:59:59.999999").unwrap().raw(),
        MICROS_PER_DAY - 1
    );
    assert_eq!(
        Time::parse("05:17:00.5").unwrap().to_string(),
        "05:17:00.500000"
    );
    assert_eq!(
        Time::parse("05:17:00.123456000").unwrap().to_string(),
        "05:17:00.123456"
    );
    for (text, why) in [
        ("24:00:00", "has the hour 24"),
        ("23:59:60", "has the second 60"),
        ("05:17:00.1234567", "is finer than a microsecond"),
        ("05:17", "has no seconds"),
        ("25:00:00", "is no time of day"),
        ("23:60:00", "is no time of day"),
        ("23:59:61", "is no time of day"),
        ("05:17:00Z", "has an offset"),
        ("05:17:00.", "has another form"),
        ("5:17:00", "has another form"),
        ("05:17:00 AM", "has another form"),
    ] {
        assert!(
            problem(Time::parse(text)).contains(why),
            "{text}: {}",
            problem(Time::parse(text))
        );
    }
    assert!(Time::from_raw(MICROS_PER_DAY).is_none());
    assert!(Time::from_raw(-1).is_none());
}

#[test]
fn a_timestamp_has_no_offset_and_a_timestamptz_has_one() {
    let text = "2013-01-31T05:00:00.000000";
    assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
    assert!(problem(Timestamp::parse(&format!("{text}Z"))).contains("has an offset"));
    assert!(problem(Timestamptz::parse(text)).contains("has no offset; end it with Z"));
    let utc = Timestamptz::parse("2013-01-31T05:00:00Z").unwrap();
    assert_eq!(utc.to_string(), "2013-01-31T05:00:00.000000Z");
    for same in [
        "2013-01-31T00:00:00-05:00",
        "2013-01-31T10:30:00+05:30",
        "2013-01-31T05:00:00-00:00",
    ] {
        assert_eq!(Timestamptz::parse(same).unwrap(), utc, "{same}");
    }
    for bad in [
        "2013-01-31T05:00:00+5",
        "2013-01-31T05:00:00+05",
        "2013-01-31T05:00:00+24:00",
        "2013-01-31T05:00:00+05:60",
    ] {
        assert!(
            problem(Timestamptz::parse(bad)).contains("has an offset of another form"),
            "{bad}"
        );
    }
    for bad in ["2013-01-31 05:00:00", "2013-01-31t05:00:00"] {
        assert!(
            problem(Timestamp::parse(bad)).contains("has no T between day and time"),
            "{bad}"
        );
    }
    assert!(problem(Timestamptz::parse("2013-01-31T05:00:00z")).contains("has another form"));
    assert!(problem(Timestamptz::parse("2013-01-31T05:00:00ZZ")).contains("has another form"));
    assert!(problem(Timestamp::parse("2013-01-31")).contains("has another form"));
}

#[test]
fn instants_end_where_those_of_postgres_end() {
    assert_eq!(
        Timestamp::parse("-4713-11-24T00:00:00").unwrap().raw(),
        TIMESTAMP_MIN
    );
    assert_eq!(
        Timestamp::parse("+294276-12-31T23:59:59.999999")
            .unwrap()
            .raw(),
        TIMESTAMP_END - 1
    );
    assert!(
        problem(Timestamp::parse("+294277-01-01T00:00:00")).contains("beyond what Postgres holds")
    );
    assert!(
        problem(Timestamptz::parse("-4713-11-24T00:00:00+00:01"))
            .contains("beyond what Postgres holds")
    );
    assert!(
        problem(Timestamptz::parse("+294276-12-31T23:59:59-00:01"))
            .contains("beyond what Postgres holds")
    );
    for raw in [TIMESTAMP_MIN - 1, TIMESTAMP_END] {
        assert!(Timestamp::from_raw(raw).is_none() && Timestamptz::from_raw(raw).is_none());
    }
    assert!(Date::from_raw(DATE_END).is_none() && Date::from_raw(DATE_MIN - 1).is_none());
}

#[test]
fn infinities_are_those_of_postgres() {
    assert_eq!(Timestamp::parse("infinity").unwrap().raw(), i64::MAX);
    assert_eq!(Timestamptz::parse("-infinity").unwrap().raw(), i64::MIN);
    assert_eq!(Timestamptz::NEG_INFINITY.to_string(), "-infinity");
    assert!(!Timestamp::INFINITY.is_finite() && !Date::INFINITY.is_finite());
    assert!(Timestamptz::INFINITY.unix_micros().is_none());
}

#[test]
fn unix_time_and_whole_seconds() {
    let epoch = Timestamptz::from_unix_micros(0).unwrap();
    assert_eq!(epoch.to_string(), "1970-01-01T00:00:00.000000Z");
    let before = Timestamptz::from_unix_micros(-1).unwrap();
    assert_eq!(
        before.truncated_to_seconds().to_string(),
        "1969-12-31T23:59:59.000000Z"
    );
    assert_eq!(before.unix_micros(), Some(-1));
    assert!(Timestamptz::from_unix_micros(i64::MIN).is_none());
}

proptest! {
    #[test]
    fn any_day_is_read_as_it_was_written(raw in DATE_MIN..DATE_END) {
        let date = Date::from_raw(raw).unwrap();
        prop_assert_eq!(Date::parse(&date.to_string()).unwrap(), date);
        let (year, month, day) = date.civil().unwrap();
        prop_assert_eq!(Date::from_civil(year, month, day).unwrap(), date);
    }

    #[test]
    fn the_next_day_is_one_more(raw in DATE_MIN..DATE_END - 1) {
        let (year, month, day) = Date::from_raw(raw).unwrap().civil().unwrap();
        let next = Date::from_raw(raw + 1).unwrap().civil().unwrap();
        let follows = next == (year, month, day + 1)
            || next == (year, month + 1, 1)
            || (next == (year + 1, 1, 1) && (month, day) == (12, 31));
        prop_assert!(follows, "{:?} after {:?}", next, (year, month, day));
    }

    #[test]
    fn any_moment_is_read_as_it_was_written(raw in TIMESTAMP_MIN..TIMESTAMP_END, time in 0..MICROS_PER_DAY) {
        let moment = Timestamp::from_raw(raw).unwrap();
        prop_assert_eq!(Timestamp::parse(&moment.to_string()).unwrap(), moment);
        let instant = Timestamptz::from_raw(raw).unwrap();
        prop_assert_eq!(Timestamptz::parse(&instant.to_string()).unwrap(), instant);
        let time = Time::from_raw(time).unwrap();
        prop_assert_eq!(Time::parse(&time.to_string()).unwrap(), time);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-+0-9TZ:.]{0,40}|\\PC{0,40}") {
        let _ = (Date::parse(&text), Time::parse(&text), Timestamp::parse(&text), Timestamptz::parse(&text));
    }
}
