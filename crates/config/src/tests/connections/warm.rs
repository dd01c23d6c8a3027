//! `[[warm]]`, from text to data.

use std::time::Duration;

use super::super::{complaints, config};
use crate::{WarmJob, WarmSource};

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
    let WarmSource::Urls(urls) = &job.sources[0] else { panic!("{job:?}") };
    let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
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
        ("name = \"a\"\nurls = [\"http://a.example/\"]\non = [\"stop\"]", "`stop` is not a value of `on`"),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\nat = \"3:00\"", "`3:00` is not a time of day"),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\nat = \"24:00\"", "`24:00` is not a time of day"),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\nat = \"03:00\"\nevery = \"1h\"", "a job with `every` has no time of day"),
        ("name = \"a\"\nsitemap = \"http://a.example/s.xml\"\non = [\"purge\"]", "nobody knows beforehand what a purge reaches"),
        ("name = \"a\"\nfrom = \"http://a.example/\"", "[[warm]] needs the key `each`"),
        ("name = \"a\"\nfrom = \"http://a.example/\"\neach = \"$.[\"", "`$.[` is not a JSONPath: "),
        ("name = \"a\"\nfrom = \"http://a.example/\"\neach = \"items\"", "`items` is not a JSONPath: "),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\npages = 3", "`pages` is about a list, and the job has none"),
        ("name = \"a\"\nfrom = \"http://a.example/\"\neach = \"$[*]\"\nurl = \"http://a.example/b\"", "has no place for an item"),
        ("name = \"a\"\nfrom = \"http://a.example/\"\neach = \"$[*]\"\nurl = \"/b/{}\"", "`/b/0` is a path, and the job names no host"),
        ("name = \"a\"\ntop = 0", "`0` is out of range for `top`"),
        ("name = \"a\"\naccess_log = \"/no/such\"", "cannot read the access log /no/such"),
        ("name = \"a\"\nurls = [\"http://a.example/\"]\nvariants = [{ host = \"b\" }]", "`host` is not the job's to say"),
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

#[test]
fn a_job_may_take_its_urls_from_lists_sitemaps_logs_and_what_is_asked_for() {
    let folder = tempfile::TempDir::new().unwrap();
    let log = folder.path().join("access.log");
    std::fs::write(&log, "").unwrap();
    let text = format!(
        "[[warm]]\nname = \"boards\"\nhost = \"a.example\"\nfrom = \"/orgs?limit=1000\"\neach = \"$.items[*].id\"\nurl = \"/orgs/{{}}/board\"\n\
         follow = \"next\"\npages = 7\nsitemap = \"/sitemap.xml\"\naccess_log = {log:?}\ntop = 500\non = [\"purge\"]\nat = \"03:30\"\n\
         variants = [{{ accept-encoding = \"br\" }}, {{ accept-encoding = \"gzip\" }}]"
    );
    let job = jobs(&text).remove(0);
    let [WarmSource::List(list), WarmSource::Sitemap(sitemap), WarmSource::AccessLog(path), WarmSource::Hot(500)] = &job.sources[..] else {
        panic!("{job:?}");
    };
    assert_eq!((list.from.to_string(), list.url.as_deref()), ("http://a.example/orgs?limit=1000".to_owned(), Some("/orgs/{}/board")));
    let answer = serde_json::json!({ "items": [{ "id": 7 }, { "id": "b" }] });
    assert_eq!(list.each.query(&answer).all(), [&serde_json::json!(7), &serde_json::json!("b")]);
    assert_eq!((list.follow, list.pages, sitemap.path(), path), (true, 7, "/sitemap.xml", &log));
    let codings: Vec<_> = job.variants.iter().map(|variant| variant["accept-encoding"].to_str().unwrap()).collect();
    assert_eq!((codings, job.on_start, job.on_purge, job.at.is_some()), (vec!["br", "gzip"], false, true, true));
    let usual = jobs("[[warm]]\nname = \"a\"\nfrom = \"http://a.example/\"\neach = \"$[*]\"").remove(0);
    let WarmSource::List(list) = &usual.sources[0] else { panic!("{usual:?}") };
    assert_eq!((list.url.as_deref(), list.follow, list.pages), (None, false, 100));
}

#[test]
fn paths_belong_to_the_host_of_all_routes_where_the_job_names_none() {
    let routes = "[[routes]]\npath = \"/a\"\nhost = \"A.example\"\n[[routes]]\npath = \"/b\"\n";
    let job = jobs(&format!("{routes}[[warm]]\nname = \"a\"\nurls = [\"/a\"]")).remove(0);
    assert_eq!(job.sources, [WarmSource::Urls(vec!["http://a.example/a".parse().unwrap()])]);
    let two = format!("{routes}[[routes]]\npath = \"/c\"\nhost = \"b.example\"\n[[warm]]\nname = \"a\"\nurls = [\"/a\"]");
    assert!(complaints(&two)[0].contains("`/a` is a path, and the job names no host"));
}

#[test]
fn what_is_kept_has_a_place_that_does_not_depend_on_where_the_process_starts() {
    assert_eq!(
        config("[server]\nstate_dir = \"/var/lib/larder\"").server.state_dir.as_deref(),
        Some(std::path::Path::new("/var/lib/larder"))
    );
    let told = complaints("[server]\nstate_dir = \"state\"");
    assert!(told.len() == 1 && told[0].contains("`state` is not an absolute path (hint: like \"/var/lib/larder\")"), "{told:?}");
}
