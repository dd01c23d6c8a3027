//! The folders of this crate import each other one way.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom to the top: a folder may import those before it.
const FOLDERS: [&str; 10] = ["error", "task", "json", "rules", "body", "lookup", "tiers", "collapse", "fetch", "write"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn a_folder_imports_only_folders_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (place, folder) in FOLDERS.iter().enumerate() {
        let files = sources(&src.join(folder));
        assert!(files.len() > 2, "{folder} holds {} files", files.len());
        for file in files {
            let text = fs::read_to_string(&file).expect("a source");
            for above in &FOLDERS[place + 1..] {
                assert!(!text.contains(&format!("crate::{above}::")), "{} imports {above}", file.display());
            }
        }
    }
}
