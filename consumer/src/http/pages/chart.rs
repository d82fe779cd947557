//! Charts of a job's last results, drawn here as SVG by `plotters`, so that nothing has to run in the browser. They
//! carry no style of their own but attributes: the stylesheet gives each colour another where it is dark.

use std::error::Error;

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, PreEscaped, html};
use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::drawing::IntoDrawingArea;
use plotters::element::Circle;
use plotters::series::AreaSeries;
use plotters::style::{Color, IntoFont, RGBColor, TRANSPARENT};

use super::words::{number, span};
use crate::ledger::recent::Recent;

/// The stylesheet knows these by their values.
const INK: RGBColor = RGBColor(0x4A, 0x54, 0x60);
const GRID: RGBColor = RGBColor(0xC9, 0xCF, 0xD6);
const ROWS: RGBColor = RGBColor(0x0B, 0x57, 0xA4);
const LAG: RGBColor = RGBColor(0x8A, 0x4B, 0x08);

const SPARK: (u32, u32) = (240, 56);
const PLOT: (u32, u32) = (520, 240);

/// What is drawn of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Its rows.
    Rows,
    /// How old the news was when it was committed.
    Lag,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Rows => "Rows",
            Self::Lag => "Lag",
        }
    }

    fn color(self) -> RGBColor {
        match self {
            Self::Rows => ROWS,
            Self::Lag => LAG,
        }
    }

    fn value(self, result: &Recent) -> i64 {
        match self {
            Self::Rows => result.rows,
            Self::Lag => result.lag().num_seconds(),
        }
    }

    pub(super) fn say(self, value: i64) -> String {
        match self {
            Self::Rows => number(value),
            Self::Lag => span(TimeDelta::seconds(value)),
        }
    }

    pub(super) fn last(self, results: &[Recent]) -> Option<String> {
        results.last().map(|last| self.say(self.value(last)))
    }

    /// All of it in a sentence, for those who don't see it.
    fn sentence(self, results: &[Recent]) -> String {
        let values = || results.iter().map(|result| self.value(result));
        let (Some(low), Some(high), Some(newest)) =
            (values().min(), values().max(), self.last(results))
        else {
            return "No results".to_owned();
        };
        format!(
            "{} of the last {}: {} to {}, the newest {newest}",
            self.name(),
            match results.len() {
                1 => "result".to_owned(),
                many => format!("{many} results"),
            },
            self.say(low),
            self.say(high)
        )
    }
}

/// A line without axes, as wide as a word.
pub(super) fn spark(of: Of, results: &[Recent]) -> Markup {
    let points = || (0u32..).zip(results.iter().map(|result| height(of.value(result))));
    let inner = draw_spark(of.color(), &points().collect::<Vec<_>>());
    svg(
        "spark",
        SPARK,
        &of.sentence(results),
        None,
        &inner.unwrap_or_default(),
    )
}

/// A chart with axes: by the instant that each result is as of.
pub(super) fn plot(of: Of, results: &[Recent]) -> Markup {
    let (unit, seconds) = match of {
        Of::Rows => ("rows", 1),
        Of::Lag => unit(
            results
                .iter()
                .map(|result| of.value(result))
                .max()
                .unwrap_or(0),
        ),
    };
    let points: Vec<_> = results
        .iter()
        .map(|result| (result.as_of, height(of.value(result)) / height(seconds)))
        .collect();
    let inner = draw_plot(of.color(), &points).unwrap_or_default();
    let what = match of {
        Of::Rows => "Rows of each result".to_owned(),
        Of::Lag => format!("Lag from as of to commit, in {unit}"),
    };
    html! {
        figure {
            (svg("plot", PLOT, &what, Some(&of.sentence(results)), &inner))
            figcaption { (what) }
        }
    }
}

/// The frame is ours, for `plotters` knows no title; what is in it is all that `plotters` has drawn.
fn svg(
    class: &str,
    size: (u32, u32),
    title: &str,
    description: Option<&str>,
    drawn: &str,
) -> Markup {
    let inner = drawn
        .split_once('>')
        .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
        .map_or("", |(inner, _)| inner);
    html! {
        svg class=(class) role="img" viewBox={ "0 0 " (size.0) " " (size.1) } {
            title { (title) }
            @if let Some(description) = description { desc { (description) } }
            (PreEscaped(inner))
        }
    }
}

/// As exact as a chart can be.
fn height(value: i64) -> f64 {
    f64::from(u32::try_from(value.max(0)).unwrap_or(u32::MAX))
}

/// What lags of up to so many seconds are counted in, and how many seconds that has.
fn unit(most: i64) -> (&'static str, i64) {
    match most {
        ..300 => ("seconds", 1),
        300..18_000 => ("minutes", 60),
        18_000..432_000 => ("hours", 3_600),
        _ => ("days", 86_400),
    }
}

/// Where the axis ends: above the highest, and above nothing.
fn top(values: impl Iterator<Item = f64>) -> f64 {
    let highest = values.fold(0.0, f64::max);
    if highest > 0.0 { highest * 1.08 } else { 1.0 }
}

fn draw_spark(color: RGBColor, points: &[(u32, f64)]) -> Result<String, Box<dyn Error>> {
    let mut drawn = String::new();
    let top = top(points.iter().map(|(_, value)| *value));
    let end = points.last().map_or(1, |(place, _)| (*place).max(1));
    {
        let root = SVGBackend::with_string(&mut drawn, SPARK).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(6)
            .build_cartesian_2d(0..end, 0.0..top)?;
        let area = AreaSeries::new(points.iter().copied(), 0.0, color.mix(0.15));
        chart.draw_series(area.border_style(color.stroke_width(3)))?;
        let last = points
            .last()
            .map(|last| Circle::new(*last, 5, color.filled()));
        chart.draw_series(last)?;
        root.present()?;
    }
    Ok(drawn)
}

fn draw_plot(color: RGBColor, points: &[(DateTime<Utc>, f64)]) -> Result<String, Box<dyn Error>> {
    let mut drawn = String::new();
    let Some((from, to)) = ends(points) else {
        return Ok(drawn);
    };
    let top = top(points.iter().map(|(_, value)| *value));
    let format = match (to - from).num_hours() {
        ..48 => "%H:%M",
        48..7_000 => "%d %b",
        _ => "%b %Y",
    };
    {
        let root = SVGBackend::with_string(&mut drawn, PLOT).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .margin_right(24)
            .x_label_area_size(30)
            .y_label_area_size(58)
            .build_cartesian_2d(from..to, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(5)
            .y_labels(5)
            .label_style(("sans-serif", 19).into_font().color(&INK))
            .x_label_formatter(&|at| at.format(format).to_string())
            .y_label_formatter(&|value| label(*value))
            .draw()?;
        let area = AreaSeries::new(points.iter().copied(), 0.0, color.mix(0.15));
        chart.draw_series(area.border_style(color.stroke_width(2)))?;
        chart.draw_series(
            points
                .iter()
                .map(|point| Circle::new(*point, 3, color.filled())),
        )?;
        root.present()?;
    }
    Ok(drawn)
}

/// From the first to the last, with some room where that is one instant.
fn ends(points: &[(DateTime<Utc>, f64)]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let first = points.iter().map(|(at, _)| *at).min()?;
    let last = points.iter().map(|(at, _)| *at).max()?;
    if last - first >= TimeDelta::minutes(1) {
        return Some((first, last));
    }
    let room = TimeDelta::minutes(30);
    Some((
        first.checked_sub_signed(room)?,
        last.checked_add_signed(room)?,
    ))
}

/// A number at an axis: there is little room.
fn label(value: f64) -> String {
    for (unit, name) in [(1e9, " G"), (1e6, " M"), (1e3, " k")] {
        if value >= unit {
            return format!("{}{name}", (value / unit * 10.0).round() / 10.0);
        }
    }
    format!("{}", (value * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(given: &[(&str, i64)]) -> Vec<Recent> {
        given
            .iter()
            .zip(1..)
            .map(|((as_of, rows), file)| {
                let as_of: DateTime<Utc> = as_of.parse().unwrap();
                Recent {
                    file,
                    as_of,
                    committed_at: as_of + TimeDelta::seconds(12),
                    rows: *rows,
                    size: 1,
                }
            })
            .collect()
    }

    /// Whatever a stylesheet or a browser would run or fetch.
    fn is_harmless(svg: &str) -> bool {
        !["style", "script", "href", "url(", "onload", "<image"]
            .iter()
            .any(|word| svg.contains(word))
    }

    #[test]
    fn a_spark_says_in_words_what_it_shows() {
        let results = results(&[
            ("2013-01-29T05:00:00Z", 820),
            ("2013-01-30T05:00:00Z", 1_020),
            ("2013-01-31T05:00:00Z", 842),
        ]);
        let rows = spark(Of::Rows, &results).into_string();
        assert!(
            rows.contains(
                "<title>Rows of the last 3 results: 820 to 1,020, the newest 842</title>"
            ),
            "{rows}"
        );
        assert!(
            rows.contains("<polyline") && rows.contains("<circle"),
            "{rows}"
        );
        let lag = spark(Of::Lag, &results).into_string();
        assert!(
            lag.contains("Lag of the last 3 results: 12 s to 12 s"),
            "{lag}"
        );
        assert!(is_harmless(&rows) && is_harmless(&lag));
    }

    #[test]
    fn whatever_has_come_is_drawn() {
        for given in [
            &[][..],
            &[("2013-01-31T05:00:00Z", 0)],
            &[
                ("2013-01-31T05:00:00Z", 1),
                ("2013-01-31T05:00:00Z", i64::MAX),
            ],
            &[("0001-01-01T00:00:00Z", 5), ("9999-12-31T23:59:59Z", 7)],
            &[("2013-01-31T05:00:00Z", 5), ("2013-01-31T05:00:30Z", 7)],
        ] {
            let results = results(given);
            for of in [Of::Rows, Of::Lag] {
                let spark = spark(of, &results).into_string();
                let plot = plot(of, &results).into_string();
                assert!(spark.ends_with("</svg>") && plot.contains("</svg><figcaption>"));
                assert!(is_harmless(&spark) && is_harmless(&plot));
                assert_eq!(plot.contains("<polyline"), !given.is_empty(), "{given:?}");
            }
        }
    }

    #[test]
    fn an_axis_says_its_numbers_in_little_room() {
        for (value, expected) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (842.0, "842"),
            (1_500.0, "1.5 k"),
            (336_776.0, "336.8 k"),
            (2e6, "2 M"),
        ] {
            assert_eq!(label(value), expected);
        }
    }

    #[test]
    fn every_colour_has_another_one_where_it_is_dark() {
        let style = include_str!("style.css");
        for RGBColor(red, green, blue) in [INK, GRID, ROWS, LAG] {
            let value = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
            assert!(style.contains(&value), "{value}");
        }
    }
}
