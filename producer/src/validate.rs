//! `validate`: whether a file is a message, and what it says.

use nightdrop_schema::Data;

use crate::{
    Error,
    count::counted,
    input::{self, Message},
};

/// Reads a file, or stdin for `-`, to its end; gives a line about what it says.
///
/// # Errors
/// It can't be opened, or it breaks the contract: then the sentence says where.
pub fn validate(name: &str) -> Result<String, Error> {
    let (message, _) = input::read(name, input::open(name)?)?;
    Ok(format!("ok: {}", line(&message)))
}

/// `jfk/departures 2013-01-31T05:00:00.000000Z append 2 rows × 2 columns`
pub(crate) fn line(message: &Message) -> String {
    let Message {
        envelope,
        data,
        summary,
    } = message;
    let about = format!("{}/{} {}", envelope.source, envelope.subject, envelope.time);
    match data {
        Data::Result(header) => {
            let rows = counted(summary.rows, "row");
            let columns = counted(header.columns.len() as u64, "column");
            format!("{about} {} {rows} × {columns}", header.mode.as_str())
        }
        Data::Probe => format!("{about} probe"),
        Data::Failed(failure) => {
            format!("{about} failed with {}: {}", failure.code, failure.message)
        }
    }
}
