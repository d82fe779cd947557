//! `nightdrop-consumer`.

fn main() -> std::process::ExitCode {
    nightdrop_consumer::allocator::give_back();
    nightdrop_consumer::cli::main()
}
