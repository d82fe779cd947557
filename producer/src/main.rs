//! `nightdrop-producer`: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    nightdrop_producer::cli::main()
}
