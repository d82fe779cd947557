//! What helps a file that is not in the reports, by what keeps it out.

use crate::ledger::reason::Cause;

/// What to do about a parked or held file. Its own sentence says what is wrong; this says which way out
/// there is. A cause that this version doesn't know has none but a person's look.
pub(crate) fn advice(cause: Option<Cause>, file: i64, producer: &str, job: &str) -> String {
    let retry = format!("`nightdrop-consumer parked retry {file}`");
    let drop = format!("`nightdrop-consumer parked drop {file}`");
    let again = format!(
        "have the producer run {job} again (a cursor job reads on behind this file, until its watermark is removed and --start says where from)"
    );
    match cause {
        Some(
            Cause::Truncated
            | Cause::Syntax
            | Cause::Contract
            | Cause::Undecodable
            | Cause::RepeatedKey
            | Cause::TooWide,
        ) => format!(
            "this file will never load as it is: once the query is mended, {again}, then {drop}"
        ),
        Some(Cause::TooLarge) => format!(
            "if it is meant to be so large, raise the cap in [caps], then {retry}; if not, {again}, then {drop}"
        ),
        Some(Cause::UnknownVersion) => {
            "it loads by itself once a consumer that knows its type is at work".to_owned()
        }
        Some(Cause::Future) => {
            "it loads by itself once Postgres's clock has come to its time".to_owned()
        }
        Some(Cause::RunReused) => format!(
            "compare the two (`nightdrop-consumer parked export {file}`); if this one is wanted too, {again}, under an id of its own; then {drop}"
        ),
        Some(Cause::ChangedMode | Cause::ChangedKey | Cause::ChangedType) => format!(
            "if the change is meant: `nightdrop-consumer retire {producer} {job}`, then {retry}; if not, mend the job's query, then {drop}"
        ),
        Some(Cause::ColumnUnknown) => format!("once the table has the column: {retry}"),
        Some(Cause::PartialOverlap) => format!(
            "what newer results left of it has to come anew: have the producer run {job} for that part, with --from and --to, then {drop}"
        ),
        Some(Cause::Refused) => {
            format!("once the table takes it: {retry}; if it never should: {drop}")
        }
        Some(Cause::Deadly) => format!(
            "look at the consumers' logs of that time; with more memory, or a newer version: {retry}"
        ),
        Some(Cause::Key) => format!(
            "it is no result as it is named: put it again under a right key, delete this one from the bucket, then {drop} forgets it"
        ),
        Some(Cause::Unreadable) => {
            format!(
                "give the reader's key the right to get it; it is tried again by itself, or now: {retry}"
            )
        }
        Some(Cause::QuotaParked) => format!(
            "it comes back by itself once {producer} has room: see `nightdrop-consumer parked list --producer {producer}`, or raise [quota] parked"
        ),
        Some(Cause::QuotaTables) => {
            format!("retire a job of {producer}, or raise [quota] tables; then {retry}")
        }
        Some(Cause::QuotaColumns) => {
            format!("raise [quota] new_columns if they are meant; then {retry}; if not: {drop}")
        }
        Some(Cause::Gone | Cause::Replaced | Cause::Probe | Cause::Failed) | None => {
            format!("once what is wrong is mended: {retry}; if it is not wanted: {drop}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::state::State;

    #[test]
    fn every_cause_that_keeps_a_file_out_has_a_way_out() {
        for cause in Cause::ALL {
            let helps = advice(Some(*cause), 17, "jfk", "departures");
            assert!(
                !helps.is_empty() && !helps.ends_with('.'),
                "{cause:?}: {helps}"
            );
        }
    }

    /// Who is woken at night reads that page.
    #[test]
    fn every_cause_of_an_alarm_is_on_the_page_of_operations() {
        let page = include_str!("../../../docs/operations.md");
        for cause in Cause::ALL {
            let table = match cause.state() {
                State::Parked => "| PARKED |",
                State::Held => "| HELD |",
                _ => continue,
            };
            let rows = page.split_once(table).unwrap().1;
            let rows = rows.split_once("\n\n").unwrap().0;
            let name = format!("`{}`", cause.as_str());
            assert!(rows.contains(&name), "{table} {name}");
        }
    }
}
