//! The `larder` binary.

/// A hit allocates and frees a dozen times; the figures beside the system's allocator are in docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    larder::main()
}
