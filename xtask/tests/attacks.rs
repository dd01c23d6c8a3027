//! Each attack in `docs/security.md` has a test that there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All sources and scenarios below a folder.
fn tests_below(folder: &Path, sources: &mut String, scenarios: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_dir() && !path.ends_with("target") {
            tests_below(&path, sources, scenarios);
        } else if ending == "rs" {
            sources.push_str(&fs::read_to_string(&path).expect("a source"));
        } else if ending == "scn" {
            scenarios.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
}

#[test]
fn every_attack_has_a_test_that_exists() {
    let text = fs::read_to_string(root().join("docs/security.md")).expect("the document");
    let (mut sources, mut scenarios) = (String::new(), BTreeSet::new());
    ["crates", "tests"].iter().for_each(|folder| tests_below(&root().join(folder), &mut sources, &mut scenarios));
    let rows = text.lines().filter(|line| line.starts_with('|') && line.matches('|').count() == 4 && !line.starts_with("|---"));
    let mut attacks = 0;
    for row in rows.filter(|row| !row.ends_with("| test |")) {
        let cell = row.rsplit('|').nth(1).unwrap_or_default();
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            // Some tests are rows of a macro, `name: bytes => statuses`.
            let is_there =
                sources.contains(&format!("fn {name}(")) || sources.contains(&format!("    {name}:")) || scenarios.contains(name);
            assert!(is_there, "there is no test `{name}`");
        }
        attacks += 1;
    }
    assert!(attacks > 30, "only {attacks} attacks");
}
