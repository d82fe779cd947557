//! Bucket and Postgres as this consumer knows them, and what asking the bucket costs.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::words::{badge, head, near, number, prose, when};
use crate::breaker::State;
use crate::consumer::Consumer;
use crate::http::health;
use crate::ledger::breaker::Kept;
use crate::servers::{Server, Standing};

/// What AWS takes for a LIST in S3 Standard, in millionths of a US dollar: $0.005 a thousand. Others take less or nothing.
const LIST_PRICE: u64 = 5;

/// `connected` are the consumers at work on this database, as far as Postgres could be asked.
pub(super) fn section(
    consumer: &Consumer,
    connected: Option<i64>,
    kept: &[Kept],
    now: DateTime<Utc>,
) -> Markup {
    let complaints = health::complaints(consumer).err();
    let (lists, since) = consumer.metrics.counts().lists.so_far(now);
    html! {
        section aria-labelledby="servers" {
            h2 #servers { "Bucket and Postgres" }
            dl.facts {
                @for standing in consumer.servers.standing() {
                    dt { (name(standing.server)) }
                    dd { (stands(standing)) }
                }
                dt { "Inbox" }
                dd { (consumer.bucket.to_string()) }
                dt { "LIST requests today" }
                dd {
                    (number(i64::try_from(lists).unwrap_or(i64::MAX))) " by this consumer, since " (when(since, now))
                    ": " (dollars(lists)) " at AWS's price of $0.005 for a thousand"
                }
                dt { "This consumer" }
                dd {
                    (consumer.worker)
                    @match connected {
                        None => {}
                        Some(..=1) => { ", the only one that is connected" }
                        Some(all) => { ", one of " (number(all)) " that are connected" }
                    }
                }
            }
            @if let Some(lines) = complaints {
                p.alarm { (prose(lines.trim_end())) }
            }
            @if !kept.is_empty() { (breakers(kept, now)) }
        }
    }
}

/// What this consumer's LIST requests of today cost.
pub(super) fn cost(consumer: &Consumer, now: DateTime<Utc>) -> String {
    let (lists, _) = consumer.metrics.counts().lists.so_far(now);
    dollars(lists)
}

fn name(server: Server) -> &'static str {
    match server {
        Server::Bucket => "Bucket",
        Server::Postgres => "Postgres",
    }
}

fn stands(standing: Standing) -> Markup {
    let word = match (standing.state, standing.usable) {
        (State::Open(_), _) => "away",
        (State::HalfOpen(_), _) => "half open",
        (State::Closed(_), false) => "refused",
        (State::Closed(_), true) => "usable",
    };
    let what = match standing.state {
        State::Open(_) => " left alone for a while, then asked again",
        State::HalfOpen(_) => " it is being tried again",
        State::Closed(_) if !standing.usable => " it can't be used",
        State::Closed(_) => "",
    };
    html! { (badge(word)) (what) }
}

fn breakers(kept: &[Kept], now: DateTime<Utc>) -> Markup {
    html! {
        table.cards role="table" {
            caption { "Circuit breakers that are or were open, by host" }
            (head(&["Host", "Server", "State", "Since", "What opened it"]))
            tbody role="rowgroup" {
                @for one in kept {
                    tr role="row" {
                        th role="rowheader" scope="row" { (one.host) }
                        td role="cell" data-label="Server" { (one.server) }
                        td role="cell" data-label="State" {
                            (badge(&one.state.replace('_', " ")))
                            @if let Some(at) = one.ask_at { " asked again " (when(at, now)) }
                        }
                        td role="cell" data-label="Since" { (near(one.since, now)) }
                        td.sentence role="cell" data-label="What opened it" { (prose(&super::words::short(&one.error))) }
                    }
                }
            }
        }
    }
}

/// What so many LIST requests cost.
fn dollars(lists: u64) -> String {
    let millionths = lists.saturating_mul(LIST_PRICE);
    let mut text = String::new();
    let _ = write!(text, "${}.", millionths / 1_000_000);
    // Of little, what is behind the point matters.
    let rest = millionths % 1_000_000;
    if millionths < 100_000 {
        let _ = write!(text, "{:04}", rest / 100);
    } else {
        let _ = write!(text, "{:02}", rest / 10_000);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_listing_costs_what_it_costs() {
        for (lists, expected) in [
            (0, "$0.0000"),
            (1_440, "$0.0072"),
            (86_400, "$0.43"),
            (1_000_000, "$5.00"),
        ] {
            assert_eq!(dollars(lists), expected, "{lists}");
        }
    }
}
