//! Configurations of other caches, carried over to Larder's: text in, text out.
//!
//! ```text
//! nginx.conf --syntax--> directives --locations, upstreams, lifetimes--> routes and upstreams --output--> config.toml
//!                             |                     |
//!                             +------ notes --------+--> what could not be carried over, by file and line
//! ```
//!
//! What comes out is a beginning, to be read and completed: what has no equivalent is told in a note, and nothing is guessed that would store more
//! than the original did, or give clients what it refused them. `larder check` accepts it as it is.

mod nginx;

use std::fmt;

pub use nginx::{nginx, nginx_text};

/// A configuration that was carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text of a `config.toml`.
    pub config: String,
    /// What could not be carried over, in the order of the original.
    pub notes: Vec<Note>,
}

/// A line of the original that has no equivalent, or not the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file, as it was named.
    pub file: String,
    /// From 1 on.
    pub line: usize,
    /// What it is about, and what to do instead.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// A text that cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    /// The file, as it was named.
    pub file: String,
    /// From 1 on; `None` where it is about the file as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

impl std::error::Error for ImportError {}
