//! The members of data, up to its rows.

use std::str::FromStr;

use super::cursor::{Cursor, Step, Stop};
use super::head::instant;
use super::members::{self, Members, elements, raw, string, unlike};
use super::{Caps, cell};
use crate::column::{Column, Type};
use crate::envelope::{self, Data, FAILURE_BYTES, Failure, FailureKind};
use crate::error::{Error, Kind, escaped, shown};
use crate::header::{self, Bound, Header, Mode, Range};
use crate::name::ColumnName;

/// What data says before its rows.
pub(super) struct Read {
    pub(super) data: Data,
    pub(super) row_count: Option<u64>,
    pub(super) members: Members,
}

/// Parses data, from its first byte to behind the `[` of its rows, or to its end if the event has none.
pub(super) fn parse(cursor: &mut Cursor<'_>, ty: &str, caps: &Caps) -> Step<Read> {
    if cursor.token()? != b'{' {
        return Err(unlike(cursor, "an object").at("data"));
    }
    let mut members = Members::open(cursor)?;
    if ty == envelope::RESULT {
        let (header, row_count) = result(cursor, &mut members, caps)?;
        return Ok(Read {
            data: Data::Result(header),
            row_count,
            members,
        });
    }
    let mut failure = [None; 3];
    while let Some(name) = members.next(cursor).map_err(|stop| stop.at("data"))? {
        let value = raw(cursor, caps.depth - 2)
            .map_err(|stop| stop.at(format!("data.{}", escaped(&name))))?;
        if let Some(place) = ["code", "kind", "message"]
            .iter()
            .position(|known| *known == name)
        {
            failure[place] = Some(value);
        }
    }
    let data = if ty == envelope::PROBE {
        Data::Probe
    } else {
        Data::Failed(failed(failure)?)
    };
    Ok(Read {
        data,
        row_count: None,
        members,
    })
}

/// The members of a result's data, as raw JSON.
#[derive(Default)]
struct Raw<'a> {
    mode: Option<&'a str>,
    columns: Option<&'a str>,
    range: Option<&'a str>,
    primary_key: Option<&'a str>,
    parameters: Option<&'a str>,
    next_by: Option<&'a str>,
    row_count: Option<&'a str>,
}

fn result(
    cursor: &mut Cursor<'_>,
    members: &mut Members,
    caps: &Caps,
) -> Step<(Header, Option<u64>)> {
    let mut found = Raw::default();
    loop {
        let Some(name) = members.next(cursor).map_err(|stop| stop.at("data"))? else {
            return Err(missing("data.rows", "write [] if there are none"));
        };
        if name == "rows" {
            break;
        }
        let value = raw(cursor, caps.depth - 2)
            .map_err(|stop| stop.at(format!("data.{}", escaped(&name))))?;
        let slot = match name.as_str() {
            "mode" => &mut found.mode,
            "columns" => &mut found.columns,
            "range" => &mut found.range,
            "primary_key" => &mut found.primary_key,
            "parameters" => &mut found.parameters,
            "next_by" => &mut found.next_by,
            "row_count" => &mut found.row_count,
            _ => continue,
        };
        *slot = Some(value);
    }
    let header = header(&found, caps)?;
    let row_count = found.row_count.map(row_count).transpose()?;
    if cursor.token()? != b'[' {
        return Err(unlike(cursor, "an array of rows").at("data.rows"));
    }
    cursor.bump();
    Ok((header, row_count))
}

fn header(found: &Raw<'_>, caps: &Caps) -> Step<Header> {
    let columns = columns(
        found
            .columns
            .ok_or_else(|| missing("data.columns", "write it before the rows"))?,
    )?;
    let header = Header {
        mode: mode(found, &columns)?,
        columns,
        parameters: found.parameters.map(parameters).transpose()?,
        next_by: match found.next_by {
            Some(raw) => Some(
                string(raw)
                    .and_then(|text| instant(&text))
                    .map_err(|stop| stop.at("data.next_by"))?,
            ),
            None => None,
        },
    };
    header.check(caps.columns)?;
    Ok(header)
}

fn mode(found: &Raw<'_>, columns: &[Column]) -> Step<Mode> {
    let mode = found
        .mode
        .ok_or_else(|| missing("data.mode", "write it before the rows"))?;
    let mode = string(mode).map_err(|stop| stop.at("data.mode"))?;
    let only = |path: &str, of: &str| -> Stop {
        Error::contract(
            path,
            format!("is for {of} only, the mode is {mode}; leave it out, or write {of}"),
        )
        .into()
    };
    if found.range.is_some() && mode != "replace" && known(&mode) {
        return Err(only("data.range", "replace"));
    }
    if found.primary_key.is_some() && mode != "upsert" && known(&mode) {
        return Err(only("data.primary_key", "upsert"));
    }
    match mode.as_str() {
        "append" => Ok(Mode::Append),
        "replace" => Ok(Mode::Replace {
            range: found.range.map(|raw| range(raw, columns)).transpose()?,
        }),
        "upsert" => {
            let raw = found
                .primary_key
                .ok_or_else(|| missing("data.primary_key", "write it before the rows"))?;
            Ok(Mode::Upsert {
                primary_key: primary_key(raw)?,
            })
        }
        _ => {
            let sentence = format!(
                "{} is no mode; write append, replace or upsert",
                shown(&mode)
            );
            Err(Error::contract("data.mode", sentence).into())
        }
    }
}

fn known(mode: &str) -> bool {
    matches!(mode, "append" | "replace" | "upsert")
}

fn columns(raw: &str) -> Step<Vec<Column>> {
    let elements = elements(raw).map_err(|stop| stop.at("data.columns"))?;
    elements
        .into_iter()
        .enumerate()
        .map(|(index, raw)| column(raw, &format!("data.columns[{index}]")))
        .collect()
}

fn column(raw: &str, path: &str) -> Step<Column> {
    let at = |member: &str| format!("{path}.{member}");
    let [name, ty, description, nullable] =
        object(raw, ["name", "type", "description", "nullable"]).map_err(|stop| stop.at(path))?;
    let name = name.ok_or_else(|| missing(&at("name"), "write it"))?;
    let ty = ty.ok_or_else(|| missing(&at("type"), "write it"))?;
    Ok(Column {
        name: parsed::<ColumnName>(name).map_err(|stop| stop.at(at("name")))?,
        ty: parsed::<Type>(ty).map_err(|stop| stop.at(at("type")))?,
        description: match description {
            Some(raw) => Some(string(raw).map_err(|stop| stop.at(at("description")))?),
            None => None,
        },
        nullable: match nullable {
            None | Some("true") => true,
            Some("false") => false,
            Some(raw) => {
                return Err(unlike(&mut Cursor::over(raw), "true or false").at(at("nullable")));
            }
        },
    })
}

fn primary_key(raw: &str) -> Step<Vec<ColumnName>> {
    let elements = elements(raw).map_err(|stop| stop.at("data.primary_key"))?;
    let name =
        |(index, raw)| parsed(raw).map_err(|stop| stop.at(format!("data.primary_key[{index}]")));
    elements.into_iter().enumerate().map(name).collect()
}

fn range(raw: &str, columns: &[Column]) -> Step<Range> {
    let at = |member: &str| format!("data.range.{member}");
    let [column, from, to] =
        object(raw, ["column", "from", "to"]).map_err(|stop| stop.at("data.range"))?;
    let column = column.ok_or_else(|| missing(&at("column"), "write it"))?;
    let from = from.ok_or_else(|| missing(&at("from"), "write it"))?;
    let to = to.ok_or_else(|| missing(&at("to"), "write it"))?;
    let column: ColumnName = parsed(column).map_err(|stop| stop.at(at("column")))?;
    let Some(ty) = columns
        .iter()
        .find(|known| known.name == column)
        .map(|known| known.ty)
    else {
        let sentence =
            format!("there is no column \"{column}\"; write the name of one of the columns");
        return Err(Error::contract(at("column"), sentence).into());
    };
    if !header::ranges(ty) {
        return Err(Error::contract(at("column"), header::not_a_range(&column, ty)).into());
    }
    Ok(Range {
        from: bound(from, ty).map_err(|stop| stop.at(at("from")))?,
        to: bound(to, ty).map_err(|stop| stop.at(at("to")))?,
        column,
    })
}

/// A bound is written as a cell of its column is.
fn bound(raw: &str, ty: Type) -> Step<Bound> {
    let mut cursor = Cursor::over(raw);
    let mut scratch = String::new();
    Ok(match ty {
        Type::Date => Bound::Date(cell::moment(&mut cursor, ty, &mut scratch)?.parse()?),
        Type::Timestamp => Bound::Timestamp(cell::moment(&mut cursor, ty, &mut scratch)?.parse()?),
        Type::Timestamptz => {
            Bound::Timestamptz(cell::moment(&mut cursor, ty, &mut scratch)?.parse()?)
        }
        _ => Bound::Int64(cell::int64(&mut cursor)?),
    })
}

fn parameters(raw: &str) -> Step<serde_json::Map<String, serde_json::Value>> {
    if !raw.starts_with('{') {
        return Err(unlike(&mut Cursor::over(raw), "an object").at("data.parameters"));
    }
    serde_json::from_str(raw).map_err(|why| {
        Error::contract(
            "data.parameters",
            format!("can't be read: {why}; write what is beyond as strings"),
        )
        .into()
    })
}

/// The count of rows: an integer, not negative.
pub(super) fn row_count(raw: &str) -> Step<u64> {
    let all_digits = raw.bytes().all(|byte| byte.is_ascii_digit());
    match raw.parse() {
        Ok(count) if all_digits => Ok(count),
        _ => Err(unlike(&mut Cursor::over(raw), "the count of rows, as 2").at("data.row_count")),
    }
}

fn failed([code, kind, message]: [Option<&str>; 3]) -> Step<Failure> {
    let code = code.ok_or_else(|| missing("data.code", "write it"))?;
    let kind = kind.ok_or_else(|| missing("data.kind", "write it"))?;
    let message = message.ok_or_else(|| missing("data.message", "write it"))?;
    let Ok(code @ 1..) = code.parse() else {
        return Err(
            unlike(&mut Cursor::over(code), "the run's exit code, 1 to 255").at("data.code"),
        );
    };
    let kind = string(kind).map_err(|stop| stop.at("data.kind"))?;
    let Some(kind) = FailureKind::ALL
        .into_iter()
        .find(|known| known.as_str() == kind)
    else {
        let all = FailureKind::ALL.map(FailureKind::as_str).join(", ");
        let sentence = format!("{} is no kind of failure; write one of {all}", shown(&kind));
        return Err(Error::contract("data.kind", sentence).into());
    };
    let message = string(message).map_err(|stop| stop.at("data.message"))?;
    if message.len() > FAILURE_BYTES {
        let sentence = format!(
            "has {} bytes, {FAILURE_BYTES} is the most; shorten it",
            message.len()
        );
        return Err(Error::contract("data.message", sentence).into());
    }
    Ok(Failure {
        code,
        kind,
        message,
    })
}

/// The members of a raw value that has to be an object, by name; others are ignored.
fn object<'a, const N: usize>(raw: &'a str, names: [&str; N]) -> Step<[Option<&'a str>; N]> {
    let mut cursor = Cursor::over(raw);
    let mut members = Members::open(&mut cursor)?;
    let mut found = [None; N];
    while let Some(name) = members.next(&mut cursor)? {
        // How deep it is has been checked when the whole was gone through.
        let value = members::raw(&mut cursor, usize::MAX)?;
        if let Some(place) = names.iter().position(|known| *known == name) {
            found[place] = Some(value);
        }
    }
    Ok(found)
}

/// What a raw string parses to.
fn parsed<T: FromStr<Err: std::fmt::Display>>(raw: &str) -> Step<T> {
    string(raw)?
        .parse()
        .map_err(|why| Error::new(Kind::Contract, format!("{why}")).into())
}

fn missing(path: &str, what_to_do: &str) -> Stop {
    Error::contract(path, format!("is missing; {what_to_do}")).into()
}
