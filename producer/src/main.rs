//! `nightdrop-producer`: see the library's documentation.

use std::process::ExitCode;

use nightdrop_producer::cli::{self, Cli};
use nightdrop_runtime::{
    exit::{self, Code},
    telemetry,
};

fn main() -> ExitCode {
    exit::guard(|| {
        let cli: Cli = nightdrop_runtime::cli::parse();
        telemetry::init(cli.common.log_format, cli.common.verbose);
        match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime.block_on(cli::run(cli)),
            Err(error) => {
                tracing::error!("the system refuses a thread: {error}");
                Code::Software
            }
        }
    })
}
