//! What is said of backlogs.

use std::fmt::Write as _;

use super::mebibytes;
use crate::scale::{Scale, Together};

pub(super) fn growth(page: &mut String, scale: &Scale) {
    page.push_str(
        "## With a backlog\n\n| waiting | files a claim takes | a claim, ms | slowest, ms |\n|--:|--:|--:|--:|\n",
    );
    for claiming in &scale.claims {
        let _ = writeln!(
            page,
            "| {} | {} | {:.1} | {:.1} |",
            claiming.waiting,
            claiming.files,
            claiming.median * 1000.0,
            claiming.slowest * 1000.0
        );
    }
    let beside = &scale.beside;
    let _ = writeln!(
        page,
        "\n![claims](claims.svg)\n\nA consumer with {} waiting and a bucket that lists them all, for {:.0} s: {:.0} MiB at most, {} files, {} LIST requests. \
         What Postgres did for it:\n\n| statement | calls | mean, ms | most, ms |\n|---|--:|--:|--:|",
        beside.waiting,
        beside.seconds,
        mebibytes(beside.peak),
        beside.files,
        beside.lists
    );
    for statement in &beside.statements {
        let _ = writeln!(
            page,
            "| `{}` | {} | {:.2} | {:.1} |",
            statement.text.replace('|', "\\|").replace('`', "'"),
            statement.calls,
            statement.mean,
            statement.most
        );
    }
    let listing = &scale.listing;
    let _ = writeln!(
        page,
        "\nLIST of a real bucket with {} objects: {:.2} s in all, {:.1} ms a page of 1,000, {:.1} ms the slowest.\n",
        listing.objects,
        listing.seconds,
        listing.median * 1000.0,
        listing.slowest * 1000.0
    );
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let _ = writeln!(
        page,
        "### Consumers on one backlog\n\n| consumers | files | s | files/s | processors busy (of {processors}): consumers | Postgres | S3 | at its limit |\n|--:|--:|--:|--:|--:|--:|--:|---|"
    );
    for together in &scale.together {
        #[expect(clippy::cast_precision_loss, reason = "some thousands of files")]
        let rate = together.files as f64 / together.seconds;
        let _ = writeln!(
            page,
            "| {} | {} | {:.2} | {rate:.0} | {:.2} | {:.2} | {:.2} | {} |",
            together.consumers,
            together.files,
            together.seconds,
            together.own,
            together.postgres,
            together.s3,
            at_its_limit(together, processors)
        );
    }
    let ledger = &scale.ledger;
    let _ = writeln!(
        page,
        "\nThe ledger: {:.0} bytes a file, {:.0} of them indexes ({} files, just loaded).\n",
        ledger.table + ledger.indexes,
        ledger.indexes,
        ledger.files
    );
    page.push_str(
        "### LIST requests\n\n| the bucket | LISTs a day | AWS, $ a month |\n|---|--:|--:|\n",
    );
    for requests in &scale.requests {
        let _ = writeln!(
            page,
            "| {} | {:.0} | {:.2} |",
            requests.when, requests.a_day, requests.dollars_a_month
        );
    }
    page.push('\n');
}

/// Who used most of the processors, and whether there was any left.
fn at_its_limit(together: &Together, processors: usize) -> String {
    let busy = [
        ("consumers", together.own),
        ("Postgres", together.postgres),
        ("S3 server", together.s3),
    ];
    let sum: f64 = busy.iter().map(|(_, busy)| busy).sum();
    let most = busy
        .iter()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map_or("", |(name, _)| name);
    #[expect(clippy::cast_precision_loss, reason = "a number of processors")]
    let all = processors as f64;
    if sum > 0.9 * all {
        format!(
            "the machine ({:.0} %), most of it {most}",
            sum / all * 100.0
        )
    } else {
        format!(
            "no processor ({:.0} % busy): waits; most busy is {most}",
            sum / all * 100.0
        )
    }
}
