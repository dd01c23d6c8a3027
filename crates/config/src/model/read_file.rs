//! Files that a configuration was read from.

use std::path::{Path, PathBuf};

/// Larger files are not read: what Larder reads is small.
const MAX_FILE: u64 = 1 << 20;

/// A file as it was when it was read, to tell later whether it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFile {
    path: PathBuf,
    /// `None`: it could not be read.
    hash: Option<blake3::Hash>,
}

impl ReadFile {
    /// The file as it is now. To be called before it is read: a change in between is then seen as one that came later.
    pub fn now(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let hash = hash(&path);
        Self { path, hash }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is another than it was.
    pub fn has_changed(&self) -> bool {
        hash(&self.path) != self.hash
    }
}

fn hash(path: &Path) -> Option<blake3::Hash> {
    // A pipe would be waited for, and a device may have no end.
    let metadata = std::fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= MAX_FILE).then(|| std::fs::read(path).ok()).flatten().map(|content| blake3::hash(&content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_by_its_content() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a");
        let missing = ReadFile::now(&path);
        assert!(!missing.has_changed());
        std::fs::write(&path, "1").unwrap();
        assert!(missing.has_changed());
        let one = ReadFile::now(&path);
        std::fs::write(&path, "1").unwrap();
        assert!(!one.has_changed(), "only its time has");
        std::fs::write(&path, "2").unwrap();
        assert!(one.has_changed());
        assert!(!ReadFile::now("/dev/zero").has_changed());
    }
}
