//! The rules, alerts and dashboard in `deploy/`: Prometheus understands them, and what they name exists.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use larder_testkit::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::{read, root};

#[derive(Debug, Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rule {
    record: String,
    alert: String,
    expr: String,
    labels: std::collections::BTreeMap<String, String>,
    annotations: std::collections::BTreeMap<String, String>,
}

fn rules(file: &str) -> Result<Vec<Rule>> {
    let rules: Rules = serde_saphyr::from_str(&read(&format!("deploy/prometheus/{file}"))?)?;
    Ok(rules.groups.into_iter().flat_map(|group| group.rules).collect())
}

/// Debian's `prometheus` has it; `.ci/run` installs that.
pub(crate) fn promtool(arguments: &[&str], files: &[PathBuf]) -> Result<()> {
    let output = Command::new("promtool").args(arguments).args(files).current_dir(root().join("deploy/prometheus")).output();
    let output = output.map_err(|error| Error::from(error).while_doing("running promtool, which Debian's prometheus has"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {text}");
    Ok(())
}

#[test]
fn prometheus_understands_the_rules_and_they_come_to_what_their_tests_say() -> Result<()> {
    promtool(&["check", "rules", "rules.yaml", "alerts.yaml"], &[])?;
    promtool(&["check", "config", "prometheus.yml"], &[])?;
    promtool(&["test", "rules", "rules_test.yaml", "alerts_test.yaml"], &[])
}

/// Every query of the dashboard: those of panels, and those of annotations.
fn queries() -> Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/larder.json")?)?;
    let mut found = Vec::new();
    let mut parts = vec![&dashboard];
    while let Some(part) = parts.pop() {
        match part {
            Value::Object(members) => {
                found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
                parts.extend(members.values());
            }
            Value::Array(items) => parts.extend(items),
            _ => {}
        }
    }
    assert!(found.len() > 40, "{found:?}");
    Ok(found)
}

#[test]
fn prometheus_understands_the_queries_of_the_dashboard() -> Result<()> {
    let filled = |query: &str| query.replace("$__rate_interval", "5m").replace("$__interval", "5m");
    let rules: Vec<Value> = queries()?.iter().map(|query| serde_json::json!({ "record": "a", "expr": filled(query) })).collect();
    // JSON is YAML. Several may say the same, which a file of rules may not: each has a group of its own.
    let groups: Vec<Value> =
        rules.into_iter().enumerate().map(|(number, rule)| serde_json::json!({ "name": number.to_string(), "rules": [rule] })).collect();
    let folder = TempDir::new()?;
    let file = folder.path().join("queries.yaml");
    std::fs::write(&file, serde_json::json!({ "groups": groups }).to_string())?;
    promtool(&["check", "rules", "--lint=none"], &[file])
}

/// The metrics of docs/metrics.md, which a test of telemetry holds to the code, with the names of the samples of histograms.
fn documented() -> Result<BTreeSet<String>> {
    let document = read("docs/metrics.md")?;
    let mut names = BTreeSet::new();
    for row in document.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once('`').ok_or_else(|| Error::new(format!("no name in {row}")))?;
        let ends: &[&str] = if rest.starts_with(" | histogram") { &["_bucket", "_sum", "_count"] } else { &[""] };
        names.extend(ends.iter().map(|end| format!("{name}{end}")));
    }
    Ok(names)
}

/// Words of a query that may be names of metrics.
fn names_in(query: &str) -> impl Iterator<Item = &str> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    let words = query.split(move |character| !is_name(character));
    words.filter(|word| word.starts_with("larder_") || word.starts_with("process_") || word.contains(":larder_"))
}

#[test]
fn every_metric_that_a_rule_or_a_panel_names_exists() -> Result<()> {
    let mut known = documented()?;
    let (recorded, alerts) = (rules("rules.yaml")?, rules("alerts.yaml")?);
    known.extend(recorded.iter().map(|rule| rule.record.clone()));
    let queries = queries()?.into_iter().chain(recorded.into_iter().chain(alerts).map(|rule| rule.expr));
    for query in queries {
        for name in names_in(&query) {
            assert!(known.contains(name), "{name} does not exist: {query}");
        }
    }
    Ok(())
}

#[test]
fn every_alert_says_what_is_wrong_what_to_do_and_whom_it_is_for_and_has_a_test() -> Result<()> {
    let tests = read("deploy/prometheus/alerts_test.yaml")?;
    for Rule { alert, labels, annotations, .. } in rules("alerts.yaml")? {
        assert!(annotations.contains_key("summary") && annotations.contains_key("remedy"), "{alert}: {annotations:?}");
        assert!(["page", "ticket"].contains(&labels.get("severity").map_or("", String::as_str)), "{alert}: {labels:?}");
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test in which it fires");
    }
    Ok(())
}

/// A remedy is to be followed: the commands that it names are there.
#[test]
fn the_commands_of_remedies_exist() -> Result<()> {
    for Rule { alert, annotations, .. } in rules("alerts.yaml")? {
        let remedy = annotations.get("remedy").cloned().unwrap_or_default();
        for command in remedy.split('`').filter_map(|quoted| quoted.strip_prefix("larder ")) {
            let mut words: Vec<&str> =
                command.split_whitespace().filter(|word| word.starts_with(|first: char| first.is_lowercase() || first == '-')).collect();
            words.truncate(3);
            super::assert_understood(&words).map_err(|error| error.while_doing(format!("{alert}: {command}")))?;
        }
    }
    Ok(())
}
