//! What Prometheus reads: a registry that has what every process shows, and its text.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// What [`render`] gives: <https://prometheus.io/docs/specs/om/open_metrics_spec/>
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry that has the build and the process in it.
pub fn registry(version: &'static str) -> Registry {
    let mut registry = Registry::default();
    registry.register(
        "nightdrop_build",
        "The version of the program",
        Info::new([("version", version)]),
    );
    registry.register_collector(Box::new(Process {
        started: unix_seconds(SystemTime::now()),
    }));
    registry
}

/// All that a registry has, as text.
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // A String takes all that is written to it.
    let _ = prometheus_client::encoding::text::encode(&mut text, registry);
    text
}

/// An instant as Prometheus has them.
pub fn unix_seconds(instant: SystemTime) -> f64 {
    instant
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// Writes a gauge with its values, each with its labels, as a [`Collector`] does; without labels there is one value.
///
/// # Errors
/// When the page can't be written.
pub fn gauge<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'a str, &'a str); N], f64)>,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        let gauge = ConstGauge::new(value);
        if labels.is_empty() {
            return gauge.encode(metric);
        }
        gauge.encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

#[derive(Debug)]
struct Process {
    started: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            gauge(&mut encoder, name, help, [([("", ""); 0], value)])
        };
        gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970",
            self.started,
        )?;
        match resident_memory() {
            Some(bytes) => gauge(
                "process_resident_memory_bytes",
                "Memory that the process has in RAM",
                bytes,
            ),
            None => Ok(()),
        }
    }
}

/// `VmRSS` of this process, in bytes; none where there is no `/proc`.
fn resident_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kib) * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_shows_its_version_and_its_memory() {
        let text = render(&registry("1.2.3"));
        assert!(
            text.contains("nightdrop_build_info{version=\"1.2.3\"} 1\n"),
            "{text}"
        );
        let memory = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "))
            .and_then(|value| value.parse::<f64>().ok());
        assert!(memory > Some(500_000.0), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
