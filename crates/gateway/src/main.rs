//! The `larder` binary.

fn main() -> std::process::ExitCode {
    larder::main()
}
