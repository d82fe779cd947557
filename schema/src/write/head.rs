//! What stands before the rows.

use crate::column::Column;
use crate::envelope::{Data, Envelope, Failure};
use crate::error::{Error, Kind};
use crate::header::{Bound, Header, Mode};
use crate::read::{Caps, accepts_head};

/// A result's message up to its first row.
pub(super) fn result(envelope: &Envelope, header: &Header, caps: &Caps) -> Result<Vec<u8>, Error> {
    header.check(caps.columns)?;
    let out = event(envelope, &Data::Result(header.clone()), |out| {
        data(header, out);
    });
    // The rules of names, times and texts, judged by the one who will insist on them.
    let text = str::from_utf8(&out)
        .map_err(|_| Error::new(Kind::Syntax, "what stands before the rows is no UTF-8"))?;
    accepts_head(text, caps)?;
    Ok(out)
}

/// A message up to the end of its data, which is still open in a result.
pub(super) fn event(
    envelope: &Envelope,
    data: &Data,
    push_data: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let Envelope {
        id,
        source,
        subject,
        time,
        traceparent,
    } = envelope;
    out.extend_from_slice(b"{\"specversion\":\"1.0\"");
    for (name, value) in [
        ("type", data.event_type()),
        ("id", &id.to_string()),
        ("source", source.as_str()),
        ("subject", subject.as_str()),
        ("time", &time.to_string()),
    ] {
        push_member(name, value, &mut out);
    }
    if let Some(traceparent) = traceparent {
        push_member("traceparent", traceparent, &mut out);
    }
    out.extend_from_slice(b",\n\"data\":");
    push_data(&mut out);
    out
}

pub(super) fn failure(failure: &Failure, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"code\":{}", failure.code).as_bytes());
    push_member("kind", failure.kind.as_str(), out);
    push_member("message", &failure.message, out);
    out.push(b'}');
}

fn data(header: &Header, out: &mut Vec<u8>) {
    let Header {
        mode,
        columns,
        parameters,
        next_by,
    } = header;
    out.extend_from_slice(b"{\"mode\":");
    push_json(mode.as_str(), out);
    match mode {
        Mode::Append | Mode::Replace { range: None } => {}
        Mode::Replace { range: Some(range) } => {
            out.extend_from_slice(b",\"range\":{\"column\":");
            push_json(&range.column, out);
            push_bound("from", range.from, out);
            push_bound("to", range.to, out);
            out.push(b'}');
        }
        Mode::Upsert { primary_key } => {
            out.extend_from_slice(b",\"primary_key\":");
            push_json(primary_key, out);
        }
    }
    if let Some(parameters) = parameters {
        out.extend_from_slice(b",\"parameters\":");
        push_json(parameters, out);
    }
    if let Some(next_by) = next_by {
        push_member("next_by", &next_by.to_string(), out);
    }
    out.extend_from_slice(b",\n\"columns\":[");
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_column(column, out);
    }
    out.extend_from_slice(b"],\n\"rows\":[");
}

fn push_column(column: &Column, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"name\":");
    push_json(&column.name, out);
    push_member("type", column.ty.as_str(), out);
    if let Some(description) = &column.description {
        push_member("description", description, out);
    }
    if !column.nullable {
        out.extend_from_slice(b",\"nullable\":false");
    }
    out.push(b'}');
}

fn push_bound(name: &str, bound: Bound, out: &mut Vec<u8>) {
    match bound {
        Bound::Int64(integer) => out.extend_from_slice(format!(",\"{name}\":{integer}").as_bytes()),
        Bound::Date(_) | Bound::Timestamp(_) | Bound::Timestamptz(_) => {
            push_member(name, &bound.to_string(), out);
        }
    }
}

/// Appends a comma and a member that is a string. The names are our own and need no escapes.
fn push_member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    push_json(value, out);
}

pub(super) fn push_json(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    // Neither writing to memory nor strings, lists and maps of strings can fail.
    let _ = serde_json::to_writer(out, value);
}
