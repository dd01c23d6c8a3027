//! What clients have used of quotas, kept over a restart: a file in `state_dir`.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::limits::KeptLimit;
use crate::proxy::Gateway;
use crate::state_files::{self, of_version};

/// The name of the file.
const NAME: &str = "quotas.json";

/// The form of the file.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    limits: Vec<KeptLimit>,
}

/// Takes what an earlier process has left.
pub(super) fn restore(gateway: &Gateway) {
    let active = gateway.active.load_full();
    let Some(path) = state_files::path(&active.config, NAME).filter(|_| active.limits.has_own_quotas()) else { return };
    match read(&path) {
        Ok(kept) => {
            let clients: usize = kept.iter().map(|limit| active.limits.restore(limit)).sum();
            info!(clients, "what clients have used of quotas is known from {}", path.display());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => warn!("quotas begin anew: cannot read {}: {error}", path.display()),
    }
}

/// Writes it, where there are such quotas.
pub(super) fn save(gateway: &Gateway) {
    let active = gateway.active.load_full();
    let limits = active.limits.kept();
    if limits.is_empty() {
        return;
    }
    let Some(path) = state_files::path(&active.config, NAME) else {
        warn!("what clients use of quotas is not kept: there is no folder for it; `state_dir` in [server] names one");
        return;
    };
    if let Err(error) = state_files::write(&path, &Kept { version: VERSION, limits }) {
        warn!("what clients use of quotas is not kept: cannot write {}: {error}", path.display());
    }
}

fn read(path: &Path) -> io::Result<Vec<KeptLimit>> {
    let kept: Kept = state_files::read(path)?;
    if kept.version == VERSION { Ok(kept.limits) } else { Err(of_version(kept.version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_and_one_of_another_version_are_errors_and_nothing_worse() {
        let folder = std::env::temp_dir().join(format!("larder-quotas-{}", std::process::id()));
        let path = folder.join(NAME);
        state_files::write(&path, &Kept { version: VERSION, limits: Vec::new() }).expect("it can be written");
        assert!(read(&path).expect("it can be read").is_empty());
        for text in ["", "[]", "{\"version\":2,\"limits\":[]}", "{\"version\":1,\"limits\":[{\"name\":7}]}"] {
            std::fs::write(&path, text).expect("a file");
            assert!(read(&path).is_err(), "{text}");
        }
        std::fs::remove_dir_all(folder).expect("ours");
    }
}
