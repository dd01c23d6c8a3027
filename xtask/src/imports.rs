//! `cargo xtask imports [CRATE…]`: draws which folders and files of a crate import which others.
//!
//! 1. [`source::code`] leaves out what is no code, and tests: those may import anything.
//! 2. [`paths::paths`] finds the paths in it, of `use` and of expressions.
//! 3. [`modules::Modules`] resolves them, through re-exports, to the modules where things are defined.
//! 4. [`circles::circles`] finds what imports itself by way of others.
//!
//! The tests keep the crates as the drawing shows them: no circle with a folder in it, no folder and no file that is too large.

mod circles;
mod modules;
mod paths;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use circles::{circles, in_order};
use modules::Modules;

use crate::run::root;

/// Modules at the root of a crate that the drawing leaves out, beside `lib.rs`: they hold together all that the folders work on, and call into the
/// folders as well.
const HUBS: [(&str, &[&str]); 1] = [("crates/layer", &["cache", "service"])];

/// Draws these crates, by the names of their folders, or else all of them.
pub(crate) fn run(chosen: &[String]) -> Result<(), String> {
    for folder in crates().map_err(|error| error.to_string())? {
        let name = folder.rsplit('/').next().unwrap_or(&folder).to_owned();
        if chosen.is_empty() || chosen.contains(&name) {
            let modules = read(&folder).map_err(|error| format!("{folder}: {error}"))?;
            print!("{}", drawing(&folder, &modules));
        }
    }
    Ok(())
}

/// The folders of all crates, from the workspace's root.
fn crates() -> io::Result<Vec<String>> {
    let entries = fs::read_dir(root().join("crates"))?;
    let mut folders: Vec<String> =
        entries.map(|entry| Ok(format!("crates/{}", entry?.file_name().display()))).collect::<io::Result<_>>()?;
    folders.sort();
    folders.extend(["tests", "benches", "xtask"].map(str::to_owned));
    Ok(folders)
}

fn read(folder: &str) -> io::Result<Modules> {
    let hubs = HUBS.iter().find(|(name, _)| *name == folder).map_or(&[][..], |(_, hubs)| hubs);
    let files = sources(&root().join(folder).join("src"))?;
    let files = files.into_iter().map(|(path, text)| (path, source::code(&text)));
    Ok(Modules::new(files.filter(|(path, _)| !hubs.iter().any(|hub| path.with_extension("").starts_with(hub)))))
}

/// The Rust files below a folder, by their paths in it, with their texts.
fn sources(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let (mut found, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(within) = open.pop() {
        for entry in fs::read_dir(folder.join(&within))? {
            let entry = entry?;
            let path = within.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                open.extend((entry.file_name() != "target").then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(entry.path())?;
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// One line for each folder or file that imports others beside it, those first that nothing imports.
fn drawing(name: &str, modules: &Modules) -> String {
    let mut text = format!("{name}\n");
    for (folder, edges) in modules.edges() {
        let of = if folder.is_empty() { "src".to_owned() } else { folder.join("/") };
        text.push_str(&format!("  {of}\n"));
        for node in in_order(&edges) {
            let imported: BTreeSet<&str> = edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| to.as_str()).collect();
            if !imported.is_empty() {
                let imported: Vec<&str> = imported.into_iter().collect();
                text.push_str(&format!("    {node} -> {}\n", imported.join(", ")));
            }
        }
        for circle in circles(&edges) {
            text.push_str(&format!("    circle: {}\n", circle.join(", ")));
        }
    }
    text
}
