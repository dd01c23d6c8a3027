//! `[[warm]]`, from text to data.

use std::time::Duration;

use super::super::{complaints, config};
use crate::WarmJob;

fn jobs(text: &str) -> Vec<WarmJob> {
    config(text).warm
}

#[test]
fn a_job_fetches_urls_and_paths_at_its_host() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("urls.txt");
    std::fs::write(&file, "# of last month\n/c?d=e\n\nhttp://b.example/f\n").unwrap();
    let text = format!(
        "[[warm]]\nname = \"listings\"\nhost = \"A.example\"\nurls = [\"/a\", \"https://b.example/b\"]\nurls_file = {file:?}\n\
         headers = {{ accept-language = \"de\" }}\non = [\"start\", \"reload\"]\nevery = \"15m\"\nconcurrency = 8\nrate = \"50/s\"\n\
         ready = true\nready_timeout = \"30s\""
    );
    let job = jobs(&text).remove(0);
    let urls: Vec<String> = job.urls.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["http://a.example/a", "https://b.example/b", "http://a.example/c?d=e", "http://b.example/f"]);
    assert_eq!((job.on_start, job.on_reload, job.every), (true, true, Some(Duration::from_secs(900))));
    assert_eq!((job.concurrency, job.rate, job.ready, job.ready_timeout), (8, Some(50), true, Duration::from_secs(30)));
    assert_eq!((job.headers["accept-language"].to_str().unwrap(), job.files.len()), ("de", 1));
    let usual = jobs("[[warm]]\nname = \"a\"\nurls = [\"http://a.example/\"]").remove(0);
    assert_eq!((usual.on_start, usual.on_reload, usual.every, usual.concurrency, usual.rate), (true, false, None, 4, None));
    assert_eq!((usual.ready, usual.ready_timeout), (false, Duration::from_secs(60)));
}

#[test]
fn mistakes_in_a_job_are_reported() {
    for (keys, complaint) in [
        ("urls = [\"http://a.example/\"]", "[[warm]] needs the key `name`"),
        ("name = \"a b\"\nurls = [\"http://a.example/\"]", "`a b` is not a name for a job"),
        ("name = \"a\"", "the job names nothing to fetch"),
        ("name = \"a\"\nurls = [\"/a\"]", "`/a` is a path, and the job names no host"),
        ("name = \"a\"\nhost = \"a..b\"\nurls = [\"http://a.example/\"]", "`a..b` is no host"),
        ("name = \"a\"\nurls = [\"ftp://a.example/\"]", "`ftp://a.example/` is nothing to fetch"),
        ("name = \"a\"\nurls_file = \"/no/such\"", "cannot read the URLs in /no/such"),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\nheaders = { host = \"b\" }", "`host` is not the job's to say"),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\nrate = \"50\"", "`50` is not a number of requests a second"),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\non = [\"purge\"]", "`purge` is not a value of `on`"),
        (
            "name = \"a\"\nurls = [\"http://a.example/\"]\non = [\"reload\"]\nready = true",
            "`ready` waits for a job that does not run at the start",
        ),
    ] {
        let told = complaints(&format!("[[warm]]\n{keys}"));
        assert!(told.len() == 1 && told[0].contains(complaint) && told[0].contains("(hint: "), "{keys}: {told:?}");
    }
    let twice = "[[warm]]\nname = \"a\"\nurls = [\"http://a.example/\"]\n".repeat(2);
    assert!(complaints(&twice)[0].contains("there are two jobs called `a`"));
}
