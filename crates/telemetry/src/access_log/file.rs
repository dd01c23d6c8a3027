//! The file of the log.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a file for lines to be appended to. Where it is not there yet it is made, and others than its owner and its group cannot read it: a log
/// has addresses and targets of clients in it.
///
/// # Errors
/// As for any file.
pub fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}
