//! What `stack` prints works as it is printed, and neither it nor the demo starts anything when asked for help.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nightdrop_compose::binary;

#[test]
fn help_is_printed_and_nothing_is_started() -> Result<()> {
    for program in [env!("CARGO_BIN_EXE_stack"), env!("CARGO_BIN_EXE_demo")] {
        let output = Command::new(program).arg("--help").output()?;
        ensure!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout)?;
        ensure!(said.contains("Usage: "), "{said}");
        ensure!(!said.contains("127.0.0.1:"), "{said}");
    }
    Ok(())
}

#[test]
fn the_printed_files_take_a_result_from_its_source_to_the_reports() -> Result<()> {
    let mut stack = Command::new(env!("CARGO_BIN_EXE_stack"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    for line in BufReader::new(stack.stdout.take().context("piped")?).lines() {
        let line = line?;
        if line.starts_with("Press Ctrl-D") {
            break;
        }
        said += &line;
        said.push('\n');
    }
    for (program, words, answer) in [
        ("nightdrop-producer", "run greeting", "greeting: 1 row"),
        ("nightdrop-consumer", "once", "1 result loaded, 1 row"),
    ] {
        let typed = said
            .lines()
            .find_map(|line| {
                line.trim()
                    .strip_prefix(&format!("cargo run --bin {program} -- "))
            })
            .with_context(|| said.clone())?;
        ensure!(typed.ends_with(words), "{typed}");
        let output = Command::new(binary(program)?)
            .args(typed.split(' '))
            .output()?;
        ensure!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout)?;
        ensure!(said.contains(answer), "{said}");
    }
    drop(stack.stdin.take());
    ensure!(stack.wait()?.success());
    Ok(())
}
