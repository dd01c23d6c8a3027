//! What clients ask for most, kept over a restart: a file in `state_dir`, written every minute and at the end.
//!
//! It is of use and nothing more: where it cannot be read or written, that is told, and nothing else changes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::config::Config;
use crate::proxy::Gateway;
use crate::telemetry::observe::HotUrl;

/// How often it is written.
const EVERY: Duration = Duration::from_secs(60);

/// How many of those are an hour, after which requests from before count half.
const HOUR: u32 = 60;

/// Bytes of the file that are read.
const MAX_FILE: u64 = 64 << 20;

/// The form of the file.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    urls: Vec<HotUrl>,
}

/// The file, if there is a folder for it.
fn path(config: &Config) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let of_systemd = || std::env::split_paths(&variable("STATE_DIRECTORY")?).next();
    let of_user = || match variable("XDG_STATE_HOME") {
        Some(home) => Some(PathBuf::from(home).join("larder")),
        None => Some(PathBuf::from(variable("HOME")?).join(".local/state/larder")),
    };
    let folder = config.server.state_dir.clone().or_else(of_systemd).or_else(of_user)?;
    Some(folder.join("hot.json"))
}

/// Takes the list of an earlier process.
pub(super) fn restore(gateway: &Gateway) {
    let active = gateway.active.load_full();
    let Some(path) = path(&active.config).filter(|_| super::hot_wanted(&active.config).is_some()) else { return };
    match read(&path) {
        Ok(urls) => {
            info!(urls = urls.len(), "what clients asked for most is known from {}", path.display());
            gateway.observers.restore_hot(urls);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => warn!("what clients asked for most is not known: cannot read {}: {error}", path.display()),
    }
}

fn read(path: &Path) -> io::Result<Vec<HotUrl>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    let kept: Kept = serde_json::from_slice(&text)?;
    if kept.version != VERSION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("its form is of version {}", kept.version)));
    }
    Ok(kept.urls)
}

/// Writes it every minute, for as long as it is polled.
pub(crate) async fn keep(gateway: &std::sync::Arc<Gateway>) {
    let mut ticks = tokio::time::interval(EVERY);
    // The first one is now.
    ticks.tick().await;
    for minute in 1.. {
        ticks.tick().await;
        if minute % HOUR == 0 {
            gateway.observers.age_hot();
        }
        let gateway = std::sync::Arc::clone(gateway);
        // A disk may hold it up.
        let _ = tokio::task::spawn_blocking(move || save(&gateway)).await;
    }
}

/// Writes it, where a job needs it.
pub(crate) fn save(gateway: &Gateway) {
    let active = gateway.active.load_full();
    let Some(wanted) = super::hot_wanted(&active.config) else { return };
    let Some(path) = path(&active.config) else {
        warn!("what clients ask for most is not kept: there is no folder for it; `state_dir` in [server] names one");
        return;
    };
    if let Err(error) = write(&path, gateway.observers.hot(wanted)) {
        warn!("what clients ask for most is not kept: cannot write {}: {error}", path.display());
    }
}

/// Beside the old one first, so that there is a whole file at any time.
fn write(path: &Path, urls: Vec<HotUrl>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(&Kept { version: VERSION, urls })?)?;
        std::fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("larder-hot-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_was_written_is_read_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("written");
        let path = folder.join("a/hot.json");
        let urls = vec![HotUrl {
            url: "http://a.example/".to_owned(),
            requests: 7,
            keyed: vec![("x-tenant".to_owned(), "one".to_owned())],
            fields: vec![("accept".to_owned(), "x/y".to_owned())],
        }];
        write(&path, urls.clone()).expect("it can be written");
        write(&path, urls.clone()).expect("and written again");
        assert_eq!(read(&path).expect("it can be read"), urls);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.join("a")).expect("a folder").count(), 1, "nothing is left beside it");
        std::fs::remove_dir_all(folder).expect("ours");
    }

    #[test]
    fn a_damaged_file_and_one_of_another_version_are_errors_and_nothing_worse() {
        let folder = folder("damaged");
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("hot.json");
        for text in ["", "{", "[]", "{\"version\":1}", "{\"version\":2,\"urls\":[]}", "{\"version\":1,\"urls\":[{\"url\":7}]}"] {
            std::fs::write(&path, text).expect("a file");
            assert!(read(&path).is_err(), "{text}");
        }
        assert_eq!(read(&folder.join("none")).expect_err("nothing").kind(), io::ErrorKind::NotFound);
        std::fs::remove_dir_all(folder).expect("ours");
    }
}
