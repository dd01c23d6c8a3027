//! Files that a process leaves for the next one: JSON in `state_dir`.
//!
//! They are of use and nothing more: where one cannot be read or written, that is told, and nothing else changes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;

/// How often they are written.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// Bytes of a file that are read.
const MAX_FILE: u64 = 64 << 20;

/// The file of this name, if there is a folder for it.
pub(crate) fn path(config: &Config, name: &str) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let of_systemd = || std::env::split_paths(&variable("STATE_DIRECTORY")?).next();
    let of_user = || match variable("XDG_STATE_HOME") {
        Some(home) => Some(PathBuf::from(home).join("larder")),
        None => Some(PathBuf::from(variable("HOME")?).join(".local/state/larder")),
    };
    let folder = config.server.state_dir.clone().or_else(of_systemd).or_else(of_user)?;
    Some(folder.join(name))
}

/// What a file has.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Its form is not the one that is known.
pub(crate) fn of_version(version: u32) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("its form is of version {version}"))
}

/// Beside the old one first, so that there is a whole file at any time. Nobody else may read it.
pub(crate) fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(content)?)?;
        std::fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
