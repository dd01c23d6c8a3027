//! The folder that becomes the package.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::succeed;

pub(crate) struct Tree(PathBuf);

impl Tree {
    /// An empty one there.
    pub(crate) fn create(folder: PathBuf) -> Result<Self, String> {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let tree = Self(folder);
        tree.permit(&tree.0, 0o755)?;
        Ok(tree)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, path: &str, text: &str, mode: u32) -> Result<(), String> {
        let file = self.place(path)?;
        fs::write(&file, text).map_err(failed(&file))?;
        self.permit(&file, mode)
    }

    pub(crate) fn copy(&self, from: &Path, path: &str, mode: u32) -> Result<(), String> {
        let file = self.place(path)?;
        fs::copy(from, &file).map_err(failed(from))?;
        self.permit(&file, mode)
    }

    /// As `path` with `.gz`, without a name and a time in it.
    pub(crate) fn compressed(&self, path: &str, text: &str) -> Result<(), String> {
        self.write(path, text, 0o644)?;
        succeed(Command::new("gzip").args(["-9n", path]).current_dir(&self.0))
    }

    /// Of all files in it.
    pub(crate) fn bytes(&self) -> Result<u64, String> {
        let (mut bytes, mut folders) = (0, vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
                let entry = entry.map_err(failed(&folder))?;
                let facts = entry.metadata().map_err(failed(&folder))?;
                if facts.is_dir() { folders.push(entry.path()) } else { bytes += facts.len() }
            }
        }
        Ok(bytes)
    }

    /// An empty folder; where it is.
    pub(crate) fn directory(&self, path: &str, mode: u32) -> Result<PathBuf, String> {
        let folder = self.folders(Path::new(path))?;
        self.permit(&folder, mode)?;
        Ok(folder)
    }

    fn place(&self, path: &str) -> Result<PathBuf, String> {
        self.folders(Path::new(path).parent().unwrap_or(Path::new("")))?;
        Ok(self.0.join(path))
    }

    /// Folders are for everybody to read, whatever the builder's umask is.
    fn folders(&self, path: &Path) -> Result<PathBuf, String> {
        let mut folder = self.0.clone();
        for part in path.components() {
            folder.push(part);
            if !folder.is_dir() {
                fs::create_dir(&folder).map_err(failed(&folder))?;
                self.permit(&folder, 0o755)?;
            }
        }
        Ok(folder)
    }

    fn permit(&self, file: &Path, mode: u32) -> Result<(), String> {
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).map_err(failed(file))
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}
