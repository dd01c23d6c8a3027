//! The configuration that is in force, for people who look: each value with where it comes from, and every secret masked.
//!
//! ```text
//! the file ----> written ----+
//! config.toml -> defaults ---+--> in_force: section by section
//! environment, flags --------+
//! ```
//!
//! The shipped `config.toml` says the defaults, which a test compares with the model's.

mod in_force;

use serde::{Deserialize, Serialize};

pub(crate) use in_force::in_force;

/// All values in force, section by section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// The file, as the command line names it; `None` without one.
    pub file: Option<String>,
    /// Those that have defaults first, by their names; then those that only the file has.
    pub sections: Vec<Section>,
}

/// One table of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its header: `[server]`, `[upstreams.api]`, `[[routes]]`.
    pub name: String,
    /// The line of its header or first key; `None` where the file does not have it.
    pub line: Option<usize>,
    /// Its values, by their keys.
    pub values: Vec<Setting>,
}

/// One value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its key within the section: `ttl`, `query.sort`.
    pub key: String,
    /// As TOML. Secrets are masked.
    pub value: String,
    /// `file`, `default`, or the name of the variable or flag that says so.
    pub from: String,
    /// Where it stands in the file.
    pub line: Option<usize>,
    /// The section that it is inherited from.
    pub inherited: Option<String>,
}
