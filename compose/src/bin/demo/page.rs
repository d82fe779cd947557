//! How the story looks: one page, at most 100 columns wide, with colours only on a terminal.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use crate::programs::Told;
use crate::report::Delays;

pub(crate) struct Page {
    colours: bool,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            // https://no-color.org
            colours: std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()),
        }
    }

    pub(crate) fn title(&self, title: &str) {
        println!("{}", self.in_colour(BOLD, title));
    }

    /// One step of the way.
    pub(crate) fn chapter(&self, name: &str, what: &str) {
        println!("\n{} {what}", self.in_colour(BOLD, &format!("{name:<14}")));
    }

    /// What was done, and how long it took since then.
    pub(crate) fn row(&self, name: &str, text: &str, since: Instant) {
        let name = self.in_colour(CYAN, &format!("{name:<9}"));
        println!("  {name} {text:<77} {}", self.took(since.elapsed()));
    }

    pub(crate) fn note(&self, text: &str) {
        println!("  {}", self.in_colour(YELLOW, text));
    }

    pub(crate) fn command(&self, told: &Told) {
        let command = format!("$ {}", told.command);
        println!("  {command:<87} {}", self.took(told.took));
    }

    pub(crate) fn object(&self, key: &str, size: u64) {
        let size = format!("{:>8} B", thousands(size));
        println!("  {key:<85} {}", self.in_colour(DIM, &size));
    }

    pub(crate) fn table(&self, delays: &Delays) {
        let airports = ["EWR", "JFK", "LGA"].map(|airport| format!("{airport:>11} dry    rain"));
        println!("  {:<27}{}", "", self.in_colour(CYAN, &airports.concat()));
        for (airline, cells) in &delays.airlines {
            println!("  {airline:<27}{}", self.cells(cells));
        }
        let all = self.in_colour(BOLD, &format!("{:<27}", "all airlines"));
        println!("  {all}{}", self.cells(&delays.all));
    }

    /// Delays of a dry and a rainy hour, airport by airport; nothing where nobody flew.
    fn cells(&self, cells: &[[Option<f64>; 2]; 3]) -> String {
        let cell = |cell: &Option<f64>, width: usize| match cell {
            None => format!("{:>width$}", "·"),
            Some(minutes) if *minutes >= 20.0 => {
                self.in_colour(RED, &format!("{minutes:>width$.1}"))
            }
            Some(minutes) => format!("{minutes:>width$.1}"),
        };
        cells
            .iter()
            .map(|[dry, rain]| cell(dry, 15) + &cell(rain, 8))
            .collect()
    }

    pub(crate) fn done(&self, text: &str, start: Instant) {
        println!(
            "\n{} {}",
            self.in_colour(GREEN, &format!("{text:<89}")),
            self.took(start.elapsed())
        );
    }

    pub(crate) fn failed(&self, error: &anyhow::Error) {
        println!("\n{} {error:#}", self.in_colour(RED, "The demo failed:"));
    }

    fn took(&self, took: Duration) -> String {
        self.in_colour(DIM, &format!("{:>8}", seconds(took)))
    }

    fn in_colour(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// A number with its thousands apart: `27,004`.
pub(crate) fn thousands<N: Copy + ToString>(number: N) -> String {
    let digits = number.to_string();
    let mut apart = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}
