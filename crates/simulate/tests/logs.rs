//! Logs of each format, and the records that they come to.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use http::HeaderMap;
use larder_simulate::{LineCounts, LogError, LogFormat, LogRecord, Logs, Progress};
use proptest::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs")
}

/// Everything that is known of a record, in a line.
fn line(record: &LogRecord) -> String {
    let fields = |fields: &HeaderMap| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        fields.join("; ")
    };
    let body = record.body_hash.as_ref().map_or(String::new(), |hash| format!(" body={hash}"));
    format!(
        "{} {:?} {} {} {} {} {} {}B origin={:?} user={:?} hit={:?} [{}] [{}]{body}",
        record.time.as_millis(),
        record.client.map(|client| client.to_string()).unwrap_or_default(),
        record.method,
        record.secure.map_or("?", |secure| if secure { "https" } else { "http" }),
        record.host.as_deref().unwrap_or("-"),
        record.target,
        record.status.as_u16(),
        record.bytes,
        record.origin_time,
        record.user,
        record.was_hit,
        fields(&record.request_fields),
        fields(&record.response_fields),
    )
}

fn read(paths: &[&Path], format: Option<&LogFormat>) -> (Vec<LogRecord>, LineCounts, Vec<String>) {
    let mut logs = Logs::open(paths.iter().copied(), format, &Progress::default()).unwrap_or_else(|error| panic!("{error}"));
    let records: Vec<LogRecord> = logs.by_ref().collect();
    (records, logs.counts().clone(), logs.formats().to_vec())
}

/// The records of a log, its format and its broken lines, as the golden files have them.
fn rendered(path: &Path) -> String {
    let (records, counts, formats) = read(&[path], None);
    let mut text = format!("format {}\n", formats.join(", "));
    records.iter().for_each(|record| text += &format!("{}\n", line(record)));
    counts.first_broken.iter().for_each(|broken| text += &format!("broken {}: {}: {}\n", broken.line, broken.why, broken.begins));
    text
}

#[test]
fn logs_of_each_format_come_to_the_records_of_their_golden_files() {
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        count += 1;
        let golden = std::fs::read_to_string(path.with_extension("records")).unwrap_or_default();
        let found = rendered(&path);
        if found != golden {
            wrong.push(format!("{} comes to this now:\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(count, 13, "formats");
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn packed_logs_read_as_unpacked_ones() {
    let (folder_of_test, plain) = (tempfile::tempdir().unwrap(), std::fs::read(folder().join("combined.log")).unwrap());
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    let gzip = written(folder_of_test.path(), "access.log.1.gz", &gzip.finish().unwrap());
    let zstd = written(folder_of_test.path(), "access.log.2.zst", &zstd::encode_all(&plain[..], 3).unwrap());
    let expected = rendered(&folder().join("combined.log"));
    assert_eq!((rendered(&gzip), rendered(&zstd)), (expected.clone(), expected));
}

#[test]
fn a_packed_log_that_breaks_off_is_read_as_far_as_it_goes_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let line = "203.0.113.7 - - [30/Nov/2026:09:00:00 +0000] \"GET /a HTTP/1.1\" 200 1 \"-\" \"-\"\n";
    let packed = zstd::encode_all(line.repeat(50_000).as_bytes(), 3).unwrap();
    let path = written(folder.path(), "access.log.zst", &packed[..packed.len() - 20]);
    let (records, counts, _) = read(&[&path], None);
    assert!(records.len() < 50_000);
    let broken = counts.first_broken.first().expect("it is said");
    assert!(broken.why.contains("cannot be read any further"), "{broken:?}");
}

#[test]
fn patterns_of_nginx_and_apache_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (pattern, line_of_log, expected) in [
        (
            "$msec $host $request_method $uri$is_args$args $status $body_bytes_sent $request_time cc=\"$sent_http_cache_control\"",
            "1796029200.250 api.example.com GET /a?b=1 200 17 0.250 cc=\"max-age=60, \\x22x\\x22\"",
            "1796029200000 \"\" GET ? api.example.com /a?b=1 200 17B origin=Some(250ms) user=None hit=None [] [cache-control=max-age=60, \"x\"]",
        ),
        (
            "[$time_local] $scheme://$host$request_uri -> $status (${bytes_sent}B) $cookie_lang",
            "[30/Nov/2026:09:00:00 +0000] https://api.example.com/a?b=1 -> 200 (17B) de",
            "1796029200000 \"\" GET https api.example.com /a?b=1 200 17B origin=None user=None hit=None [cookie=lang=de] []",
        ),
        (
            "%{usec}t %v \"%m %U%q %H\" %>s %B %D %{Cache-Control}o %{Varnish:hitmiss}x",
            "1796029200000000 api.example.com \"GET /a?b=1 HTTP/1.1\" 200 17 250000 max-age=60 miss",
            "1796029200000 \"\" GET ? api.example.com /a?b=1 200 17B origin=Some(250ms) user=None hit=Some(false) [] [cache-control=max-age=60]",
        ),
    ] {
        let path = written(folder.path(), "access.log", line_of_log.as_bytes());
        let (records, counts, _) = read(&[&path], Some(&LogFormat::parse(pattern).unwrap()));
        assert_eq!(records.iter().map(line).collect::<Vec<_>>(), [expected], "{pattern}: {counts:?}");
    }
}

#[test]
fn a_pattern_that_cannot_be_used_says_why() {
    for (pattern, why) in [
        ("combinde", "is no format and no pattern"),
        ("$request $status", "no time"),
        ("$time_local $status", "no request"),
        ("%t %r", "no status"),
        ("%t \"%r\" %>s %{%H}t", "unknown here"),
        ("$time_local $request $status$body_bytes_sent", "side by side"),
    ] {
        let error = LogFormat::parse(pattern).unwrap_err().to_string();
        assert!(error.contains(why), "{pattern}: {error}");
    }
}

#[test]
fn logs_of_several_servers_are_put_into_the_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let log = |name: &str, seconds: &[u32]| {
        let lines = seconds
            .iter()
            .map(|second| format!("10.0.0.1 - - [30/Nov/2026:09:00:{second:02} +0000] \"GET /{name}/{second} HTTP/1.1\" 200 1\n"));
        written(folder.path(), name, lines.collect::<String>().as_bytes())
    };
    let (a, b) = (log("a", &[1, 5, 4, 9]), log("b", &[0, 2, 3, 8]));
    let (records, counts, formats) = read(&[&a, &b], None);
    let targets: Vec<String> = records.iter().map(|record| record.target.to_string()).collect();
    assert_eq!(targets, ["/b/0", "/a/1", "/b/2", "/b/3", "/a/4", "/a/5", "/b/8", "/a/9"]);
    assert_eq!((counts.lines, counts.broken, counts.out_of_order, counts.late), (8, 0, 1, 0));
    assert_eq!(formats, ["common"]);
}

#[test]
fn a_record_that_comes_too_late_to_be_put_into_order_is_counted_and_takes_the_time_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let line = |minute: usize, second: usize, path: &str| {
        format!("10.0.0.1 - - [30/Nov/2026:09:{minute:02}:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 1\n")
    };
    let mut text: String = (0..40_000).map(|number| line(number / 1000, number % 1000 / 20, "/a")).collect();
    text += &line(0, 0, "/late");
    let path = written(folder.path(), "access.log", text.as_bytes());
    let (records, counts, _) = read(&[&path], None);
    assert_eq!((records.len(), counts.late), (40_001, 1));
    assert!(records.is_sorted_by_key(|record| record.time));
}

#[test]
fn broken_lines_are_counted_and_the_first_are_shown_with_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let good = "10.0.0.1 - - [30/Nov/2026:09:00:00 +0000] \"GET /a HTTP/1.1\" 200 1\n";
    let mut text = good.repeat(30);
    for number in 0..50 {
        text += &format!("nonsense {number}\n");
    }
    text += &format!("10.0.0.1 - - [30/Nov/2026:09:00:00 +0000] \"GET /{} HTTP/1.1\" 200 1\n", "a".repeat(100_000));
    text += good;
    let path = written(folder.path(), "access.log", text.as_bytes());
    let (records, counts, _) = read(&[&path], None);
    assert_eq!((records.len(), counts.lines, counts.broken, counts.first_broken.len()), (31, 82, 51, 10));
    let first = &counts.first_broken[0];
    assert_eq!((first.line, first.begins.as_str()), (31, "nonsense 0"));
}

#[test]
fn what_is_no_log_is_said_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "notes.txt", b"this is no log\nnor is this\n");
    let open = |path: &Path| Logs::open([path], None, &Progress::default()).err().map(|error| (error.to_string(), error));
    assert!(matches!(open(&path), Some((text, LogError::UnknownFormat { .. })) if text.contains("notes.txt")));
    assert!(matches!(open(&folder.path().join("absent.log")), Some((text, LogError::Unreadable { .. })) if text.contains("absent.log")));
    let empty = written(folder.path(), "empty.log", b"");
    assert_eq!(read(&[&empty], None).0.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic_and_every_line_is_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..400), name in 0..15_usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), "access.log", &bytes);
        let names = larder_simulate::NAMES;
        let format = names.get(name).map(|name| LogFormat::parse(name).unwrap());
        if let Ok(mut logs) = Logs::open([path.as_path()], format.as_ref(), &Progress::default()) {
            let records = logs.by_ref().count() as u64;
            prop_assert!(records + logs.counts().broken <= logs.counts().lines);
        }
    }
}
