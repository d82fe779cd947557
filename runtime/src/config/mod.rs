//! A TOML file becomes a type, or a sentence that says which line to change.
//!
//! Here: reading, and naming what is wrong. Not here: what the keys mean.

pub mod duration;
pub mod reference;
pub mod size;
pub mod url;

mod locate;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration file was not accepted. The text never holds a value
/// from the file, for the value may be a secret at the wrong place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// The file as it was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that nothing reads.
    #[error("{}: {}", Place(path, *line), UnknownKey { key, table, known })]
    UnknownKey {
        /// The file as it was asked for.
        path: PathBuf,
        /// The line of the key, from 1.
        line: usize,
        /// The key as it was written.
        key: String,
        /// The table it stands in, dotted; empty at the top of the file.
        table: String,
        /// All keys that are known there.
        known: Vec<String>,
    },
    /// Not TOML, or a value that is not what its key needs.
    #[error("{}: {}{message}", Place(path, *line), Key(key))]
    Invalid {
        /// The file as it was asked for.
        path: PathBuf,
        /// The line of the value, from 1.
        line: usize,
        /// The key, dotted from the top; empty where the file is no TOML.
        key: String,
        /// What is wrong.
        message: String,
    },
}

/// Reads `path` into `T`, whose tables all say `deny_unknown_fields`.
///
/// # Errors
/// Says the file, the line and the key: `jfk.toml:12: unknown key "qurey" in
/// [job.departures]; did you mean "query"?`
pub fn load<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T, Error> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    parse(path, &text)
}

/// As [`load`], for a text that is already here; `path` is only what errors call it.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(path: impl AsRef<Path>, text: &str) -> Result<T, Error> {
    toml::from_str(text).map_err(|error| {
        let path = path.as_ref().to_path_buf();
        let found = locate::Place::of(text, error.span());
        match locate::unknown_field(error.message()) {
            Some((key, known)) => Error::UnknownKey {
                path,
                line: found.line,
                key,
                table: found.table,
                known,
            },
            None => Error::Invalid {
                path,
                line: found.line,
                key: found.key,
                message: locate::without_values(error.message()),
            },
        }
    })
}

struct Place<'a>(&'a Path, usize);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0.display(), self.1)
    }
}

struct Key<'a>(&'a str);

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{}: ", self.0)
    }
}

struct UnknownKey<'a> {
    key: &'a str,
    table: &'a str,
    known: &'a [String],
}

impl std::fmt::Display for UnknownKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown key {:?}", self.key)?;
        if !self.table.is_empty() {
            write!(f, " in [{}]", self.table)?;
        }
        match nearest(self.key, self.known) {
            Some(near) => write!(f, "; did you mean {near:?}?"),
            None => write!(f, "; known here: {}", self.known.join(", ")),
        }
    }
}

/// The known key that was most likely meant, if any is near enough to be worth saying.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), known.as_str()))
        .filter(|(distance, known)| *distance <= known.len().max(key.len()).div_ceil(3))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::secret::Secret;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct File {
        producer: String,
        #[serde(default)]
        source: BTreeMap<String, Source>,
        #[serde(default)]
        job: BTreeMap<String, Job>,
        #[serde(default)]
        route: Vec<Route>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Source {
        #[serde(deserialize_with = "url::deserialize")]
        url: ::url::Url,
        password: Option<Secret>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Job {
        query: Option<String>,
        query_file: Option<String>,
        mode: Option<Mode>,
        #[serde(default, deserialize_with = "duration::deserialize")]
        timeout: Option<Duration>,
        #[serde(default, deserialize_with = "size::deserialize")]
        cap: Option<u64>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Append,
        Replace,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Route {
        job: String,
    }

    fn refusal(text: &str) -> String {
        parse::<File>("jfk.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_names_its_line_its_table_and_the_nearest_known_key() {
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n\n[job.departures]\nqurey = \"SELECT 1\"\n"),
            @r#"jfk.toml:4: unknown key "qurey" in [job.departures]; did you mean "query"?"#
        );
        insta::assert_snapshot!(
            refusal("prodcer = \"jfk\"\n"),
            @r#"jfk.toml:1: unknown key "prodcer"; did you mean "producer"?"#
        );
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n[[route]]\njob = \"a\"\n[[route]]\njbo = \"a\"\n"),
            @r#"jfk.toml:5: unknown key "jbo" in [route[1]]; did you mean "job"?"#
        );
    }

    #[test]
    fn an_unknown_key_that_resembles_nothing_lists_the_known_ones() {
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n[job.departures]\nspeed = 3\n"),
            @r#"jfk.toml:3: unknown key "speed" in [job.departures]; known here: query, query_file, mode, timeout, cap"#
        );
    }

    #[test]
    fn an_unknown_key_in_an_inline_table_is_found_too() {
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\njob.departures = { qurey = \"SELECT 1\" }\n"),
            @r#"jfk.toml:2: unknown key "qurey" in [job.departures]; did you mean "query"?"#
        );
    }

    #[test]
    fn a_wrong_value_names_its_key_and_what_to_write() {
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n[job.departures]\ntimeout = \"soon\"\n"),
            @r#"jfk.toml:3: job.departures.timeout: not a duration; write a number and its unit, such as "30s", "15m" or "1h 30m""#
        );
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n[job.departures]\ncap = \"big\"\n"),
            @r#"jfk.toml:3: job.departures.cap: not a size; write a number and its unit, such as "64MiB" or "2GB""#
        );
        insta::assert_snapshot!(
            refusal("producer = 3\n"),
            @"jfk.toml:1: producer: invalid type: integer, expected a string"
        );
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n[job.departures]\nmode = \"repalce\"\n"),
            @"jfk.toml:3: job.departures.mode: unknown variant `repalce`, expected `append` or `replace`"
        );
        insta::assert_snapshot!(
            refusal("[job.departures]\nquery = \"SELECT 1\"\n"),
            @r#"jfk.toml:1: "producer" is missing"#
        );
    }

    #[test]
    fn what_is_no_toml_names_its_line() {
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n[job.departures\n"),
            @"jfk.toml:2: unclosed table, expected `]`"
        );
    }

    #[test]
    fn a_literal_secret_is_refused_by_name_and_not_printed() {
        for literal in ["\"hunter2\"", "12345678", "1.5", "true"] {
            let error = refusal(&format!(
                "producer = \"jfk\"\n[source.ops]\nurl = \"postgres://db1/ops\"\npassword = {literal}\n"
            ));
            insta::allow_duplicates! {
                insta::assert_snapshot!(
                    error,
                    @r#"jfk.toml:4: source.ops.password: a secret is not written here; write "env:NAME" or "file:/path""#
                );
            }
        }
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_printed_for_it_may_hold_a_password() {
        insta::assert_snapshot!(
            refusal("producer = \"jfk\"\n[source.ops]\nurl = \"postgres//me:hunter2@db1/ops\"\n"),
            @"jfk.toml:3: source.ops.url: not a URL: relative URL without a base"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<File>("/nowhere/jfk.toml").unwrap_err().to_string();
        insta::assert_snapshot!(
            error,
            @"cannot read the configuration /nowhere/jfk.toml: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn durations_and_sizes_are_read_with_their_units() {
        let file: File = parse(
            "jfk.toml",
            "producer = \"jfk\"\n[job.departures]\ntimeout = \"15m\"\ncap = \"64MiB\"\n",
        )
        .unwrap();
        assert_eq!(
            file.job["departures"].timeout,
            Some(Duration::from_mins(15))
        );
        assert_eq!(file.job["departures"].cap, Some(64 << 20));
    }
}
