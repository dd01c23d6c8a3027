//! Paths of files that are written.

use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;

/// The path of a file that is made where it is not there yet.
pub(crate) fn read(table: &mut Table<'_>, key: &'static str) -> Option<PathBuf> {
    let file = table.parse(key, "a path in quotes", |text| {
        let path = PathBuf::from(text);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() || !folder.is_dir() {
            return Err(Mistake::new(format!("no file can be at `{text}`"))
                .hint("its directory has to be there, and larder has to be able to write in it"));
        }
        Ok(path)
    });
    file.map(Spanned::into_inner)
}
