//! The workflows and forms in `.github`: they parse, and what their commands name is in the tree.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use larder_testkit::{Error, Result};
use serde_json::Value;

use super::kubernetes::files;
use super::{read, root};

/// Every YAML file of `.github` by its path, as JSON.
fn documents() -> Result<Vec<(String, Value)>> {
    let parsed = |path: String| {
        let value = serde_saphyr::from_str(&read(&path)?).map_err(|error| Error::new(format!("{path}: {error}")))?;
        Ok((path, value))
    };
    files(".github")?.into_iter().filter(|path| path.ends_with(".yml")).map(parsed).collect()
}

fn workflows() -> Result<Vec<(String, Value)>> {
    Ok(documents()?.into_iter().filter(|(path, _)| path.starts_with(".github/workflows/")).collect())
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[test]
fn workflows_may_do_no_more_than_they_say_and_jobs_wait_for_jobs_that_exist() -> Result<()> {
    for (path, workflow) in workflows()? {
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{path}: more belongs to the jobs that need it");
        for (name, job) in members(&workflow["jobs"]) {
            for needed in items(&job["needs"]).filter_map(Value::as_str) {
                assert!(workflow["jobs"].get(needed).is_some(), "{path}: {name} waits for {needed}");
            }
            if let Some(called) = job["uses"].as_str() {
                assert!(root().join(called).is_file(), "{path}: {name} calls {called}");
                continue;
            }
            assert!(job["runs-on"].is_string() && job["steps"].is_array(), "{path}: {name} runs nowhere");
            if let Some(container) = job["container"].as_str() {
                assert_eq!(container, format!("rust:{}-bookworm", super::rust_version()?), "{path}: {name}");
            }
            for step in items(&job["steps"]) {
                let action = step["uses"].as_str();
                assert!(action.is_some() != step["run"].is_string(), "{path}: {name}: a step runs or uses: {step}");
                assert!(action.is_none_or(|action| action.contains("@v")), "{path}: {name}: {action:?} names no version");
            }
        }
    }
    Ok(())
}

/// Subcommands that cargo has itself; the others have to be installed by the job that runs them.
const CARGO: &[&str] = &["build", "install", "publish", "xtask"];

/// Begins like a path in the repository.
fn is_path(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    let there = first == ".ci" || ["crates", "deploy", "tests", "docs"].contains(&first);
    there && word.contains('/') && !word.contains(['$', '*'])
}

#[test]
fn what_the_workflows_run_is_in_the_tree() -> Result<()> {
    let mut tasks = 0;
    let made: BTreeSet<&str> = ["crates/gateway/larder.json"].into();
    for (path, workflow) in workflows()? {
        for (name, job) in members(&workflow["jobs"]) {
            let mut installed = BTreeSet::new();
            for line in items(&job["steps"]).filter_map(|step| step["run"].as_str()).flat_map(str::lines) {
                let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '(', ')'])).collect();
                for word in words.iter().filter(|word| is_path(word) && !made.contains(*word)) {
                    assert!(root().join(word).exists(), "{path}: {name}: {word} is not in the tree");
                }
                for pair in words.windows(2) {
                    match pair {
                        ["--package", package] => assert!(is_package(package)?, "{path}: {name}: no package {package}"),
                        ["install", tool] if words.first() == Some(&"cargo") => {
                            installed.insert((*tool).to_owned());
                        }
                        ["xtask", task] => {
                            assert!(read("xtask/src/main.rs")?.contains(&format!("Some(\"{task}\")")), "no cargo xtask {task}");
                            tasks += 1;
                        }
                        ["cargo", command] if !CARGO.contains(command) => {
                            assert!(installed.contains(&format!("cargo-{command}")), "{path}: {name} has no cargo-{command}");
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    assert!(tasks > 0, "the release builds packages");
    Ok(())
}

fn is_package(name: &str) -> Result<bool> {
    let manifests = files("crates")?.into_iter().filter(|path| path.ends_with("/Cargo.toml"));
    let named = |path: String| Ok(read(&path)?.lines().any(|line| line == format!("name = \"{name}\"")));
    manifests.map(named).try_fold(false, |found, named: Result<bool>| Ok(found || named?))
}

#[test]
fn the_overlays_that_are_rendered_are_all_that_there_are() -> Result<()> {
    let workflow = read(".github/workflows/ci.yml")?;
    for path in files("deploy/kubernetes")?.iter().filter_map(|path| path.strip_suffix("/kustomization.yaml")) {
        let rendered = workflow.contains(&format!("kubectl kustomize {path} |"));
        assert!(rendered || path.contains("/components/"), "{path} is rendered nowhere");
    }
    Ok(())
}

#[test]
fn dependabot_looks_where_there_is_something() -> Result<()> {
    let dependabot: Value = serde_saphyr::from_str(&read(".github/dependabot.yml")?)?;
    for update in items(&dependabot["updates"]) {
        let folder = update["directory"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        let file = match update["package-ecosystem"].as_str() {
            Some("cargo") => "Cargo.toml",
            Some("docker") => "Dockerfile",
            Some("docker-compose") => "compose.yaml",
            Some("github-actions") => ".github/workflows/ci.yml",
            Some("npm") => "package.json",
            Some("pip") => "requirements.txt",
            other => return Err(Error::new(format!("{other:?} is not known here"))),
        };
        assert!(root().join(&folder).join(file).is_file(), "no {file} in /{folder}");
    }
    Ok(())
}

/// GitHub shows a form whose field has no name, or one name twice, as an error to whoever wants to report something.
#[test]
fn the_forms_for_issues_are_whole() -> Result<()> {
    let forms = documents()?.into_iter().filter(|(path, _)| path.contains("/ISSUE_TEMPLATE/") && !path.ends_with("/config.yml"));
    let mut count = 0;
    for (path, form) in forms {
        count += 1;
        assert!(form["name"].is_string() && form["description"].is_string(), "{path}");
        let mut ids = BTreeSet::new();
        for field in items(&form["body"]) {
            assert!(ids.insert(field["id"].as_str().unwrap_or_default()), "{path}: {field}");
            assert!(["textarea", "input"].contains(&field["type"].as_str().unwrap_or_default()), "{path}: {field}");
            assert!(field["attributes"]["label"].is_string(), "{path}: {field}");
        }
    }
    assert!(count >= 2);
    Ok(())
}

#[test]
fn the_notes_of_a_release_are_its_section_of_the_changelog() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (changelog, version) = (folder.path().join("CHANGELOG.md"), env!("CARGO_PKG_VERSION"));
    let notes = |text: String, version: &str| -> Result<(bool, String)> {
        fs::write(&changelog, text)?;
        let output = Command::new(root().join(".ci/notes")).arg(version).env("CHANGELOG", &changelog).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    };
    let written = format!("# Changelog\n\n## Unreleased\n\n- later\n\n## {version} (2026-12-01)\n\n- this\n\n## 0.0.9\n\n- before\n");
    assert_eq!(notes(written.clone(), version)?, (true, "- this".to_owned()));
    assert_eq!(notes(written, "0.0.9")?, (false, String::new()), "Cargo.toml has another version");
    assert_eq!(notes("# Changelog\n\n## Unreleased\n\n- later\n".to_owned(), version)?, (false, String::new()), "no section");
    Ok(())
}
