//! Files of tests beside a configuration.

use std::path::{Path, PathBuf};

use crate::config::{self, Config, Report, TestFile};

/// The end of their names.
const ENDING: &str = ".larder-test.toml";

/// The files of tests in the folder of a configuration, by name.
pub(crate) fn beside(config: &Path) -> Vec<PathBuf> {
    let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_tests = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ENDING));
    // A folder that cannot be listed has none: the configuration in it was read.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_tests).collect();
    files.sort();
    // As people write it: `a.larder-test.toml` and not `./a.larder-test.toml`.
    files.into_iter().map(|file| file.strip_prefix("./").map(Path::to_owned).unwrap_or(file)).collect()
}

/// Reads all of them, with everything that is wrong in any.
pub(crate) fn load(files: &[PathBuf], config: &Config) -> Result<Vec<TestFile>, Vec<Report>> {
    let (mut read, mut wrong) = (Vec::new(), Vec::new());
    for file in files {
        match config::load_tests(file, config) {
            Ok(tests) => read.push(tests),
            Err(report) => wrong.push(report),
        }
    }
    if wrong.is_empty() { Ok(read) } else { Err(wrong) }
}
