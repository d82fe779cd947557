//! What to do about a file that is parked or held, by what is wrong with it.

use crate::ledger::pick::Picked;
use crate::ledger::reason::Cause;

/// What to do, and with which verb.
pub(crate) fn advice(file: &Picked) -> String {
    let cause = Cause::ALL
        .iter()
        .find(|cause| cause.as_str() == file.reason);
    let Some(cause) = cause else {
        return format!(
            "This version doesn't know the reason {}: a newer consumer put it there; ask that one.",
            file.reason
        );
    };
    let id = file.id;
    let (again, away) = (
        format!("`parked retry {id}`"),
        format!("`parked drop {id}`"),
    );
    if file.state == "held" && file.producer.is_some() && is_about_its_bytes(*cause) {
        return format!(
            "It is too large to be kept in Postgres. If it can be loaded after all, {again}; if not, {away} deletes it \
             from the bucket. To keep such files in Postgres: raise [load] park_up_to."
        );
    }
    match cause {
        Cause::Truncated | Cause::Syntax | Cause::Contract | Cause::Undecodable => format!(
            "It can't be loaded as it is. Have the producer drop a corrected result as a new run, then {away}. \
             To look into it: `parked export {id}`."
        ),
        Cause::TooLarge => format!(
            "If it is right, raise the cap in [caps] that the sentence names, then {again}. \
             If not, have the producer drop a smaller result as a new run, then {away}."
        ),
        Cause::UnknownVersion => format!(
            "Nothing: the first version of the consumer that knows its type loads it by itself. \
             If none ever will, {away}."
        ),
        Cause::Future => format!(
            "Nothing, if its time is right: it is loaded by itself once that has come. If the source's clock is wrong, \
             set it right, run the job again, then {away}."
        ),
        Cause::RunReused => format!(
            "The run is loaded, with other rows than these. `parked export {id}` and compare. If these are the right \
             ones, have the producer drop them as a new run; in any case, {away}."
        ),
        Cause::ChangedMode | Cause::ChangedKey => format!(
            "If the change is meant, drop such results as another job, then {away}. \
             If not, change the job back, run it again, then {away}."
        ),
        Cause::ChangedType | Cause::ColumnUnknown | Cause::TooWide | Cause::Refused => format!(
            "Either let the table take it, then {again}; or have the producer drop a result that fits it as a new run, \
             then {away}."
        ),
        Cause::RepeatedKey => {
            format!("Make the query give one row a key, run the job again, then {away}.")
        }
        Cause::PartialOverlap => format!(
            "Run the job again for the part of its range that newer results don't cover, then {away}."
        ),
        Cause::Deadly => format!(
            "Look at the consumers' logs from the time when they ended: memory is what runs out first. Once that is \
             mended, {again} tries it alone, three times more. If not, {away}."
        ),
        Cause::Key => format!(
            "It lies in the inbox and is no result. Delete it in the bucket by hand, then {away} forgets it."
        ),
        Cause::Unreadable => format!(
            "Give the consumer's key the right to read it (s3:GetObject). It is tried again each hour by itself, \
             with {again} at once."
        ),
        Cause::QuotaParked => format!(
            "It is tried again by itself once its producer has room: retry or drop what is parked of it, or raise \
             [quota] parked. {again} tries it at once, {away} deletes it from the bucket."
        ),
        Cause::QuotaTables => format!(
            "Retire a job of this producer that nobody needs, or raise [quota] tables, then {again}. If it isn't \
             wanted, {away}."
        ),
        Cause::QuotaColumns => format!(
            "If so many new columns are meant, raise [quota] new_columns, then {again}. If not, {away}."
        ),
        // No file is parked or held for these.
        Cause::Gone | Cause::Replaced | Cause::Probe | Cause::Failed => {
            format!("Nothing is known that would help. {again} tries it again, {away} gives it up.")
        }
    }
}

/// Whether a file would be parked for this cause, were it small enough.
fn is_about_its_bytes(cause: Cause) -> bool {
    cause.state() == crate::ledger::state::State::Parked
}
