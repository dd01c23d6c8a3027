//! The pages of the reference: written from what the binary prints, so that they cannot say anything else. `LARDER_DOCS=1 cargo xtask test docs_reference`
//! writes them anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;

use larder_testkit::larder::command;
use larder_testkit::{Error, Result};
use serde_json::Value;

use super::{read, root};

pub(super) fn is_current() -> Result<()> {
    for (path, text) in [
        ("docs/reference/configuration.md", configuration()?),
        ("docs/reference/commands.md", commands()?),
        ("docs/reference/admin-api.md", admin_api()?),
    ] {
        if std::env::var_os("LARDER_DOCS").is_some() {
            fs::create_dir_all(root().join("docs/reference"))?;
            fs::write(root().join(path), text)?;
        } else if read(path)? != text {
            return Err(Error::new(format!("{path} is not what the binary says: LARDER_DOCS=1 cargo xtask test docs_reference")));
        }
    }
    Ok(())
}

fn printed(arguments: &[&str]) -> Result<String> {
    let output = command()?.args(arguments).stdin(Stdio::null()).output()?;
    assert!(output.status.success(), "larder {arguments:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every key with its description, a heading for each table.
fn configuration() -> Result<String> {
    let schema: Value = serde_json::from_str(&printed(&["schema"])?)?;
    let mut text = "\
# Configuration

Every key that `config.toml` may have, from `larder schema`. `[]` stands for each item of a list, `*` for a name that you choose. Durations are written `\"250ms\"`, `\"5m\"`, `\"1h30m\"`,
sizes `\"64KiB\"`, `\"8MB\"`. Unknown keys are errors. The file [config.toml](REPOSITORYconfig.toml) has the same with each default written out, and runs as it is.
"
    .replace("REPOSITORY", super::links::REPOSITORY);
    // Routes and classes may say whatever [cache] says.
    let inherited = properties(&schema["properties"]["cache"]).map(|(name, _)| name.clone()).collect();
    table(&schema, "", &inherited, &mut text);
    Ok(text)
}

/// What is inside of a list, and of a table whose names are chosen.
const INSIDE: [(&str, &str); 2] = [("items", "[]"), ("additionalProperties", ".*")];

/// What a value may be.
fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    std::iter::once(schema).chain(schema["anyOf"].as_array().into_iter().flatten())
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The path of the first table that a key leads to.
fn leads_to(key: &Value, path: &str) -> Option<String> {
    if alternatives(key).any(|alternative| properties(alternative).next().is_some()) {
        return Some(path.to_owned());
    }
    alternatives(key)
        .find_map(|alternative| INSIDE.into_iter().find_map(|(part, ending)| leads_to(alternative.get(part)?, &format!("{path}{ending}"))))
}

fn rows(keys: &[(&String, &Value)], path: &str, text: &mut String) {
    if keys.is_empty() {
        return;
    }
    let about = |name: &str, key: &Value| {
        let place = leads_to(key, &below(path, name));
        (cell(key["description"].as_str().unwrap_or_default()), place)
    };
    if keys.iter().all(|(name, key)| about(name, key) == (String::new(), None)) {
        let names: Vec<String> = keys.iter().map(|(name, _)| format!("`{name}`")).collect();
        let _ = writeln!(text, "Keys: {}.", names.join(", "));
        return;
    }
    text.push_str("| key | what it says |\n|---|---|\n");
    for (name, key) in keys {
        let (said, place) = about(name, key);
        let link = place.map(|place| {
            let anchor: String = place.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
            format!("[`{place}`](#{anchor})")
        });
        let cells: Vec<String> = Some(said).filter(|said| !said.is_empty()).into_iter().chain(link).collect();
        let _ = writeln!(text, "| `{name}` | {} |", if cells.is_empty() { "–".to_owned() } else { cells.join(" ") });
    }
}

fn table(schema: &Value, path: &str, inherited: &BTreeSet<String>, text: &mut String) {
    let mut inner = Vec::new();
    for alternative in alternatives(schema) {
        let inherits = ["routes[]", "classes.*"].contains(&path) && properties(alternative).next().is_some();
        let keys: Vec<(&String, &Value)> = properties(alternative).filter(|(name, _)| !inherits || !inherited.contains(*name)).collect();
        if !keys.is_empty() || inherits {
            let shown = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
            // Writing to a String cannot fail.
            let _ = write!(text, "\n## {shown}\n\n");
            if inherits {
                text.push_str("Every key of [`cache`](#cache), which wins over the one there");
                text.push_str(if keys.is_empty() { ".\n" } else { ", and:\n\n" });
            }
            // What stands inline is explained as a whole.
            let about = cell(schema["description"].as_str().unwrap_or_default());
            if !about.is_empty() {
                let _ = write!(text, "{about}\n\n");
            }
            rows(&keys, path, text);
        }
        inner.extend(keys.into_iter().map(|(name, key)| (below(path, name), key)));
        for (part, ending) in INSIDE.into_iter().filter(|(part, _)| alternative[*part].is_object()) {
            table(&alternative[part], &format!("{path}{ending}"), inherited, text);
        }
    }
    for (path, key) in inner {
        table(key, &path, inherited, text);
    }
}

/// As text in a cell: one line, and nothing that Markdown would take for its own.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for character in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        if "|*_<>[]\\".contains(character) {
            cell.push('\\');
        }
        cell.push(character);
    }
    // Within code a backslash would be shown.
    let pieces = cell.split('`').enumerate().map(|(at, piece)| if at % 2 == 1 { plain(piece) } else { piece.to_owned() });
    pieces.collect::<Vec<_>>().join("`")
}

fn plain(escaped: &str) -> String {
    let mut plain = String::new();
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    // A bar ends a cell in code, too.
    plain.replace('|', "\\|")
}

fn commands() -> Result<String> {
    let mut text = "# Commands\n\nWhat each command's `--help` says.\n".to_owned();
    let help = printed(&["--help"])?;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    for name in listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let help = printed(&[name, "--help"])?;
        let help: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(text, "\n## larder {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    }
    Ok(text)
}

fn admin_api() -> Result<String> {
    let document: Value = serde_json::from_str(&read("crates/gateway/src/admin/openapi.json")?)?;
    let mut text = format!(
        "# Admin API\n\nOn the admin listener alone (`[admin] listen`). {} `GET /openapi.json` is the whole document.\n\n| request | what it does | scope |\n|---|---|---|\n",
        cell(document["info"]["description"].as_str().unwrap_or_default())
    );
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, about) in methods.as_object().into_iter().flatten().filter(|(_, about)| about["responses"].is_object()) {
            let scopes: Vec<&str> = about["security"].as_array().into_iter().flatten().filter_map(|one| one["token"][0].as_str()).collect();
            let scopes = if scopes.is_empty() { "–".to_owned() } else { format!("`{}`", scopes.join("`, `")) };
            let _ = writeln!(
                text,
                "| `{} {path}` | {} | {scopes} |",
                method.to_uppercase(),
                cell(about["summary"].as_str().unwrap_or_default())
            );
        }
    }
    Ok(text)
}
