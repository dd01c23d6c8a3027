//! What a terminal is asked for.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The file that every command reads by default.
const DEFAULT_FILE: &str = "config.toml";

/// Answers that are not what was asked for, before it is given up.
const ATTEMPTS: usize = 3;

/// The URL of the backend.
pub(super) fn upstream() -> Result<String, String> {
    if !std::io::stdin().is_terminal() {
        return Err(
            "no backend was named, and there is no terminal to ask on\n  hint: larder init --upstream http://127.0.0.1:3000".to_owned()
        );
    }
    for _ in 0..ATTEMPTS {
        let answer = ask("URL of the backend, like http://127.0.0.1:3000: ")?;
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
    Err("no backend was named".to_owned())
}

/// The file to write. `None`: standard output, since nobody is there to ask, or it leads somewhere.
pub(super) fn file() -> Result<Option<PathBuf>, String> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(None);
    }
    for _ in 0..ATTEMPTS {
        let answer = ask(&format!("File to write [{DEFAULT_FILE}]: "))?;
        let file = PathBuf::from(if answer.is_empty() { DEFAULT_FILE } else { &answer });
        match super::free(Path::new(&file)) {
            Ok(()) => return Ok(Some(file)),
            Err(sentence) => eprintln!("{sentence}"),
        }
    }
    Err("no file was named that could be written".to_owned())
}

/// A line from the terminal. Standard output is for the configuration.
fn ask(question: &str) -> Result<String, String> {
    let _ = write!(std::io::stderr(), "{question}");
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(0) => Err("nothing was answered".to_owned()),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(format!("the answer cannot be read: {error}")),
    }
}
