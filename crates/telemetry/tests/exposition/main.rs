//! The exposition as a whole: its names, help, order and numbers are public interface, so its text is kept byte for byte.

mod filled;

use std::time::Duration;

use http::{Method, StatusCode};
use larder_semantics::Reason;
use larder_telemetry::metrics::{Metrics, RequestRecord};
use larder_telemetry::render::open_metrics;
use larder_telemetry::snapshot::{Snapshot, TierSnapshot, UpstreamState};
use larder_telemetry::traces::TraceId;
use larder_tower::CacheResult;

use filled::filled;

/// Compares with the kept text, and names the first line that differs. The new text is left under this name in `target/tmp`, for who means the change.
#[track_caller]
fn assert_text(text: &str, kept: &str, name: &str) {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if text != kept {
        std::fs::write(&path, text).expect("the folder of the build can be written");
    }
    for (number, (line, wanted)) in text.lines().zip(kept.lines()).enumerate() {
        assert_eq!(line, wanted, "line {}; all of it is in {}", number + 1, path.display());
    }
    assert!(text == kept, "one has more lines than the other; all of it is in {}", path.display());
}

#[test]
fn the_exposition_of_a_filled_snapshot_is_what_it_always_was() {
    assert_text(&open_metrics(filled()), include_str!("../golden/exposition.txt"), "exposition.txt");
}

#[test]
fn several_tiers_are_told_apart_by_their_names() {
    let tier = |name, first| TierSnapshot { name, hits: first, misses: first + 1, failures: first + 2, promotions: first + 3 };
    let text = open_metrics(Snapshot { tiers: vec![tier("disk", 10), tier("redis", 20)], ..Snapshot::default() });
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("larder_tier")).collect();
    let expected = r#"larder_tier_lookups_total{tier="disk",result="hit"} 10
larder_tier_lookups_total{tier="disk",result="miss"} 11
larder_tier_lookups_total{tier="disk",result="failure"} 12
larder_tier_lookups_total{tier="redis",result="hit"} 20
larder_tier_lookups_total{tier="redis",result="miss"} 21
larder_tier_lookups_total{tier="redis",result="failure"} 22
larder_tier_promotions_total{tier="disk"} 13
larder_tier_promotions_total{tier="redis"} 23"#;
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn the_exposition_of_a_process_that_starts_is_what_it_always_was() {
    let metrics = Metrics::new(&["a"], &["api"]);
    let (routes, upstreams) = (metrics.routes(), metrics.upstreams([UpstreamState::default()]));
    let text = open_metrics(Snapshot { routes, upstreams, ..Snapshot::default() });
    assert_text(&text, include_str!("../golden/exposition_at_start.txt"), "exposition_at_start.txt");
}

/// The last traced request stands behind its own bucket, as an example of those in it.
#[test]
fn buckets_have_exemplars_of_traced_requests() {
    let metrics = Metrics::new(&["a", "b"], &[]);
    let (elapsed, record) = (Duration::from_micros(70), |elapsed| RequestRecord {
        method: Some(&Method::GET),
        status: StatusCode::OK,
        result: Some(CacheResult::Hit),
        reason: Some(Reason::Fresh),
        elapsed,
        bytes: None,
    });
    metrics.request(Some(0), &record(elapsed));
    metrics.request(Some(1), &record(elapsed));
    [5, 7].iter().for_each(|trace| metrics.exemplar(Some(1), CacheResult::Hit, elapsed, TraceId(*trace)));
    let text = open_metrics(Snapshot { routes: metrics.routes(), ..Snapshot::default() });
    let with: Vec<_> = text.lines().filter(|line| line.contains(" # ")).collect();
    let expected = "larder_request_duration_seconds_bucket{le=\"0.0001\",route=\"b\",result=\"hit\"} 1 # \
                    {trace_id=\"00000000000000000000000000000007\"} 0.00007";
    assert_eq!(with, [expected]);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn histogram_buckets_accumulate_up_to_the_count() {
    let text = open_metrics(filled());
    let of_misses = |line: &&str| line.starts_with("larder_request_duration_seconds_bucket") && line.contains(r#"result="miss""#);
    let buckets: Vec<_> = text.lines().filter(of_misses).collect();
    assert_eq!(buckets.len(), 18);
    assert!(buckets[4].starts_with(r#"larder_request_duration_seconds_bucket{le="0.001","#) && buckets[4].ends_with(" 0"));
    assert!(buckets[6].contains(r#"le="0.005""#) && buckets[6].ends_with(" 1"));
    assert!(buckets[17].contains(r#"le="+Inf""#) && buckets[17].ends_with(" 1"));
}

#[test]
fn the_exposition_ends_with_eof_and_names_each_family_once() {
    let text = open_metrics(filled());
    assert!(text.ends_with("# EOF\n"));
    let mut types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let families = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), families);
}

#[test]
fn label_values_are_escaped() {
    assert!(open_metrics(filled()).contains(r#"{route="gone \"\\\n",method="other""#));
}

/// The last number of each sample line is a figure; so is each number in the snapshot's JSON.
#[test]
fn every_figure_of_the_exposition_is_in_the_snapshot_as_a_number() {
    let snapshot = filled();
    let json = serde_json::to_value(&snapshot).expect("a snapshot is plain data");
    let mut numbers = std::collections::BTreeSet::new();
    collect_numbers(&json, &mut numbers);
    for line in open_metrics(snapshot).lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{")) {
        let figure: f64 = line.rsplit(' ').next().and_then(|figure| figure.parse().ok()).expect("a number ends each line");
        // The breaker is a word in the snapshot, and an info is its labels.
        if !line.contains("breaker")
            && !line.contains("last_reload_successful")
            && !line.contains("log_writable")
            && !line.contains("_info{")
        {
            assert!(numbers.contains(&figure.to_bits()), "{line}\n{json:#}");
        }
    }
}

fn collect_numbers(json: &serde_json::Value, numbers: &mut std::collections::BTreeSet<u64>) {
    match json {
        serde_json::Value::Number(number) => drop(numbers.insert(number.as_f64().expect("a figure").to_bits())),
        serde_json::Value::Array(all) => all.iter().for_each(|value| collect_numbers(value, numbers)),
        serde_json::Value::Object(all) => all.values().for_each(|value| collect_numbers(value, numbers)),
        _ => {}
    }
}

/// One row of the documentation's table for each family of an exposition: name, type, labels, help.
fn documented(exposition: &str) -> Vec<String> {
    let mut rows: Vec<(String, String, String, Vec<String>)> = Vec::new();
    for line in exposition.lines() {
        let word = |prefix: &str| line.strip_prefix(prefix)?.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned()));
        if let Some((name, help)) = word("# HELP ") {
            rows.push((name, String::new(), help, Vec::new()));
        } else if let (Some((_, kind)), Some(row)) = (word("# TYPE "), rows.last_mut()) {
            row.1 = kind;
        } else if let (Some((_, labels)), Some(row)) = (line.split_once('{'), rows.last_mut()) {
            let names = labels.split("=\"").filter_map(|part| part.rsplit([',', '"', '{']).next());
            let names = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !name.is_empty());
            for name in names.filter(|name| *name != "le") {
                if !row.3.iter().any(|known| known == name) {
                    row.3.push(name.to_owned());
                }
            }
        }
    }
    let sample = |name: &str, kind: &str| match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    };
    let labels = |labels: &[String]| labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    rows.iter().map(|(name, kind, help, names)| format!("| `{}` | {kind} | {} | {help} |", sample(name, kind), labels(names))).collect()
}

#[test]
fn the_documentation_has_every_metric_with_its_type_its_labels_and_its_meaning() {
    let document = include_str!("../../../../docs/metrics.md");
    let (_, table) = document.split_once("| metric | type | labels | meaning |\n|---|---|---|---|\n").expect("a table");
    let found: String = table.lines().take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    let wanted: String = documented(&open_metrics(filled())).into_iter().map(|row| row + "\n").collect();
    assert_text(&wanted, &found, "metrics.md");
}
