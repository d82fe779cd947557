//! Where a file lies in the bucket: `inbox/<producer>/<job>/<time>-<run>.json[.zst|.gz]`.

use std::fmt;
use std::str::FromStr;

use crate::error::shown;
use crate::moment::{Date, Time, Timestamptz};
use crate::name::{Job, Producer};
use crate::run_id::RunId;

/// The prefix of every key. Its slash belongs to it: policies allow `inbox/*`, not `inbox`.
pub const INBOX: &str = "inbox/";

/// How a file's bytes are compressed; its key says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878, with a window of at most 8 MiB.
    Zstd,
}

impl Compression {
    /// What the key ends in after `.json`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// The key of a file. Keys order as their texts do, which is the order of a listing.
// The order of the fields is that order: all parts but the names have one width, and `/` sorts before all that a
// name is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    producer: Producer,
    job: Job,
    time: Timestamptz,
    run: RunId,
    compression: Compression,
}

/// Why a text is no key, or no key can be made: one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

impl Key {
    /// The key of a run's file; the time is cut to whole seconds.
    ///
    /// # Errors
    /// If the time is infinite or its year is not within 0000–9999, which a key can't say.
    pub fn new(
        producer: Producer,
        job: Job,
        time: Timestamptz,
        run: RunId,
        compression: Compression,
    ) -> Result<Self, KeyError> {
        let time = time.truncated_to_seconds();
        if !(FIRST..=LAST).contains(&time) {
            return Err(KeyError(format!(
                "a key holds no time like {time}, only the years 0000 to 9999"
            )));
        }
        Ok(Self {
            producer,
            job,
            time,
            run,
            compression,
        })
    }

    /// Whose it is.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Which job's; a probe's too.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// The instant that the result is as of, cut to whole seconds.
    pub fn time(&self) -> Timestamptz {
        self.time
    }

    /// Which run's.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// How its bytes are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const FIRST: Timestamptz = seconds(-63_113_904_000);
const LAST: Timestamptz = seconds(252_455_615_999);

const fn seconds(since_2000: i64) -> Timestamptz {
    match Timestamptz::from_raw(since_2000 * 1_000_000) {
        Some(instant) => instant,
        None => Timestamptz::INFINITY,
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 2013-01-31T05:00:00.000000Z without its punctuation; the year 0 has a sign.
        let time = self.time.to_string();
        let (day, of_day) = time.split_once('T').unwrap_or_default();
        let (of_day, _) = of_day.split_once('.').unwrap_or_default();
        let digits = |text: &str| text.replace(['+', '-', ':'], "");
        write!(
            f,
            "{INBOX}{}/{}/{}T{}Z-{}.json{}",
            self.producer,
            self.job,
            digits(day),
            digits(of_day),
            self.run,
            self.compression.suffix()
        )
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts: Vec<&str> = text.split('/').collect();
        let [inbox, producer, job, file] = parts[..] else {
            return Err(not_a_key(text));
        };
        if inbox != INBOX.trim_end_matches('/') {
            return Err(not_a_key(text));
        }
        let producer: Producer = producer
            .parse()
            .map_err(|why| KeyError(format!("{}: {why}", shown(text))))?;
        let job = Job::or_probe(job).map_err(|why| KeyError(format!("{}: {why}", shown(text))))?;
        let (stem, compression) = if let Some(stem) = file.strip_suffix(".json.zst") {
            (stem, Compression::Zstd)
        } else if let Some(stem) = file.strip_suffix(".json.gz") {
            (stem, Compression::Gzip)
        } else if let Some(stem) = file.strip_suffix(".json") {
            (stem, Compression::None)
        } else {
            return Err(not_a_key(text));
        };
        let (time, run) = stem.split_once('-').ok_or_else(|| not_a_key(text))?;
        let time = parse_time(time).ok_or_else(|| not_a_key(text))?;
        let run: RunId = run
            .parse()
            .map_err(|why| KeyError(format!("{}: {why}", shown(text))))?;
        let key = Self::new(producer, job, time, run, compression)?;
        // One file, one key: a run in capitals would be a second one.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(not_a_key(text))
        }
    }
}

/// `20130131T050000Z`.
fn parse_time(text: &str) -> Option<Timestamptz> {
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (day, of_day) = text.strip_suffix('Z')?.split_once('T')?;
    if day.len() != 8 || of_day.len() != 6 || !all_digits(day) || !all_digits(of_day) {
        return None;
    }
    let date = Date::from_civil(
        day[..4].parse().ok()?,
        day[4..6].parse().ok()?,
        day[6..].parse().ok()?,
    )
    .ok()?;
    let time = Time::parse(&format!(
        "{}:{}:{}",
        &of_day[..2],
        &of_day[2..4],
        &of_day[4..]
    ))
    .ok()?;
    Timestamptz::new(date, time)
}

fn not_a_key(text: &str) -> KeyError {
    KeyError(format!(
        "{} is no key; write inbox/<producer>/<job>/<YYYYMMDDTHHMMSSZ>-<run>.json, .json.zst or .json.gz",
        shown(text)
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str =
        "inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json.zst";

    fn key(time: Timestamptz) -> Result<Key, KeyError> {
        let run = "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11".parse().unwrap();
        Key::new(
            "jfk".parse().unwrap(),
            "departures".parse().unwrap(),
            time,
            run,
            Compression::Zstd,
        )
    }

    #[test]
    fn a_key_says_producer_job_time_run_and_compression() {
        let key: Key = KEY.parse().unwrap();
        assert_eq!(key.producer().as_str(), "jfk");
        assert_eq!(key.job().as_str(), "departures");
        assert_eq!(key.time().to_string(), "2013-01-31T05:00:00.000000Z");
        assert_eq!(
            key.run().to_string(),
            "01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11"
        );
        assert_eq!(key.compression(), Compression::Zstd);
        assert_eq!(key.to_string(), KEY);
    }

    #[test]
    fn a_key_carries_whole_seconds() {
        let key = key(Timestamptz::parse("2013-01-31T05:00:00.999999Z").unwrap()).unwrap();
        assert_eq!(key.to_string(), KEY);
    }

    #[test]
    fn a_time_that_a_key_can_not_say_is_refused() {
        for good in [
            "+0000-01-01T00:00:00.000000Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            let key = key(good.parse().unwrap()).unwrap();
            assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }
        for bad in [
            "-0001-12-31T23:59:59.999999Z",
            "+10000-01-01T00:00:00Z",
            "infinity",
            "-infinity",
        ] {
            assert!(key(bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_probe_has_a_key() {
        let key: Key = KEY
            .replace("departures", "nightdrop_probe")
            .parse()
            .unwrap();
        assert!(key.job().is_probe());
    }

    #[test]
    fn whatever_is_no_key_is_refused() {
        for bad in [
            "",
            "inbox/",
            "inbox/jfk/departures",
            "inbox/jfk/departures/",
            "/inbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "outbox/jfk/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/JFK/departures/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/nightdrop_x/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/a/b/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/a/20130131T050000Z-01935B2E-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/a/20130131T050000Z-01935b2e7f3a7c318d5e2f1b5d0c9a11.json",
            "inbox/jfk/a/20130231T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/a/20130131T240000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/a/20130131T050000-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/a/2013013éT50000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json",
            "inbox/jfk/a/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json.bz2",
            "inbox/jfk/a/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json.json",
            "inbox/jfk/a/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.JSON",
            "inbox/jfk/a/20130131T050000Z-01935b2e-7f3a-7c31-8d5e-2f1b5d0c9a11.json/",
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn keys_order_as_their_texts(
            names in prop::array::uniform4("[ab][a_1]{0,3}"),
            times in prop::array::uniform2(FIRST.raw()..LAST.raw()),
            runs in prop::array::uniform2(any::<u128>()),
        ) {
            let keys = [0, 1].map(|i| Key::new(
                names[i].parse().unwrap(),
                names[2 + i].parse().unwrap(),
                Timestamptz::from_raw(times[i]).unwrap(),
                uuid::Uuid::from_u128(runs[i]).into(),
                if i == 0 { Compression::None } else { Compression::Gzip },
            ).unwrap());
            let texts = [keys[0].to_string(), keys[1].to_string()];
            prop_assert_eq!(keys[0].cmp(&keys[1]), texts[0].cmp(&texts[1]));
            prop_assert_eq!(&texts[1].parse::<Key>().unwrap(), &keys[1]);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<Key>();
        }
    }
}
