//! What stands around every page.

use maud::{DOCTYPE, Markup, html};

use crate::ledger::verdict::VERSION;

/// How deep a page lies: links are relative, so that a proxy may put all of it under a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `/`
    Top,
    /// `/files/17`
    File,
    /// `/jobs/jfk/departures`
    Job,
    /// Who asked for something that isn't there may be anywhere.
    Anywhere,
}

impl Place {
    /// The way to the top.
    pub(super) fn up(self) -> &'static str {
        match self {
            Self::Top => "./",
            Self::File => "../",
            Self::Job => "../../",
            Self::Anywhere => "/",
        }
    }
}

pub(super) fn frame(title: &str, place: Place, body: &Markup) -> Markup {
    let up = place.up();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Nightdrop" }
                link rel="stylesheet" href={ (up) "style.css" };
                link rel="icon" href="data:,";
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    nav aria-label="Nightdrop" {
                        a.home href=(up) aria-current=[(place == Place::Top).then_some("page")] { "Nightdrop" }
                        @if place != Place::Top {
                            span aria-hidden="true" { "/" }
                            span { (title) }
                        }
                    }
                }
                main #content tabindex="-1" {
                    h1 { (title) }
                    (body)
                }
                footer { p { "nightdrop-consumer " (VERSION) ". Times are UTC." } }
            }
        }
    }
}
