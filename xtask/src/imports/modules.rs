//! The modules of one crate, and what they import from each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::paths::{Path, paths};

/// The names from the crate's root down.
type ModulePath = Vec<String>;

/// Which of the folders and files in one folder imports which other.
pub(super) type Edges = BTreeSet<(String, String)>;

/// Re-exports lead on to others, and none of them in a circle.
const MAX_REEXPORTS: usize = 8;

/// The modules of one crate.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// The imports of each of them, from the crate's root. A module whose file is left out imports nothing.
    imports: BTreeMap<ModulePath, Vec<ModulePath>>,
    /// The names that each of them re-exports, as that is reached through it.
    names: BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
    /// Those with others below them.
    folders: BTreeSet<ModulePath>,
}

impl Modules {
    /// From the files below `src`, by their paths, and their code.
    pub(super) fn new(files: impl Iterator<Item = (PathBuf, String)>) -> Self {
        let mut modules = Self::default();
        let mut found: BTreeMap<ModulePath, Vec<Path>> = BTreeMap::new();
        for (path, code) in files {
            let mut module: ModulePath = path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
            module.pop_if(|last| matches!(last.as_str(), "lib" | "main" | "mod"));
            if module.iter().any(|part| part == "tests" || part.ends_with("_tests")) {
                continue;
            }
            modules.folders.extend((0..module.len()).map(|length| module[..length].to_vec()));
            found.entry(module).or_default().extend(paths(&code));
        }
        modules.imports = found.keys().map(|module| (module.clone(), Vec::new())).collect();
        for (module, paths) in found {
            for Path { segments, name } in paths {
                let Some(target) = modules.absolute(&module, &segments) else { continue };
                if let Some(name) = name {
                    modules.names.entry(module.clone()).or_default().insert(name, target.clone());
                }
                modules.imports.entry(module.clone()).or_default().push(target);
            }
        }
        modules
    }

    /// For each folder, which of the folders (`name/`) and files in it imports which other. What stands in the folder's own file is none of them.
    pub(super) fn edges(&self) -> BTreeMap<ModulePath, Edges> {
        let mut edges: BTreeMap<ModulePath, Edges> = BTreeMap::new();
        for (module, targets) in &self.imports {
            for target in targets {
                let target = self.resolved(target, MAX_REEXPORTS);
                let shared = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
                if module.len() > shared && target.len() > shared {
                    let edge = (self.node(&module[..=shared]), self.node(&target[..=shared]));
                    edges.entry(module[..shared].to_vec()).or_default().insert(edge);
                }
            }
        }
        edges
    }

    fn node(&self, module: &[String]) -> String {
        let name = module.last().cloned().unwrap_or_default();
        if self.folders.contains(module) { name + "/" } else { name }
    }

    /// The path that `module` writes so, from the root; `None` if it leads to another crate.
    fn absolute(&self, module: &[String], segments: &[String]) -> Option<ModulePath> {
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let above = 1 + rest.iter().take_while(|segment| *segment == "super").count();
                Some([&module[..module.len().checked_sub(above)?], &rest[above - 1..]].concat())
            }
            _ => {
                let below = [module, segments].concat();
                self.is_module(&below[..=module.len()]).then_some(below)
            }
        }
    }

    fn is_module(&self, path: &[String]) -> bool {
        self.imports.contains_key(path) || self.folders.contains(path)
    }

    /// The module that a path ends in, where the thing is defined that it names.
    fn resolved(&self, path: &[String], reexports: usize) -> ModulePath {
        for length in 1..=path.len() {
            if self.is_module(&path[..length]) {
                continue;
            }
            let (module, name) = (&path[..length - 1], &path[length - 1]);
            return match self.names.get(module).and_then(|names| names.get(name)) {
                Some(target) if reexports > 0 && target != path => self.resolved(&[target, &path[length..]].concat(), reexports - 1),
                _ => module.to_vec(),
            };
        }
        path.to_vec()
    }
}
