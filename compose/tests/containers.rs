//! `compose.yaml`, as far as it can be judged where there is no engine to run it.

use std::process::Command;

const COMPOSE: &str = include_str!("../compose.yaml");
const DOCKERFILE: &str = include_str!("../Dockerfile");

#[test]
fn docker_compose_takes_the_file() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/compose.yaml");
    for compose in [&["docker-compose"][..], &["docker", "compose"]] {
        let output = Command::new(compose[0])
            .args(&compose[1..])
            .args(["-f", file, "config", "-q"])
            .output();
        let Ok(output) = output else { continue };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    eprintln!("not tried: there is no docker-compose; `apt-get install docker-compose`");
}

/// The lines of one service.
fn service(name: &str) -> Vec<&'static str> {
    let lines = COMPOSE
        .lines()
        .skip_while(|line| *line != format!("  {name}:"))
        .skip(1);
    lines
        .take_while(|line| line.is_empty() || line.starts_with("    ") || line.starts_with("  #"))
        .collect()
}

fn networks(name: &str) -> Vec<&'static str> {
    service(name)
        .iter()
        .find_map(|line| line.trim().strip_prefix("networks: [")?.strip_suffix(']'))
        .unwrap_or_else(|| panic!("{name} has no networks"))
        .split(", ")
        .collect()
}

#[test]
fn no_source_shares_a_network_with_the_reporting_side_or_another_source() {
    let sources = [networks("jfk-db"), networks("ewr-db")];
    for (number, source) in sources.iter().enumerate() {
        for other in ["consumer", "reports-db", "minio", "set-up"]
            .map(networks)
            .iter()
            .chain(&sources[number + 1..])
        {
            assert!(
                source.iter().all(|network| !other.contains(network)),
                "{source:?} {other:?}"
            );
        }
    }
    assert!(service("lga-db").contains(&"    network_mode: none"));
    for producer in ["jfk", "ewr", "lga"].map(networks) {
        for reporting in ["consumer", "reports-db"].map(networks) {
            assert!(
                producer.iter().all(|network| !reporting.contains(network)),
                "{producer:?} {reporting:?}"
            );
        }
    }
}

#[test]
fn images_are_pinned_and_ports_are_this_machine_s_only() {
    let values = |key: &str| -> Vec<&str> {
        COMPOSE
            .lines()
            .filter_map(|line| line.trim().strip_prefix(key))
            .collect()
    };
    let images = values("image: ");
    assert_eq!(images.len(), 5);
    for image in images {
        let (_, tag) = image.split_once(':').expect("a tag");
        assert!(
            tag.contains(|letter: char| letter.is_ascii_digit()),
            "{image}"
        );
    }
    let ports = values("ports: ");
    assert_eq!(ports.len(), 3);
    for port in ports
        .iter()
        .flat_map(|ports| ports.trim_matches(['[', ']']).split(", "))
    {
        assert!(port.starts_with("\"127.0.0.1:"), "{port}");
    }
}

/// What a stage of the Dockerfile begins with, and its lines.
fn stage(name: &str) -> (&'static str, Vec<&'static str>) {
    let mut lines = DOCKERFILE
        .lines()
        .skip_while(|line| !(line.starts_with("FROM ") && line.ends_with(&format!(" AS {name}"))));
    let from = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_else(|| panic!("no stage {name}"));
    let rest = lines.take_while(|line| !line.starts_with("FROM "));
    (from, rest.collect())
}

#[test]
fn each_program_s_image_holds_it_and_no_shell_and_does_not_run_as_root() {
    let (from, bare) = stage("bare");
    assert_eq!(from, "scratch");
    assert!(bare.contains(&"USER 65532:65532"), "{bare:?}");
    for program in ["consumer", "producer"] {
        let (from, lines) = stage(program);
        assert_eq!(from, "bare");
        let path = format!("/usr/local/bin/nightdrop-{program}");
        assert!(
            lines.contains(&format!("ENTRYPOINT [\"{path}\"]").as_str()),
            "{lines:?}"
        );
        for line in lines {
            assert!(
                !line.starts_with("USER") && !line.starts_with("RUN"),
                "{line}"
            );
        }
    }
}

#[test]
fn what_compose_builds_is_in_the_dockerfile() {
    let targets: Vec<&str> = COMPOSE
        .lines()
        .filter_map(|line| line.trim().strip_prefix("target: "))
        .collect();
    assert_eq!(targets, ["producer-by-cron", "sqlite", "consumer"]);
    for target in targets {
        stage(target);
    }
}
