//! The tables of the works that contenders do.

use std::fmt::Write as _;

use super::mebibytes;
use crate::bench::Outcome;
use crate::contender;
use crate::extract;
use crate::figures::{Sample, Spread};
use crate::limits::Raw;

/// One contender's figures for a work.
struct Row {
    title: String,
    source: String,
    whole: Spread,
    net: Spread,
    peak: Option<Spread>,
    cpu: [f64; 3],
    wrong: String,
}

fn row(samples: &[Sample], work: &str, start_up_of: &str, contender: (&str, &str)) -> Option<Row> {
    let (name, title) = contender;
    let chosen: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.contender == name)
        .collect();
    let done: Vec<&&Sample> = chosen
        .iter()
        .filter(|sample| sample.work == work && !sample.empty)
        .collect();
    let empty = chosen.iter().filter(|sample| {
        sample.empty && sample.work.starts_with('P') == start_up_of.starts_with('P')
    });
    let empty = empty.filter(|sample| !start_up_of.starts_with('P') || sample.work == start_up_of);
    let start_up =
        Spread::of(empty.map(|sample| sample.seconds)).map_or(0.0, |spread| spread.median);
    let whole = Spread::of(done.iter().map(|sample| sample.seconds))?;
    let middle = |figure: fn(&Sample) -> f64| {
        Spread::of(done.iter().map(|sample| figure(sample))).map_or(0.0, |spread| spread.median)
    };
    let mut wrong: Vec<String> = done
        .iter()
        .filter_map(|sample| sample.wrong.clone())
        .collect();
    wrong.sort();
    wrong.dedup();
    Some(Row {
        title: title.to_owned(),
        source: done.first()?.source.clone(),
        whole,
        net: whole.less(start_up),
        peak: Spread::of(done.iter().filter_map(|sample| sample.peak).map(mebibytes)),
        cpu: [
            middle(|sample| sample.own_cpu),
            middle(|sample| sample.postgres_cpu),
            middle(|sample| sample.s3_cpu),
        ],
        wrong: if wrong.is_empty() {
            "nothing".to_owned()
        } else {
            wrong.join("; ")
        },
    })
}

pub(super) fn loading(page: &mut String, outcome: &Outcome, work: &str, title: &str) {
    let names = contender::ALL.map(|contender| (contender.name, contender.title));
    let rows: Vec<(&str, Row)> = names
        .iter()
        .filter_map(|name| Some((name.0, row(&outcome.samples, work, "", *name)?)))
        .collect();
    let raw = outcome
        .limits
        .get(work)
        .and_then(|limit| Some((limit, limit.sum()?)));
    let copy = rows
        .iter()
        .find(|(name, _)| *name == contender::COPY.name)
        .map(|(_, row)| row.net.median);
    let ours = rows
        .iter()
        .find(|(name, _)| *name == contender::ALL[0].name)
        .map(|(_, row)| row.net.median);
    let _ = writeln!(page, "## {work}: {title}\n");
    let _ = writeln!(
        page,
        "| contender | reads | net, s | whole, s (least–most) | of the raw limit | × `\\copy` | × Nightdrop | peak, MiB | processor s: own, Postgres, S3 | wrong |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|---|"
    );
    if let Some((limit, sum)) = &raw {
        let middle = |step: fn(&Raw) -> f64| {
            Spread::of(limit.runs.iter().map(step)).map_or(0.0, |spread| spread.median)
        };
        let _ = writeln!(
            page,
            "| raw LIST + GET + bulk DELETE (limit) | | **{:.3}** | {:.3} ({:.3}–{:.3}): {:.3} + {:.3} + {:.3} | 1 | | {} | | | |",
            sum.median,
            sum.median,
            sum.least,
            sum.greatest,
            middle(|raw| raw.list),
            middle(|raw| raw.get),
            middle(|raw| raw.delete),
            ours.map_or_else(String::new, |ours| format!("{:.2}", sum.median / ours)),
        );
    }
    for (_, row) in &rows {
        let ratio = |other: Option<f64>| {
            other.map_or_else(String::new, |other| {
                format!("{:.2}", row.net.median / other)
            })
        };
        let of_raw = raw.as_ref().map_or_else(String::new, |(_, sum)| {
            format!("{:.2}", sum.median / row.net.median)
        });
        let _ = writeln!(
            page,
            "{} | {of_raw} | {} | {} | {}",
            begin(row),
            ratio(copy),
            ratio(ours),
            end(row)
        );
    }
    if let Some((limit, _)) = &raw {
        let best = &limit.best;
        let _ = writeln!(
            page,
            "\nThe raw limit with what served it best: LIST by {}, {} GETs at once by {}, {} bulk DELETEs of {} at once.",
            best.list_client, best.gets, best.get_client, best.deletes, best.chunk
        );
    }
    let _ = writeln!(page, "\n![{work}]({work}.svg)\n");
}

fn begin(row: &Row) -> String {
    format!(
        "| {} | {} | **{:.3}** | {:.3} ({:.3}–{:.3})",
        row.title,
        row.source,
        row.net.median,
        row.whole.median,
        row.whole.least,
        row.whole.greatest
    )
}

fn end(row: &Row) -> String {
    let peak = row
        .peak
        .map_or_else(String::new, |peak| format!("{:.0}", peak.greatest));
    let [own, postgres, s3] = row.cpu;
    format!(
        "{peak} | {own:.2}, {postgres:.2}, {s3:.2} | {} |",
        row.wrong
    )
}

pub(super) fn extraction(page: &mut String, outcome: &Outcome, title: &str) {
    let _ = writeln!(page, "## P: {title}\n");
    let _ = writeln!(
        page,
        "| source | contender | writes | net, s | whole, s (least–most) | of the limit | × Nightdrop | peak, MiB | processor s: own, database, S3 | wrong |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|---|"
    );
    for source in ["postgres", "mariadb", "sqlite"] {
        let work = format!("P, {source}");
        let names = extract::ALL.map(|extractor| (extractor.name, extractor.title));
        let rows: Vec<(&str, Row)> = names
            .iter()
            .filter_map(|name| Some((name.0, row(&outcome.samples, &work, &work, *name)?)))
            .collect();
        let limit = rows
            .iter()
            .find(|(name, _)| *name == "copy")
            .map(|(_, row)| row.net.median);
        let ours = rows
            .iter()
            .find(|(name, _)| *name == "nightdrop")
            .map(|(_, row)| row.net.median);
        for (_, row) in &rows {
            let of_limit = limit.map_or_else(String::new, |limit| {
                format!("{:.2}", limit / row.net.median)
            });
            let of_ours =
                ours.map_or_else(String::new, |ours| format!("{:.2}", row.net.median / ours));
            let _ = writeln!(
                page,
                "| {source} {} | {of_limit} | {of_ours} | {}",
                begin(row),
                end(row)
            );
        }
    }
    page.push_str("\n![P](P.svg)\n\n");
}
