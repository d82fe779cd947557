//! Everything before the rows: the envelope, and the members of data up to `rows`.

use super::cursor::{Cursor, Step, Stop};
use super::members::{self, Members, raw};
use super::{Caps, SMALL, data};
use crate::envelope::{self, Data, Envelope};
use crate::error::{Error, Kind, escaped, shown};
use crate::moment::Timestamptz;
use crate::name::Job;

const REQUIRED: [&str; 6] = ["specversion", "type", "id", "source", "subject", "time"];

/// What the head says.
pub(super) struct Head {
    pub(super) envelope: Envelope,
    pub(super) data: Data,
    /// `row_count`, if it stands before the rows.
    pub(super) row_count: Option<u64>,
    /// The envelope's members up to data.
    pub(super) envelope_members: Members,
    /// Data's members up to rows.
    pub(super) data_members: Members,
    /// Whether the envelope's members after data have been looked at already.
    pub(super) looked_ahead: bool,
}

/// How much of the file is there to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    /// All of it, and it is small.
    All,
    /// Some, and the rest may be little.
    Some,
    /// Some, and the file is too large to look at all of it.
    TooMuch,
}

/// The envelope's members, as raw JSON.
#[derive(Debug, Clone, Copy, Default)]
struct Raw<'a> {
    specversion: Option<&'a str>,
    ty: Option<&'a str>,
    id: Option<&'a str>,
    source: Option<&'a str>,
    subject: Option<&'a str>,
    time: Option<&'a str>,
    traceparent: Option<&'a str>,
}

/// Whether the name is one of the envelope's own.
pub(super) fn is_known(name: &str) -> bool {
    REQUIRED.contains(&name) || name == "traceparent"
}

impl<'a> Raw<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "specversion" => &mut self.specversion,
            "type" => &mut self.ty,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "traceparent" => &mut self.traceparent,
            _ => return None,
        })
    }

    /// Takes in members until `data`, the cursor before its value; or until the object ends, which gives false.
    fn until_data(
        &mut self,
        cursor: &mut Cursor<'a>,
        members: &mut Members,
        caps: &Caps,
    ) -> Step<bool> {
        while let Some(name) = members.next(cursor)? {
            if name == "data" {
                return Ok(true);
            }
            let value = raw(cursor, caps.depth - 1).map_err(|stop| stop.at(escaped(&name)))?;
            if let Some(slot) = self.slot(&name) {
                *slot = Some(value);
            }
        }
        Ok(false)
    }

    /// The first required member that is not there.
    fn missing(&self) -> Option<&'static str> {
        let mut copy = *self;
        REQUIRED
            .into_iter()
            .find(|name| copy.slot(name).is_none_or(|slot| slot.is_none()))
    }

    /// The error for a type of event that this version doesn't know, if that is what it is.
    fn unknown_version(&self) -> Option<Error> {
        let ty = members::string(self.ty?).ok()?;
        if [envelope::RESULT, envelope::PROBE, envelope::FAILED].contains(&ty.as_str()) {
            return None;
        }
        let sentence = format!(
            "{} is no type of event that this version knows; write {}, or wait for a consumer that knows it",
            shown(&ty),
            envelope::RESULT
        );
        Some(Error::new(Kind::UnknownVersion, sentence).at("type"))
    }
}

/// Parses from the first byte of the file to behind the `[` of the rows, or behind data if it has none.
pub(super) fn parse(cursor: &mut Cursor<'_>, there: There, caps: &Caps) -> Step<Head> {
    let mut raw = Raw::default();
    let parsed = parse_with(cursor, there, caps, &mut raw);
    match parsed {
        // Who writes a version that is not known may mean something else by all the rest.
        Err(Stop::Refused(error)) if error.kind == Kind::Contract => Err(raw
            .unknown_version()
            .map_or(Stop::Refused(error), Stop::from)),
        other => other,
    }
}

fn parse_with<'a>(
    cursor: &mut Cursor<'a>,
    there: There,
    caps: &Caps,
    raw: &mut Raw<'a>,
) -> Step<Head> {
    refuse_other_encodings(cursor)?;
    let mut members = Members::open(cursor)?;
    if !raw.until_data(cursor, &mut members, caps)? {
        let missing = raw.missing().unwrap_or("data");
        return Err(Error::contract(missing, "is missing; write it into the envelope").into());
    }
    if let Some(error) = raw.unknown_version() {
        return Err(error.into());
    }
    let looked_ahead = look_ahead(cursor, there, caps, raw, &members)?;
    if let Some(error) = raw.unknown_version() {
        return Err(error.into());
    }
    let (envelope, ty) = envelope(raw)?;
    let data::Read {
        data,
        row_count,
        members: data_members,
    } = data::parse(cursor, &ty, caps)?;
    Ok(Head {
        envelope,
        data,
        row_count,
        envelope_members: members,
        data_members,
        looked_ahead,
    })
}

/// Takes in the envelope's members that stand after data, if any of them is missing so far and the file is small.
fn look_ahead<'a>(
    cursor: &Cursor<'a>,
    there: There,
    caps: &Caps,
    raw: &mut Raw<'a>,
    members: &Members,
) -> Step<bool> {
    let missing = raw.missing();
    if missing.is_none() && raw.traceparent.is_some() {
        return Ok(true);
    }
    match (there, missing) {
        (There::Some, _) => return Err(Stop::LookAhead),
        (There::TooMuch, None) => return Ok(false),
        (There::TooMuch, Some(missing)) => {
            let sentence = format!(
                "does not stand before data, and the file has more than {SMALL} bytes; write the envelope first"
            );
            return Err(Error::contract(missing, sentence).into());
        }
        // Nearly all messages have no traceparent at all: no need to go through the rows twice to see that.
        (There::All, None) if memchr::memmem::find(cursor.rest(), b"\"traceparent\"").is_none() => {
            return Ok(true);
        }
        (There::All, _) => {}
    }
    let mut ahead = cursor.clone();
    let mut late = *raw;
    let done = members::raw(&mut ahead, caps.depth - 1)
        .map_err(|stop| stop.at("data"))
        .and_then(|_| late.until_data(&mut ahead, &mut members.clone(), caps));
    *raw = late;
    match done {
        // Whatever is wrong after data is said when the parse comes there, with its place.
        _ if missing.is_none() => Ok(true),
        Ok(_) => Ok(true),
        Err(stop) => Err(stop),
    }
}

fn refuse_other_encodings(cursor: &Cursor<'_>) -> Step<()> {
    let first = cursor.peek()?;
    let rest = cursor.rest();
    if matches!(first, 0xef | 0xfe | 0xff | 0x1f | 0x28) && rest.len() < 4 {
        return Err(Stop::Incomplete);
    }
    let sentence = if rest.starts_with(b"\xef\xbb\xbf") {
        "the file starts with a byte order mark; write UTF-8 without one"
    } else if rest.starts_with(b"\xff\xfe") || rest.starts_with(b"\xfe\xff") {
        "the file is UTF-16; write UTF-8"
    } else if rest.starts_with(b"\x1f\x8b") {
        "the file is compressed by gzip; let its key end in .json.gz"
    } else if rest.starts_with(b"\x28\xb5\x2f\xfd") {
        "the file is compressed by zstd; let its key end in .json.zst"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Syntax, sentence).into())
}

/// The envelope, and the type of the event.
fn envelope(raw: &Raw<'_>) -> Step<(Envelope, String)> {
    fn member<T>(name: &str, raw: Option<&str>, read: impl FnOnce(String) -> Step<T>) -> Step<T> {
        let text = match raw {
            Some(raw) => members::string(raw),
            None => {
                Err(Error::new(Kind::Contract, "is missing; write it into the envelope").into())
            }
        };
        text.and_then(read).map_err(|stop| stop.at(name))
    }
    let ty = member("type", raw.ty, Ok)?;
    member("specversion", raw.specversion, |version| {
        match version.as_str() {
            "1.0" => Ok(()),
            _ => Err(refuse(format!(
                "{} is not the version of CloudEvents; write \"1.0\"",
                shown(&version)
            ))),
        }
    })?;
    let id = member("id", raw.id, |id| Ok(id.parse()?))?;
    let source = member("source", raw.source, |name| {
        name.parse().map_err(|why| refuse(format!("{why}")))
    })?;
    let subject = member("subject", raw.subject, |name| subject(&name, &ty))?;
    let time = member("time", raw.time, |time| instant(&time))?;
    let traceparent = match raw.traceparent {
        Some(_) => Some(member("traceparent", raw.traceparent, Ok)?),
        None => None,
    };
    Ok((
        Envelope {
            id,
            source,
            subject,
            time,
            traceparent,
        },
        ty,
    ))
}

fn subject(name: &str, ty: &str) -> Step<Job> {
    if ty != envelope::PROBE {
        return name.parse().map_err(|why| refuse(format!("{why}")));
    }
    match Job::or_probe(name) {
        Ok(job) if job.is_probe() => Ok(job),
        _ => Err(refuse(format!(
            "{} is not the job of a probe; write \"{}\"",
            shown(name),
            Job::probe()
        ))),
    }
}

/// An instant of the message itself: UTC, finite.
pub(super) fn instant(text: &str) -> Step<Timestamptz> {
    let instant = Timestamptz::parse(text).map_err(|problem| {
        // What to do about a cell is not what to do here.
        let problem = problem.to_string();
        let why = problem.rsplit_once("; ").map_or(&*problem, |(why, _)| why);
        refuse(format!("{why}; write it as 2013-01-31T05:00:00.000000Z"))
    })?;
    if !instant.is_finite() {
        return Err(refuse(format!(
            "{} is no instant; write it as 2013-01-31T05:00:00.000000Z",
            shown(text)
        )));
    }
    if !text.ends_with('Z') {
        return Err(refuse(format!(
            "{} has an offset; write {instant}, which is the same in UTC",
            shown(text)
        )));
    }
    Ok(instant)
}

fn refuse(sentence: String) -> Stop {
    Error::new(Kind::Contract, sentence).into()
}
