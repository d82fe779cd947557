//! What must be in the reports and in the ledger when all is over: known from the sources, to the row.

use crate::producers::{Asked, Producer};
use crate::site::Site;
use crate::sources::{DAYS, KEYS, LOGS, ROWS_A_DAY};

/// Each row once, and of what is replaced the newest.
pub fn of_producer(site: &Site, producer: &Producer) {
    let name = producer.name;
    let numbers = |query: String| -> Vec<i64> {
        site.rows(&query)
            .iter()
            .map(|row| row.parse().unwrap())
            .collect()
    };
    let mut rows = 0;
    for log in 0..LOGS {
        let job = format!("log_{log}");
        let up_to = producer.read_up_to(&job);
        let expected: Vec<i64> = (1..=up_to).filter(|id| id % LOGS == log).collect();
        let found = numbers(format!("SELECT id FROM {name}.{job} ORDER BY id"));
        compare(&format!("{name}.{job}"), &found, &expected);
        rows += expected.len();
    }
    assert!(rows > 0, "{name} dropped no row");

    let up_to = producer.read_up_to("latest");
    let expected: Vec<String> = (0..KEYS)
        .filter_map(|key| Some((key, (1..=up_to).rev().find(|id| id % KEYS == key)?)))
        .map(|(key, last)| format!("{key}|{last}"))
        .collect();
    assert_eq!(
        site.rows(&format!("SELECT k, last FROM {name}.latest ORDER BY k")),
        expected,
        "{name}.latest"
    );

    // Of the newest result, all of it and nothing else.
    let newest = format!(
        "SELECT id FROM nightdrop.file WHERE producer = '{name}' AND job = 'total' AND state = 'loaded' ORDER BY as_of DESC, id DESC LIMIT 1"
    );
    let total =
        format!("SELECT n = last AND last >= {up_to} AND _file = ({newest}) FROM {name}.total");
    assert_eq!(site.rows(&total), ["true"], "{name}.total");

    of_days(site, producer);

    let notes: Vec<String> = (1..=producer.notes)
        .flat_map(|note| (0..3).map(move |part| format!("{note}|{part}")))
        .collect();
    if !notes.is_empty() {
        let query = format!("SELECT note, part FROM {name}.notes ORDER BY 1, 2");
        assert_eq!(site.rows(&query), notes, "{name}.notes");
    }
    assert_eq!(producer.spool(), Vec::<std::path::PathBuf>::new(), "{name}");
}

/// A day's rows are those of the newest result that covers it; of one that was never dropped there are none.
fn of_days(site: &Site, producer: &Producer) {
    let name = producer.name;
    let found = site.rows(&format!(
        "SELECT day - date '2013-01-01', count(*), count(DISTINCT id), min(id), count(DISTINCT _file),
                min(_file) = (SELECT f.id FROM nightdrop.file f
                              WHERE f.producer = '{name}' AND f.job = 'days' AND f.state = 'loaded'
                                AND f.range_from = d.day - date '2000-01-01'
                              ORDER BY f.as_of DESC, f.id DESC LIMIT 1)
         FROM {name}.days d GROUP BY day ORDER BY day"
    ));
    for day in 0..DAYS {
        let row = format!(
            "{day}|{ROWS_A_DAY}|{ROWS_A_DAY}|{}|1|true",
            day * ROWS_A_DAY
        );
        let asked = producer.days[usize::try_from(day).unwrap()];
        match asked {
            Asked::Dropped => assert!(found.contains(&row), "{name}.days: no {row} in {found:#?}"),
            Asked::Begun | Asked::Never => {
                let prefix = format!("{day}|");
                let there = found.iter().find(|row| row.starts_with(&prefix));
                let well = match there {
                    None => true,
                    Some(there) => asked == Asked::Begun && *there == row,
                };
                assert!(well, "{name}.days: {there:?}, {asked:?}");
            }
        }
    }
    assert!(
        found.len() <= usize::try_from(DAYS).unwrap(),
        "{name}.days: {found:#?}"
    );
}

/// The first difference, of lists that are too long to be shown.
fn compare(what: &str, found: &[i64], expected: &[i64]) {
    if found == expected {
        return;
    }
    let at = found
        .iter()
        .zip(expected)
        .take_while(|(found, expected)| found == expected)
        .count();
    let around = |rows: &[i64]| {
        rows[at.saturating_sub(2).min(rows.len())..(at + 6).min(rows.len())].to_vec()
    };
    panic!(
        "{what} has {} rows, not {}; from row {at} on it says {:?}, and should say {:?}",
        found.len(),
        expected.len(),
        around(found),
        around(expected)
    );
}

/// Each run has one verdict that counts, nothing is left to do, and no row is of a file that is not loaded.
pub fn of_the_ledger(site: &Site, results: u64) {
    let none = |query: &str| assert_eq!(site.rows(query), Vec::<String>::new(), "{query}");
    let states =
        site.rows("SELECT state, mode, count(*) FROM nightdrop.file GROUP BY 1, 2 ORDER BY 1, 2");
    eprintln!("{}", states.join(", "));
    none(
        "SELECT id, key, state, reason, error FROM nightdrop.file
         WHERE NOT (state IN ('loaded', 'duplicate') OR (state = 'superseded' AND mode = 'replace')
                    OR (state = 'noted' AND reason = 'failed'))",
    );
    none(
        "SELECT id, key, state FROM nightdrop.file WHERE token IS NOT NULL OR lease_until IS NOT NULL OR gone_at IS NULL",
    );
    none(
        "SELECT producer, run_id FROM nightdrop.file GROUP BY 1, 2
         HAVING count(*) FILTER (WHERE state = 'loaded') > 1
             OR NOT bool_or(state IN ('loaded', 'noted') OR (state = 'superseded' AND mode = 'replace'))",
    );
    none("SELECT * FROM nightdrop.parked");
    assert_eq!(site.keys(), Vec::<String>::new());
    let jobs = site.rows("SELECT table_schema, table_name, mode FROM nightdrop.job");
    for job in jobs {
        let [schema, table, mode] = job.split('|').collect::<Vec<_>>()[..] else {
            panic!("{job}")
        };
        // A result without rows leaves none.
        let whole = if mode == "append" {
            "r.rows <> f.row_count"
        } else {
            "false"
        };
        none(&format!(
            "SELECT r._file, r.rows, f.state, f.row_count
             FROM (SELECT _file, count(*) AS rows FROM {schema}.{table} GROUP BY 1) r LEFT JOIN nightdrop.file f ON f.id = r._file
             WHERE f.state IS DISTINCT FROM 'loaded' OR {whole}"
        ));
    }
    let done = site.rows(
        "SELECT count(DISTINCT (producer, run_id)) FROM nightdrop.file WHERE state <> 'noted'",
    );
    let done: u64 = done[0].parse().unwrap();
    eprintln!("{done} results");
    assert!(done >= results, "{done} results are too few");
}
