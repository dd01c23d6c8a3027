//! What models have cost and stored answers have saved, kept over a restart: a file in `state_dir`.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::proxy::Gateway;
use crate::spending::KeptSpending;
use crate::state_files::{self, of_version};

/// The name of the file.
const NAME: &str = "spending.json";

/// The form of the file.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    spending: KeptSpending,
}

/// Takes what an earlier process has left.
pub(super) fn restore(gateway: &Gateway) {
    let active = gateway.active.load_full();
    let Some(path) = state_files::path(&active.config, NAME) else { return };
    match read(&path) {
        Ok(kept) => {
            let rows = active.spending.restore(&kept);
            info!(rows, "what models have cost and saved is known from {}", path.display());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => warn!("what models cost and save is counted anew: cannot read {}: {error}", path.display()),
    }
}

/// Writes it, where there is something.
pub(super) fn save(gateway: &Gateway) {
    let active = gateway.active.load_full();
    let Some(spending) = active.spending.kept() else { return };
    let Some(path) = state_files::path(&active.config, NAME) else {
        warn!("what models cost and save is not kept: there is no folder for it; `state_dir` in [server] names one");
        return;
    };
    if let Err(error) = state_files::write(&path, &Kept { version: VERSION, spending }) {
        warn!("what models cost and save is not kept: cannot write {}: {error}", path.display());
    }
}

fn read(path: &Path) -> io::Result<KeptSpending> {
    let kept: Kept = state_files::read(path)?;
    if kept.version == VERSION { Ok(kept.spending) } else { Err(of_version(kept.version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_and_one_of_another_version_are_errors_and_nothing_worse() {
        let folder = std::env::temp_dir().join(format!("larder-spending-{}", std::process::id()));
        let path = folder.join(NAME);
        state_files::write(&path, &Kept { version: VERSION, ..Kept::default() }).expect("it can be written");
        assert!(read(&path).is_ok());
        for text in ["", "[]", "{\"version\":2,\"spending\":{\"day_ends_at\":0,\"month_ends_at\":0,\"rows\":[]}}", "{\"version\":1}"] {
            std::fs::write(&path, text).expect("a file");
            assert!(read(&path).is_err(), "{text}");
        }
        std::fs::remove_dir_all(folder).expect("ours");
    }
}
