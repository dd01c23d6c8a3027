//! What clients ask for most, kept over a restart: a file in `state_dir`, written every minute and at the end.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::proxy::Gateway;
use crate::state_files::{self, EVERY, of_version};
use crate::telemetry::observe::HotUrl;

/// The name of the file.
const NAME: &str = "hot.json";

/// How many of those are an hour, after which requests from before count half.
const HOUR: u32 = 60;

/// The form of the file.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    version: u32,
    urls: Vec<HotUrl>,
}

/// Takes the list of an earlier process.
pub(super) fn restore(gateway: &Gateway) {
    let active = gateway.active.load_full();
    let Some(path) = state_files::path(&active.config, NAME).filter(|_| super::hot_wanted(&active.config).is_some()) else { return };
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
    let kept: Kept = state_files::read(path)?;
    if kept.version == VERSION { Ok(kept.urls) } else { Err(of_version(kept.version)) }
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
    let Some(path) = state_files::path(&active.config, NAME) else {
        warn!("what clients ask for most is not kept: there is no folder for it; `state_dir` in [server] names one");
        return;
    };
    if let Err(error) = write(&path, gateway.observers.hot(wanted)) {
        warn!("what clients ask for most is not kept: cannot write {}: {error}", path.display());
    }
}

fn write(path: &Path, urls: Vec<HotUrl>) -> io::Result<()> {
    state_files::write(path, &Kept { version: VERSION, urls })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
