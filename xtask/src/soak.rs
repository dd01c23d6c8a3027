//! `cargo xtask soak [--release] [--minutes N] [--seed N]`: builds everything, and runs the soak of `tests`: two replicas, all that may fail, and the checker.

use crate::needs;
use crate::run::{build_folder, cargo, succeed};
use std::process::Command;

/// Runs the soak with these arguments. Its report goes to standard output.
///
/// # Errors
/// If something cannot be built or started, or a promise was broken.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    // As `cargo xtask test` builds it, so that whichever comes second finds it built.
    succeed(&mut cargo(&["build", "--workspace", "--all-targets"]))?;
    let (flags, arguments): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|argument| *argument == "--release");
    let folder = build_folder()?;
    let binary = match flags.is_empty() {
        true => folder.join("larder"),
        false => {
            succeed(&mut cargo(&["build", "--release", "--package", "larder"]))?;
            folder.with_file_name("release").join("larder")
        }
    };
    needs::provide(needs::SOAK)?;
    succeed(Command::new(folder.join("larder-soak")).args(arguments).env("LARDER_BIN", binary))
}
