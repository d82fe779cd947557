//! The pages that are made from the programs agree with them: `docs/configuration.md` with the types that
//! configurations are read into, `docs/commands.md`, completions and man pages with the command lines.
//!
//! `NIGHTDROP_WRITE_DOCS=1 cargo test --test reference` writes the pages anew.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "in a test, a panic is the report, and its name says what it shows"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;
use nightdrop_runtime::pages;

fn unbuilt() -> [Command; 2] {
    [
        nightdrop_producer::cli::Cli::command(),
        nightdrop_consumer::cli::Cli::command(),
    ]
}

/// With the flags of all verbs in each of them.
fn programs() -> [Command; 2] {
    unbuilt().map(|mut program| {
        program.build();
        program
    })
}

/// A program and all its verbs, those inside others too.
fn all(command: &Command) -> Vec<&Command> {
    let inside = command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help");
    std::iter::once(command)
        .chain(inside.flat_map(all))
        .collect()
}

fn flags(command: &Command) -> Vec<&str> {
    command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .collect()
}

/// Holds a page against what it should be, or writes it.
fn agrees(page: &str, should: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    if std::env::var_os("NIGHTDROP_WRITE_DOCS").is_some() {
        std::fs::write(path, should).unwrap();
        return;
    }
    let is = std::fs::read_to_string(path).unwrap();
    let differs = is
        .lines()
        .zip(should.lines())
        .position(|(is, should)| is != should);
    assert!(
        is == should,
        "docs/{page} differs from the programs, from line {:?} on; NIGHTDROP_WRITE_DOCS=1 cargo test -p nightdrop-tests --test reference writes it anew",
        differs.map(|line| line + 1)
    );
}

#[test]
fn the_reference_of_configurations_agrees_with_their_types() {
    let producer = nightdrop_producer::config::reference().markdown();
    let consumer = nightdrop_consumer::config::reference().markdown();
    let page = format!(
        "# Configuration\n\n\
         Made from the types that the files are read into, and held against them by a test. Names in capitals are \
         yours. Secrets are never in a file: `\"env:NAME\"` or `\"file:/path\"` says where they are, and they are read \
         again when they are needed. A key that nobody knows is an error that names its line.\n\n\
         ## A producer's file\n{producer}\n\
         ## The consumer's file\n{consumer}"
    );
    for key in [
        "state_dir",
        "put_for",
        "delete_after",
        "clock_skew",
        "primary_key",
    ] {
        assert!(page.contains(&format!("\n| `{key}` | ")), "{key}");
    }
    agrees("configuration.md", &page);
}

#[test]
fn each_key_says_what_it_means_and_help_shows_it() {
    for (program, reference) in [
        (
            "nightdrop-producer",
            nightdrop_producer::config::reference(),
        ),
        (
            "nightdrop-consumer",
            nightdrop_consumer::config::reference(),
        ),
    ] {
        for line in reference
            .markdown()
            .lines()
            .filter(|line| line.starts_with("| `"))
        {
            let cells: Vec<&str> = line.split(" | ").collect();
            assert!(cells.len() >= 4 && !cells[1].is_empty(), "{line}");
            assert!(
                cells[cells.len() - 1].trim_end_matches(" |").len() > 3,
                "{line}"
            );
        }
        let mut command = programs()
            .into_iter()
            .find(|known| known.get_name() == program)
            .unwrap();
        let help = command.render_long_help().to_string();
        assert!(help.contains(reference.to_string().trim()), "{help}");
    }
}

#[test]
fn the_page_of_commands_agrees_with_the_programs() {
    let mut page = "# Commands\n\n\
        Made from the programs, and held against them by a test. `nightdrop-producer completions bash` prints completions \
        (also for elvish, fish, powershell and zsh), `nightdrop-producer man FOLDER` writes man pages; so does the \
        consumer.\n"
        .to_owned();
    for program in programs() {
        for command in all(&program) {
            let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
            let mut command = command.clone().after_help("").after_long_help("");
            let help = command.render_help().to_string();
            let level = if command.has_subcommands() {
                "##"
            } else {
                "###"
            };
            write!(page, "\n{level} {name}\n\n```text\n{}\n```\n", help.trim()).unwrap();
        }
    }
    agrees("commands.md", &page);
}

#[test]
fn each_verb_and_flag_is_in_the_completions_of_every_shell() {
    for (unbuilt, program) in unbuilt().into_iter().zip(programs()) {
        for shell in Shell::value_variants() {
            let text = String::from_utf8(pages::completions(unbuilt.clone(), *shell)).unwrap();
            for command in all(&program) {
                assert!(
                    text.contains(command.get_name()),
                    "{shell}: {}",
                    command.get_name()
                );
                for flag in flags(command) {
                    assert!(
                        text.contains(flag),
                        "{shell}: {} --{flag}",
                        command.get_name()
                    );
                }
            }
        }
    }
}

/// What a bash that has read the completions offers for the last of these words.
fn offered(program: &Command, words: &[&str]) -> Vec<String> {
    let script = pages::completions(program.clone(), Shell::Bash);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("completions");
    std::fs::write(&path, script).unwrap();
    let ended = std::process::Command::new("bash")
        .args(["--norc", "-c"])
        .arg(
            "set -e; source \"$1\"; shift; [[ $(complete -p $1) =~ -F\\ ([^ ]+) ]]; \
             COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1)); \
             ${BASH_REMATCH[1]} \"$1\" \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"",
        )
        .arg("bash")
        .arg(&path)
        .arg(program.get_name())
        .args(words)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{words:?}: {ended:?}");
    let said = String::from_utf8(ended.stdout).unwrap();
    said.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_what_stands_behind_a_verb() {
    let [producer, consumer] = unbuilt();
    assert_eq!(offered(&producer, &["dra"]), ["drain"]);
    assert_eq!(offered(&producer, &["run", "--al"]), ["--all"]);
    let all = offered(&producer, &["run", ""]);
    assert!(all.contains(&"--dry-run".to_owned()), "{all:?}");
    assert_eq!(offered(&consumer, &["parked", "dr"]), ["drop"]);
    assert_eq!(
        offered(&consumer, &["parked", "drop", "--reas"]),
        ["--reason"]
    );
}

#[test]
fn each_verb_has_a_man_page_with_all_its_flags() {
    for (unbuilt, program) in unbuilt().into_iter().zip(programs()) {
        let folder = tempfile::tempdir().unwrap();
        pages::man(unbuilt, folder.path()).unwrap();
        for command in all(&program) {
            let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
            let path = folder
                .path()
                .join(name.replace(' ', "-"))
                .with_extension("1");
            let page = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for flag in flags(command) {
                let flag = flag.replace('-', "\\-");
                assert!(page.contains(&flag), "{name}: {flag}");
            }
            for section in ["EXIT STATUS", "ENVIRONMENT", "NIGHTDROP_CONFIG"] {
                assert!(page.contains(section), "{name}: {section}");
            }
        }
    }
}

/// What stands behind a program's name where code begins with it, past its configuration.
fn verb_after(text: &str, at: usize, program: &str) -> Option<String> {
    let before = text[..at].chars().next_back();
    let rest = text[at..].strip_prefix(program)?.strip_prefix(' ')?;
    if !matches!(before, None | Some('`' | '\n')) {
        return None;
    }
    let mut words = rest.split(['\n', '`']).next()?.split_whitespace();
    match words.next()? {
        "-c" => words.nth(1),
        word => Some(word),
    }
    .map(|word| word.trim_end_matches(['.', ',', ';', ':']).to_owned())
}

#[test]
fn every_verb_that_a_page_names_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut seen = BTreeSet::new();
    for page in [
        "README.md",
        "docs/operations.md",
        "docs/jobs.md",
        "docs/restore.md",
    ] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for program in programs() {
            let name = program.get_name();
            for (at, _) in text.match_indices(name) {
                let Some(verb) = verb_after(&text, at, name) else {
                    continue;
                };
                let known = program
                    .get_subcommands()
                    .any(|known| known.get_name() == verb);
                assert!(known || verb.starts_with('-'), "{page}: {name} {verb}");
                seen.insert(format!("{name} {verb}"));
            }
        }
    }
    for verb in [
        "nightdrop-producer run",
        "nightdrop-producer doctor",
        "nightdrop-consumer doctor",
        "nightdrop-consumer status",
    ] {
        assert!(seen.contains(verb), "{verb} is on no page: {seen:?}");
    }
}
