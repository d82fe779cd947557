//! `nightdrop-consumer`.

fn main() -> std::process::ExitCode {
    nightdrop_consumer::cli::main()
}
