//! The `larder` binary.

/// musl's allocator has one lock for all threads, which every miss would wait for.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    larder::main()
}
