//! The alert rules: each is tried, and says what to do. `promtool` itself runs them: `prometheus/verify.sh`.

const RULES: &str = include_str!("../prometheus/nightdrop.rules.yaml");
const TESTS: &str = include_str!("../prometheus/nightdrop.test.yaml");
const OPERATIONS: &str = include_str!("../../docs/operations.md");

fn alerts() -> Vec<&'static str> {
    RULES
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect()
}

#[test]
fn every_alert_is_seen_to_fire_and_has_its_remedy_in_the_docs() {
    assert!(alerts().len() > 10);
    for alert in alerts() {
        let fires = TESTS
            .split("- alertname: ")
            .skip(1)
            .any(|test| test.starts_with(&format!("{alert}\n")) && test.contains("- exp_labels:"));
        assert!(fires, "{alert} fires in no test");
        assert!(
            OPERATIONS.contains(&format!("\n| {alert} | ")),
            "docs/operations.md has no line for {alert}"
        );
    }
}
