//! What is packed: the binary, the tree of files around it, and when it was made. The Debian package and the image are made of these.

pub(crate) mod binary;
pub(crate) mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{build_folder, cargo, output, root, succeed};

/// The folder of all builds.
pub(crate) fn target() -> Result<PathBuf, String> {
    build_folder()?.parent().map(Path::to_owned).ok_or_else(|| "the build folder has no parent".to_owned())
}

/// The binary that was given, or the release binary, which is built.
pub(crate) fn built(given: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(binary) = given {
        return fs::canonicalize(binary).map_err(|error| format!("{}: {error}", binary.display()));
    }
    succeed(&mut cargo(&["build", "--release", "--locked", "--package", "larder"]))?;
    Ok(target()?.join("release/larder"))
}

/// Seconds that stand for the time of the build, so that two builds of one commit are one: SOURCE_DATE_EPOCH, or the commit's own.
pub(crate) fn epoch() -> Result<String, String> {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    given
        .map_or_else(|| output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root())), Ok)
        .map(|text| text.trim().to_owned())
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}
