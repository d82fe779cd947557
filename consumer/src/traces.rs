//! What traces show of a result here: fetch, load and delete, each below the run that made it, by the `traceparent` in
//! its message. The ledger keeps that, for another consumer may do the rest.

use std::time::SystemTime;

use nightdrop_runtime::trace::{Kind, Parent, Span};
use nightdrop_schema::Key;

use crate::ledger::claim::File;
use crate::ledger::deletion;
use crate::ledger::reason::Cause;
use crate::ledger::verdict::Decided;

/// A file that is fetched since then, and whose message says this.
pub(crate) fn fetched(file: &File, trace: Option<&Parent>, since: SystemTime) -> Span {
    let mut span = Span::begun("fetch", Kind::Takes, trace, since);
    about(&mut span, &file.key);
    span.set("nightdrop.file", file.id);
    span.set(
        "nightdrop.bytes",
        i64::try_from(file.size).unwrap_or(i64::MAX),
    );
    span
}

/// Files that were loaded by one transaction, since then until now.
pub(crate) fn loaded(files: &[Decided], since: SystemTime) {
    for file in files {
        let Some(trace) = file.traceparent.as_deref().and_then(Parent::parse) else {
            continue;
        };
        let mut span = Span::begun("load", Kind::Calls, Some(&trace), since);
        span.set("nightdrop.producer", file.producer.clone());
        span.set("nightdrop.job", file.job.clone());
        span.set("nightdrop.state", file.state.as_str());
        span.set(
            "nightdrop.rows",
            i64::try_from(file.rows).unwrap_or(i64::MAX),
        );
        // So many were loaded at once.
        span.set(
            "nightdrop.batch",
            i64::try_from(files.len()).unwrap_or(i64::MAX),
        );
    }
}

/// A file that was read, and then was not loadable. What is wrong with it in words is in the log and in the ledger, and
/// not here: it may have values of the file in it.
pub(crate) fn unfit(file: &File, trace: Option<&Parent>, cause: Cause, since: SystemTime) {
    let Some(trace) = trace else {
        return;
    };
    let mut span = Span::begun("load", Kind::Calls, Some(trace), since);
    about(&mut span, &file.key);
    span.set("nightdrop.file", file.id);
    span.set("nightdrop.state", cause.state().as_str());
    span.fail(&cause.as_str());
}

/// An object that was deleted, since then until now.
pub(crate) fn deleted(object: &deletion::Decided, since: SystemTime) {
    let Some(trace) = object.traceparent.as_deref().and_then(Parent::parse) else {
        return;
    };
    let mut span = Span::begun("delete", Kind::Calls, Some(&trace), since);
    about(&mut span, &object.key);
}

fn about(span: &mut Span, key: &Key) {
    span.set("nightdrop.producer", key.producer().to_string());
    span.set("nightdrop.job", key.job().to_string());
    span.set("nightdrop.key", key.to_string());
}
