//! `nightdrop-consumer` for tests: `FAILPOINTS="load: committed=return"` ends it right there.

use std::process::ExitCode;

fn main() -> ExitCode {
    nightdrop_consumer::allocator::give_back();
    let scenario = fail::FailScenario::setup();
    let code = nightdrop_consumer::cli::main();
    scenario.teardown();
    code
}
