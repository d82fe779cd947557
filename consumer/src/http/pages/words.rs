//! What all pages write alike: instants, spans, numbers, sentences. Whatever comes in is escaped.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{Markup, html};

use crate::columns;
use crate::ledger::summary::Trouble;
use crate::trouble::Kind;

/// What a list shows of a sentence; the file's own page has all of it.
const SENTENCE: usize = 600;

/// An instant, for people and for machines, and how far it is from now.
pub(super) fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.to_rfc3339_opts(SecondsFormat::Secs, true)) { (columns::at(at)) }
        " " span.far { (far(at, now)) }
    }
}

/// The same where there is little room: first what matters more.
pub(super) fn near(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        span.near { (far(at, now)) } " "
        time.far datetime=(at.to_rfc3339_opts(SecondsFormat::Secs, true)) { (columns::at(at)) }
    }
}

/// What a cell says that has nothing to say.
pub(super) fn none() -> Markup {
    html! { span.far { "none" } }
}

/// How far an instant is from now.
pub(super) fn far(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let away = at - now;
    if away.num_seconds().abs() < 2 {
        "just now".to_owned()
    } else if away < TimeDelta::zero() {
        format!("{} ago", span(-away))
    } else {
        format!("in {}", span(away))
    }
}

/// A span in its largest unit of which there are two.
pub(super) fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", number(seconds / 86_400)),
    }
}

/// A number in groups of three digits.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-" } else { "" }.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A sentence of ours, with what is to be typed between backticks.
pub(super) fn prose(sentence: &str) -> Markup {
    html! {
        @for (place, part) in sentence.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A sentence of ours that stands alone. What may be a name, or is to be typed, stays as it is.
pub(super) fn sentence(sentence: &str) -> Markup {
    let word = sentence.split(' ').next().unwrap_or_default();
    let plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let (first, rest) = sentence.split_at(usize::from(plain));
    html! { (first.to_ascii_uppercase()) (prose(rest)) "." }
}

/// A sentence of a list.
pub(super) fn short(sentence: &str) -> String {
    let line = columns::line(sentence);
    match line.char_indices().nth(SENTENCE) {
        Some((cut, _)) => format!("{}…", line.get(..cut).unwrap_or_default()),
        None => line,
    }
}

/// A word for a state, in its colour: the colour says nothing that the word doesn't.
pub(super) fn badge(word: &str) -> Markup {
    let class = match word {
        "late" | "failing" | "parked" | "away" | "open" | "refused" => "bad",
        "held" | "resting" | "half open" | "missing" => "warn",
        "on time" | "loaded" | "usable" | "closed" => "good",
        _ => "plain",
    };
    html! { span class={ "badge " (class) } { (word) } }
}

pub(super) fn kind(kind: Kind) -> Markup {
    badge(kind.as_str())
}

/// The first row of a table.
pub(super) fn head(names: &[&str]) -> Markup {
    html! {
        thead role="rowgroup" {
            tr role="row" {
                @for name in names {
                    th role="columnheader" scope="col" { (name) }
                }
            }
        }
    }
}

/// Files that are not in the reports. `up` leads to the top of the pages.
pub(super) fn kept_out(files: &[Trouble], caption: &str, up: &str, now: DateTime<Utc>) -> Markup {
    html! {
        table.cards role="table" {
            caption { (caption) }
            (head(&["File", "State", "Since", "What is wrong"]))
            tbody role="rowgroup" {
                @for file in files {
                    tr role="row" {
                        th role="rowheader" scope="row" {
                            a href={ (up) "files/" (file.file) } { "File " (file.file) }
                        }
                        td role="cell" data-label="State" { (badge(&file.state)) " " span.far { (file.reason) } }
                        td role="cell" data-label="Since" { (near(file.since, now)) }
                        td.sentence role="cell" data-label="What is wrong" {
                            (prose(&short(&file.error)))
                            span.key { (file.key.escape_debug().to_string()) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_numbers_are_said_as_people_say_them() {
        for (seconds, expected) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_800, "2 days"),
            (86_400 * 4_700, "4,700 days"),
        ] {
            assert_eq!(span(TimeDelta::seconds(seconds)), expected);
        }
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-1_234_567, "-1,234,567"),
        ] {
            assert_eq!(number(value), expected);
        }
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let far = |at: &str| far(at.parse().unwrap(), now);
        assert_eq!(far("2026-11-21T12:00:01Z"), "just now");
        assert_eq!(far("2026-11-21T12:05:00Z"), "in 5 min");
        assert_eq!(far("2026-11-21T09:00:00Z"), "3 h ago");
    }

    #[test]
    fn what_comes_from_outside_is_text_whatever_is_in_it() {
        let sentence = "column <script>alert(1)</script>: type `x & \"y\"` ";
        assert_eq!(
            prose(sentence).into_string(),
            "column &lt;script&gt;alert(1)&lt;/script&gt;: type <code>x &amp; &quot;y&quot;</code> "
        );
        assert_eq!(
            super::sentence("look at <b>").into_string(),
            "Look at &lt;b&gt;."
        );
        for as_it_is in ["`check` says it", "jfk's log", "data.rows", ""] {
            let said = super::sentence(as_it_is).into_string();
            assert!(
                !said.starts_with(|c: char| c.is_ascii_uppercase()),
                "{said}"
            );
        }
        assert_eq!(short("a\u{1b}[2J\nb"), "a [2J b");
        assert_eq!(short(&"ä".repeat(700)).chars().count(), 601);
    }
}
