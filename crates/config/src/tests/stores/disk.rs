//! Rules for `[store.disk]`.

use std::time::Duration;

use larder_disk_options::{Admission, Compression, DiskOptions, SealKey, SealKeys};

use crate::tests::{assert_complaint, complaints, config};

fn disk(folder: &std::path::Path, keys: &str) -> String {
    format!("[store.disk]\npath = \"{}\"\ncapacity = \"256MiB\"\n{keys}", folder.display())
}

#[test]
fn the_store_on_disk_says_what_it_needs() {
    assert_eq!(
        complaints("[store.disk]"),
        [
            r#"config.toml:1:1: error: [store.disk] needs the key `path` (hint: like path = "/var/lib/larder/cache", a directory that this process has for itself)"#,
            r#"config.toml:1:1: error: [store.disk] needs the key `capacity` (hint: like capacity = "50GiB")"#,
        ]
    );
    let folder = tempfile::tempdir().unwrap();
    let wrong = |keys: &str, complaint: &str| assert_complaint(&disk(folder.path(), keys), complaint);
    wrong("admit = \"third-hit\"", r#"4:9: error: `third-hit` is not a value of `admit` (hint: expected one of "second-hit", "all")"#);
    wrong(
        "max_object = \"65MiB\"",
        "4:14: error: `max_object` is more than a quarter of `capacity` (hint: what is larger would push out nearly everything else)",
    );
    wrong("compress = { level = 20 }", "4:22: error: `20` is out of range for `level` (hint: from 1 to 19)");
    wrong(
        "encrypt = { old_keys = [] }",
        r#"4:11: error: [store.disk.encrypt] needs the key `key` (hint: like key = "env:LARDER_STORE_KEY")"#,
    );
    wrong("breaker = { failures = 0 }", "4:24: error: `0` is out of range for `failures` (hint: from 1 to 1000)");
    assert_complaint(
        "[store.disk]\npath = \"/tmp\"\ncapacity = \"255MiB\"",
        r#"3:12: error: `255MiB` is too small for `capacity` (hint: at least "256MiB")"#,
    );
}

#[test]
fn the_store_on_disk_is_as_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let usual = config(&disk(folder.path(), "")).disk.unwrap();
    assert_eq!(usual, DiskOptions::new(folder.path().to_owned(), 256 << 20));
    let key = folder.path().join("key");
    std::fs::write(&key, "07".repeat(32)).unwrap();
    let sealed = format!("encrypt = {{ key = \"file:{}\" }}\n", key.display());
    let all = "compress = { min = \"2KiB\" }\nmax_object = \"1MiB\"\nadmit = \"all\"\nwrite_rate = \"0B\"\nwrite_queue = \"2MiB\"\ntimeout = \"1s\"\nbreaker = { failures = 2, open = \"1s\" }";
    let expected = DiskOptions {
        max_object: 1 << 20,
        admission: Admission::All,
        compress: Some(Compression { min: 2048, level: 3 }),
        keys: Some(SealKeys { key: SealKey::new([7; 32]), old_keys: Vec::new() }),
        write_rate: None,
        write_queue: 2 << 20,
        timeout: Duration::from_secs(1),
        breaker_failures: 2,
        breaker_open: Duration::from_secs(1),
        ..usual
    };
    assert_eq!(config(&disk(folder.path(), &(sealed + all))).disk, Some(expected));
}

/// A gateway whose disk does not work starts all the same, so that is no error.
#[test]
fn a_directory_that_cannot_be_used_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("cache");
    assert_complaint(
        &disk(&below, ""),
        &format!(
            "2:8: warning: no directory can be at `{}`: `{}` is a file (hint: without it responses are in memory only)",
            below.display(),
            file.display()
        ),
    );
    let huge = disk(folder.path(), "").replace("256MiB", "4TiB");
    let complaints = complaints(&huge);
    assert!(complaints[0].starts_with("config.toml:3:12: warning: there is room for "), "{complaints:?}");
}

#[test]
fn several_directories_share_a_capacity_or_have_one_each() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["a", "b"].map(|name| folder.path().join(name));
    let paths = format!("[store.disk]\npath = [\"{}\", \"{}\"]\n", one.display(), two.display());
    let read = |capacity: &str| config(&format!("{paths}capacity = {capacity}")).disk.unwrap();
    let of =
        |first: u64, second: u64| DiskOptions { others: vec![(two.clone(), second << 20)], ..DiskOptions::new(one.clone(), first << 20) };
    assert_eq!(read("\"1GiB\""), of(512, 512));
    assert_eq!(read("[\"256MiB\", \"300MiB\"]"), of(256, 300));
    let directories: Vec<_> =
        of(256, 300).directories().into_iter().map(|options| (options.path, options.capacity, options.others)).collect();
    assert_eq!(directories, [(one.clone(), 256 << 20, vec![]), (two.clone(), 300 << 20, vec![])]);
    let wrong = |text: &str, complaint: &str| assert_complaint(text, complaint);
    wrong(
        &format!("{paths}capacity = \"511MiB\""),
        "3:12: error: `capacity` is 255.5MiB for each of 2 directories (hint: at least 256MiB each)",
    );
    wrong(
        &format!("{paths}capacity = [\"1GiB\", \"1GiB\", \"1GiB\"]"),
        "3:13: error: there are 3 sizes for 2 directories (hint: say one for each, in their order, or one for all of them together)",
    );
    wrong(
        &format!("{paths}capacity = [\"256MiB\", \"1GiB\"]\nmax_object = \"65MiB\""),
        "4:14: error: `max_object` is more than a quarter of the smallest directory (hint: what is larger would push out nearly everything else)",
    );
    wrong(
        "[store.disk]\npath = [\"/tmp/a\", \"/tmp/a\"]\ncapacity = \"1GiB\"",
        "2:19: error: `/tmp/a` is there twice (hint: each directory is of one disk)",
    );
    wrong(
        "[store.disk]\npath = []\ncapacity = \"1GiB\"",
        "2:8: error: `path` is empty (hint: expected a path in quotes, or a list of them)",
    );
}

#[test]
fn the_memory_says_what_it_leaves_to_the_disk() {
    let memory = |text: &str| config(text).memory.largest_body();
    assert_eq!((memory(""), memory("[store.memory]\ncapacity = \"64MiB\"")), (8 << 20, 2 << 20));
    assert_eq!(memory("[store.memory]\nmax_object = \"100KiB\""), 100 << 10);
    assert_complaint(
        "[store.memory]\ncapacity = \"1MiB\"\nmax_object = \"2MiB\"",
        "3:14: error: `2MiB` is too large for `max_object` (hint: at most \"1MiB\")",
    );
}
