//! What docs/compatibility.md promises: nothing in the lists of `tests/compatibility` is gone. New names may come at any time; with
//! `LARDER_PROMISE=1` these tests add them to the lists, which is how a release promises them.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use larder_testkit::larder::command;
use larder_testkit::{Error, Result};
use serde_json::Value;

use super::kubernetes::files;
use super::{read, root};

const FOLDER: &str = "tests/compatibility";

/// Asserts that each name of this list is still among those that there are.
fn assert_kept(list: &str, names: BTreeSet<String>) -> Result<()> {
    let path = format!("{FOLDER}/{list}");
    let promised: BTreeSet<String> = fs::read_to_string(root().join(&path)).unwrap_or_default().lines().map(str::to_owned).collect();
    if std::env::var_os("LARDER_PROMISE").is_some() {
        let all: Vec<&str> = promised.union(&names).map(String::as_str).collect();
        fs::write(root().join(&path), all.join("\n") + "\n")?;
        return Ok(());
    }
    assert!(!promised.is_empty(), "{path} promises nothing");
    let gone: Vec<&String> = promised.difference(&names).collect();
    assert!(gone.is_empty(), "promised in {path} and gone, see docs/compatibility.md: {gone:#?}");
    Ok(())
}

fn printed(arguments: &[&str]) -> Result<String> {
    let output = command()?.args(arguments).stdin(Stdio::null()).output()?;
    assert!(output.status.success(), "larder {arguments:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every key of the configuration: `routes[].key.query`, with `*` for a name that the operator chooses.
fn keys(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    alternatives.for_each(|schema| keys(schema, path, found));
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        found.insert(path.clone());
        keys(schema, &path, found);
    }
    for (part, inside) in [("items", "[]"), ("additionalProperties", ".*")] {
        if schema[part].is_object() {
            keys(&schema[part], &format!("{path}{inside}"), found);
        }
    }
}

#[test]
fn no_key_of_the_configuration_is_gone() -> Result<()> {
    let mut found = BTreeSet::new();
    keys(&serde_json::from_str(&printed(&["schema"])?)?, "", &mut found);
    assert_kept("config.txt", found)
}

#[test]
fn no_command_and_no_flag_is_gone() -> Result<()> {
    let help = printed(&["--help"])?;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let mut found = BTreeSet::new();
    for name in commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        found.insert(name.to_owned());
        let help = printed(&[name, "--help"])?;
        let flags =
            help.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")).filter(|_| line.starts_with("  ")));
        found.extend(flags.map(|flag| format!("{name} {}", flag.trim_end_matches(','))));
    }
    assert_kept("commands.txt", found)
}

/// The document that `GET /openapi.json` answers with, which a test of its own holds to the router.
#[test]
fn no_endpoint_of_the_admin_listener_is_gone() -> Result<()> {
    let document: Value = serde_json::from_str(&read("crates/gateway/src/admin/openapi.json")?)?;
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        let methods = methods.as_object().into_iter().flatten().filter(|(_, about)| about["responses"].is_object());
        found.extend(methods.map(|(method, _)| format!("{} {path}", method.to_uppercase())));
    }
    assert_kept("admin.txt", found)
}

/// Cells of the rows of this document's tables that begin with a name; other tests hold each document to the code.
fn rows(document: &str) -> Result<Vec<Vec<String>>> {
    let text = read(document)?;
    let row = |row: &str| row.split(" | ").map(|cell| cell.replace('`', "").trim().to_owned()).collect();
    Ok(text.lines().filter(|line| line.starts_with("| `")).map(|line| row(&line[2..])).collect())
}

#[test]
fn no_metric_and_none_of_its_labels_is_gone() -> Result<()> {
    let mut found = BTreeSet::new();
    for row in rows("docs/metrics.md")? {
        let (name, kind, labels) = (&row[0], &row[1], &row[2]);
        found.insert(format!("{name} {kind}"));
        found.extend(labels.split(", ").filter(|label| !label.is_empty()).map(|label| format!("{name} by {label}")));
    }
    assert_kept("metrics.txt", found)
}

#[test]
fn no_field_of_the_log_is_gone_or_of_another_type() -> Result<()> {
    let rows = rows("docs/log.md")?;
    let fields = rows.iter().filter(|row| ["text", "number", "boolean"].contains(&row[1].as_str()));
    assert_kept("log.txt", fields.map(|row| format!("{} {}", row[0], row[1])).collect())
}

#[test]
fn no_reason_is_gone() -> Result<()> {
    assert_kept("reasons.txt", rows("docs/reasons.md")?.into_iter().map(|mut row| row.remove(0)).collect())
}

/// Golden copies of what is stored, with the source folder whose tests read them.
fn golden() -> Result<Vec<String>> {
    Ok(files("crates")?.into_iter().filter(|path| path.contains("/golden/") && path.ends_with(".hex")).collect())
}

/// A golden copy that could be written anew would promise nothing.
#[test]
fn no_golden_copy_of_a_stored_format_has_changed_and_tests_read_each() -> Result<()> {
    let sums = root().join(FOLDER).join("stored-formats.sha256");
    let golden = golden()?;
    if std::env::var_os("LARDER_PROMISE").is_some() {
        let output = Command::new("sha256sum").args(&golden).current_dir(root()).output()?;
        fs::write(&sums, output.stdout)?;
    }
    let check = Command::new("sha256sum").args(["--check", "--quiet"]).arg(&sums).current_dir(root()).output()?;
    assert!(check.status.success(), "{}{}", String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    for path in golden {
        let (folder, name) = path.split_once("/golden/").ok_or_else(|| Error::new(path.clone()))?;
        let sources = files(folder)?.into_iter().filter(|source| source.ends_with(".rs"));
        let texts: Vec<String> = sources.map(|source| read(&source)).collect::<Result<_>>()?;
        assert!(texts.iter().any(|text| text.contains(&format!("include_str!(\"golden/{name}\")"))), "no test reads {path}");
    }
    Ok(())
}

#[test]
fn every_list_stands_in_the_document_and_the_document_names_no_other() -> Result<()> {
    let document = read("docs/compatibility.md")?;
    let named: BTreeSet<String> = document.split('`').filter(|word| word.starts_with(FOLDER)).map(str::to_owned).collect();
    assert_eq!(named, files(FOLDER)?.into_iter().collect());
    Ok(())
}
