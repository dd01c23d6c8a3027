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
    /// Why the configuration was refused when it was last read; `None`: it was not.
    refusal: Option<String>,
}

/// Why the configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A signal asks for it, or a file has changed.
    Asked,
    /// It was refused: a file that it names, and which is not watched since nothing of a refused one is known, may be there by now.
    Again,
}

impl Source {
    /// The configuration that a command line names. To be made before its configuration is loaded.
    pub(crate) fn of(command: &cli::Serve) -> Self {
        Self { command: Some(command.clone()), file: command.file().map(ReadFile::now), named: Vec::new(), refusal: None }
    }

    /// A configuration that cannot change.
    pub(crate) fn fixed() -> Self {
        Self { command: None, file: None, named: Vec::new(), refusal: None }
    }

    /// The source to ask for a new configuration.
    pub(crate) fn command(&self) -> Option<&cli::Serve> {
        self.command.as_ref()
    }

    /// The configuration was read, and this is it: from now on the files that it names are watched too.
    pub(crate) fn follow(&mut self, config: &Config) {
        self.refusal = None;
        if self.command.is_some() {
            self.named = config.files().cloned().collect();
        }
    }

    /// Why the configuration has to be read now, if it has to.
    pub(crate) fn reading(&mut self) -> Option<Reading> {
        match self.has_changed() {
            true => Some(Reading::Asked),
            false => self.refusal.as_ref().map(|_| Reading::Again),
        }
    }

    /// The configuration was refused. Returns whether people have to be told, which they were if only the time has passed.
    pub(crate) fn refused(&mut self, why: String, reading: Reading) -> bool {
        let is_known = self.refusal.as_ref() == Some(&why);
        self.refusal = Some(why);
        reading == Reading::Asked || !is_known
    }

    /// Whether any of the files has changed since the last call. Their folders are watched, so most changes are of other files.
    fn has_changed(&mut self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_refused_configuration_is_read_again_and_told_again_only_where_it_says_something_else() {
        let mut source = Source::fixed();
        assert_eq!(source.reading(), None);
        assert!(source.refused("a file is missing".to_owned(), Reading::Asked));
        assert_eq!(source.reading(), Some(Reading::Again));
        assert!(!source.refused("a file is missing".to_owned(), Reading::Again));
        assert!(source.refused("a file is empty".to_owned(), Reading::Again));
        assert!(source.refused("a file is empty".to_owned(), Reading::Asked), "whoever asks is answered");
        let text = b"[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n";
        let (config, _) = config::parse("test.toml", text, &Default::default()).unwrap_or_else(|report| panic!("{report}"));
        source.follow(&config);
        assert_eq!(source.reading(), None);
    }
}
