//! The source of the configuration, and the files that are watched for changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::warn;

use crate::cli;
use crate::config::{Config, ReadFile};

/// Where the configuration comes from, so that it can be read again.
pub(crate) struct Source {
    /// `None`: it is built in.
    command: Option<cli::Serve>,
    /// The file as it was before it was last read, so that no later change is missed.
    file: Option<ReadFile>,
    /// The files that it names, such as certificates.
    named: Vec<ReadFile>,
}

impl Source {
    /// The configuration that a command line names. To be made before its configuration is loaded.
    pub(crate) fn of(command: &cli::Serve) -> Self {
        Self { command: Some(command.clone()), file: command.file().map(ReadFile::now), named: Vec::new() }
    }

    /// A configuration that cannot change.
    pub(crate) fn fixed() -> Self {
        Self { command: None, file: None, named: Vec::new() }
    }

    /// The source to ask for a new configuration.
    pub(crate) fn command(&self) -> Option<&cli::Serve> {
        self.command.as_ref()
    }

    /// From now on the files that this configuration names are watched too.
    pub(crate) fn follow(&mut self, config: &Config) {
        if self.command.is_some() {
            self.named = config.files().cloned().collect();
        }
    }

    /// Whether any of the files has changed since the last call. Their folders are watched, so most changes are of other files.
    pub(crate) fn has_changed(&mut self) -> bool {
        let mut any = false;
        for file in self.file.iter_mut().chain(&mut self.named).filter(|file| file.has_changed()) {
            *file = ReadFile::now(file.path());
            any = true;
        }
        any
    }

    /// Watches the files' folders: a file that is replaced, as editors and Kubernetes do, is another file.
    pub(crate) fn watch(&self) -> Changes {
        let (changed, changes) = mpsc::channel(1);
        let folders: BTreeSet<PathBuf> = self.file.iter().chain(&self.named).map(|file| folder(file.path())).collect();
        if folders.is_empty() {
            return Changes { _watcher: None, folders, changes };
        }
        let watcher = notify::recommended_watcher(move |_| {
            // One change that waits stands for all of them.
            let _ = changed.try_send(());
        });
        let watcher = watcher.and_then(|mut watcher| {
            folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            warn!("the configuration's files are not watched ({error}); they are looked at once a minute, and on SIGHUP");
        }
        Changes { _watcher: watcher.ok(), folders, changes }
    }

    /// Whether these changes are of all the folders that matter now.
    pub(crate) fn is_watched_by(&self, changes: &Changes) -> bool {
        self.file.iter().chain(&self.named).all(|file| changes.folders.contains(&folder(file.path())))
    }
}

/// Changes in folders, for as long as it is kept.
pub(crate) struct Changes {
    _watcher: Option<notify::RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

impl Changes {
    /// Waits for one. `None` where nothing is watched.
    pub(crate) async fn next(&mut self) -> Option<()> {
        self.changes.recv().await
    }
}

fn folder(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
