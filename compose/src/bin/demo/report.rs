//! What the reporting side can say once all three have dropped their results.

use anyhow::{Result, bail};
use nightdrop_compose::Database;
use sqlx::{Connection as _, PgConnection};

use crate::airport;

/// Mean delays in minutes: for each airport (EWR, JFK, LGA), in dry hours and in rain.
pub(crate) type Cells = [[Option<f64>; 2]; 3];

pub(crate) struct Delays {
    pub(crate) airlines: Vec<(String, Cells)>,
    pub(crate) all: Cells,
}

/// Each airline in each hour, with the weather at the airport in that hour. The last row is all
/// airlines together.
const DELAYS: &str = "
    SELECT airlines.name,
           flights.origin,
           weather.precip > 0 AS rain,
           avg(flights.arr_delay)::float8 AS delay
    FROM reports.flights
    JOIN reports.weather USING (origin, time_hour)
    JOIN reports.airlines USING (carrier)
    GROUP BY GROUPING SETS ((airlines.name, flights.origin, rain), (flights.origin, rain))
    ORDER BY airlines.name NULLS LAST";

pub(crate) async fn delays(reports: &Database) -> Result<Delays> {
    let mut connection = PgConnection::connect(&reports.with_password()).await?;
    let rows: Vec<(Option<String>, String, bool, Option<f64>)> =
        sqlx::query_as(DELAYS).fetch_all(&mut connection).await?;
    let mut delays = Delays {
        airlines: vec![],
        all: Cells::default(),
    };
    for (airline, origin, rain, delay) in rows {
        let cells = match airline {
            None => &mut delays.all,
            Some(airline) => {
                if delays
                    .airlines
                    .last()
                    .is_none_or(|(last, _)| *last != airline)
                {
                    delays.airlines.push((airline, Cells::default()));
                }
                let Some((_, cells)) = delays.airlines.last_mut() else {
                    continue;
                };
                cells
            }
        };
        let Some(place) = ["EWR", "JFK", "LGA"]
            .iter()
            .position(|airport| *airport == origin)
        else {
            bail!("all flights should be from EWR, JFK and LGA, and one is from {origin}");
        };
        cells[place][usize::from(rain)] = delay;
    }
    if delays.all.iter().flatten().any(Option::is_none) {
        bail!("the report should have delays in dry hours and in rain for all three airports");
    }
    Ok(delays)
}

/// `PostgreSQL 17.6`
pub(crate) async fn version(reports: &Database) -> Result<String> {
    let mut connection = PgConnection::connect(&reports.with_password()).await?;
    let version: String = sqlx::query_scalar("SELECT split_part(version(), ' ', 2)")
        .fetch_one(&mut connection)
        .await?;
    Ok(format!("PostgreSQL {version}"))
}

/// The rows of `reports.flights`, `.weather`, `.airlines`.
pub(crate) async fn counts(reports: &Database) -> Result<[i64; 3]> {
    let mut connection = PgConnection::connect(&reports.with_password()).await?;
    let counts: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM reports.flights),
                (SELECT count(*) FROM reports.weather),
                (SELECT count(*) FROM reports.airlines)",
    )
    .fetch_one(&mut connection)
    .await?;
    Ok(counts.into())
}

/// Checks that each airport's values came as they stand in the files: NULLs, delays, and weather to
/// the last bit.
pub(crate) async fn check_sums(reports: &Database) -> Result<()> {
    let mut connection = PgConnection::connect(&reports.with_password()).await?;
    for airport in ["EWR", "JFK", "LGA"] {
        let loaded: (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE dep_delay IS NULL), sum(arr_delay)::int8, sum(distance)::int8
             FROM reports.flights WHERE origin = $1",
        )
        .bind(airport)
        .fetch_one(&mut connection)
        .await?;
        let mut file = (0, 0, 0);
        for_each(
            airport,
            "flights",
            ["dep_delay", "arr_delay", "distance"],
            |[dep, arr, distance]| {
                file.0 += i64::from(dep.is_empty());
                file.1 += arr.parse().unwrap_or(0);
                file.2 += distance.parse().unwrap_or(0);
            },
        )?;
        if loaded != file {
            bail!(
                "{airport}'s flights should add up as in examples/data, {file:?}, and are {loaded:?}"
            );
        }

        let mut loaded: Vec<f64> = sqlx::query_scalar(
            "SELECT wind_speed FROM reports.weather WHERE origin = $1 AND wind_speed IS NOT NULL",
        )
        .bind(airport)
        .fetch_all(&mut connection)
        .await?;
        let mut file = vec![];
        for_each(airport, "weather", ["wind_speed"], |[wind]| {
            file.extend(wind.parse::<f64>());
        })?;
        loaded.sort_by(f64::total_cmp);
        file.sort_by(f64::total_cmp);
        if loaded != file {
            bail!("{airport}'s wind speeds should be those of examples/data, to the last bit");
        }
    }
    Ok(())
}

/// Calls `row` with some columns of each of an airport's rows in one of the files.
fn for_each<const N: usize>(
    airport: &str,
    table: &str,
    columns: [&str; N],
    mut row: impl FnMut([&str; N]),
) -> Result<()> {
    let mut reader = csv::Reader::from_path(airport::data().join(format!("{table}.csv")))?;
    let headers = reader.headers()?.clone();
    let place = |column: &str| {
        headers
            .iter()
            .position(|header| header == column)
            .unwrap_or(usize::MAX)
    };
    let (origin, places) = (place("origin"), columns.map(place));
    for record in reader.records() {
        let record = record?;
        if record.get(origin) == Some(airport) {
            row(places.map(|place| record.get(place).unwrap_or_default()));
        }
    }
    Ok(())
}
