//! A folder as the store. Its files are for their owner alone.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::store::{AcmeStore, StoreError, Stored};

/// A folder. What is one process's at a time is a locked file, which the system gives back when its process ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    locks: Arc<Mutex<HashMap<String, File>>>,
}

impl Folder {
    /// The folder at this path. It is made when something is kept there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), locks: Arc::default() }
    }

    /// Does what may block where no request waits for it.
    fn work<'a, T: Send + 'static>(&self, name: &str, work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static) -> Stored<'a, T> {
        let file = self.path.join(name);
        Box::pin(async move {
            let told = file.display().to_string();
            match tokio::task::spawn_blocking(move || work(&file)).await {
                Ok(outcome) => outcome.map_err(|error| StoreError(format!("{told}: {error}"))),
                Err(_) => Err(StoreError(format!("{told}: the thread has ended"))),
            }
        })
    }
}

impl AcmeStore for Folder {
    fn is_shared(&self) -> bool {
        false
    }

    fn load<'a>(&'a self, name: &'a str) -> Stored<'a, Option<Vec<u8>>> {
        self.work(name, |file| match fs::read(file) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn save<'a>(&'a self, name: &'a str, value: &'a [u8], _kept: Duration) -> Stored<'a, ()> {
        let value = value.to_vec();
        self.work(name, move |file| replace(file, &value))
    }

    fn lock<'a>(&'a self, name: &'a str, _term: Duration) -> Stored<'a, bool> {
        let (locks, key) = (Arc::clone(&self.locks), name.to_owned());
        let locking = self.work(&format!("{name}.lock"), move |file| {
            make_folder(file)?;
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(file)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(fs::TryLockError::WouldBlock) => Ok(None),
                Err(fs::TryLockError::Error(error)) => Err(error),
            }
        });
        Box::pin(async move {
            // Kept here and not by the thread: where nobody waits for it any more, the file is closed.
            let Some(file) = locking.await? else { return Ok(false) };
            locks.lock().unwrap_or_else(PoisonError::into_inner).insert(key, file);
            Ok(true)
        })
    }

    fn unlock<'a>(&'a self, name: &'a str, _pause: Duration) -> Stored<'a, ()> {
        // A file that is closed is locked no more.
        let file = self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        drop(file);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Puts a file in the place of another in one step, so that a crash leaves either.
fn replace(file: &Path, value: &[u8]) -> io::Result<()> {
    make_folder(file)?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // What a crash has left may be readable by others.
        _ => {}
    }
    let mut new = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
    new.write_all(value)?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

fn make_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) => fs::DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn keys_are_for_their_owner_alone_and_replaced_as_a_whole() {
        let place = tempfile::TempDir::new().unwrap();
        let folder = Folder::new(place.path().join("acme"));
        assert_eq!(folder.load("x/a.pem").await, Ok(None));
        for value in [&b"one"[..], b"two"] {
            folder.save("x/a.pem", value, Duration::ZERO).await.unwrap();
            assert_eq!(folder.load("x/a.pem").await.unwrap().as_deref(), Some(value));
        }
        let mode = |path: &str| fs::metadata(place.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode("acme"), mode("acme/x"), mode("acme/x/a.pem")], [0o700, 0o700, 0o600]);
        assert_eq!(fs::read_dir(place.path().join("acme/x")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[tokio::test]
    async fn a_lock_is_one_process_s_at_a_time() {
        let place = tempfile::TempDir::new().unwrap();
        let (one, other) = (Folder::new(place.path()), Folder::new(place.path()));
        let term = Duration::ZERO;
        assert_eq!([one.lock("a", term).await, other.lock("a", term).await, other.lock("b", term).await], [Ok(true), Ok(false), Ok(true)]);
        one.unlock("a", term).await.unwrap();
        assert_eq!(other.lock("a", term).await, Ok(true));
        drop(other);
        assert_eq!(one.lock("a", term).await, Ok(true), "the lock ends with its process");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let error = Folder::new("/dev/null/acme").save("a", b"", Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().starts_with("/dev/null/acme/a: "), "{error}");
    }
}
