//! `nightdrop-producer` for tests: `FAILPOINTS="entry: renamed=return"` ends it right there.

use std::process::ExitCode;

fn main() -> ExitCode {
    let scenario = fail::FailScenario::setup();
    let code = nightdrop_producer::cli::main();
    scenario.teardown();
    code
}
