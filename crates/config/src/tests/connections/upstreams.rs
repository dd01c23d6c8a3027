//! Limits, breakers and servers of upstreams, from text to data.

use std::time::Duration;

use super::super::{complaints, config};
use crate::{Balance, BreakerLimit, Eject, HashKey, HashPart, HealthCheck, Limit, PerMille, Resolve, Retry, RetryMethods, Upstream};

fn of(keys: &str) -> (Limit, Option<BreakerLimit>) {
    let config = config(&format!("[upstreams.b]\nurl = \"http://b\"\n{keys}"));
    (config.upstreams[1].limit, config.upstreams[1].breaker)
}

#[test]
fn an_upstream_has_a_limit_and_a_breaker_unless_it_is_said_otherwise() {
    let usual = (Limit { max_requests: 200, queue: 100, wait: Duration::from_secs(1) }, Some(BreakerLimit::default()));
    assert_eq!(of(""), usual);
    assert_eq!(of("max_requests = 200\nqueue = { max = 100, wait = \"1s\" }\nbreaker = { failures = 5, open = \"5s\" }"), usual);
    let (limit, breaker) = of("max_requests = 7\nqueue = { wait = \"3s\" }\nbreaker = { failures = 2 }");
    assert_eq!(limit, Limit { max_requests: 7, queue: 100, wait: Duration::from_secs(3) });
    assert_eq!(breaker, Some(BreakerLimit { failures: 2, open: Duration::from_secs(5) }));
    assert_eq!(of("max_requests = 0\nbreaker = false"), (Limit { max_requests: 0, ..Limit::default() }, None));
}

#[test]
fn mistakes_in_limits_are_reported() {
    for (keys, complaint) in [
        ("breaker = true", "3:11: error: `breaker` cannot be a boolean (hint: expected a table: [upstreams.b.breaker])"),
        ("breaker = { failures = 0 }", "3:24: error: `0` is out of range for `failures` (hint: from 1 to 1000)"),
        (
            "breaker = { open = \"0s\" }",
            r#"3:20: error: `open` cannot be zero (hint: nothing would ever be in time; give a long one, like "1h", to wait)"#,
        ),
        ("max_requests = -1", "3:16: error: `-1` is out of range for `max_requests` (hint: from 0 to 1000000)"),
        (
            "max_requests = 0\nqueue = { max = 1 }",
            "4:9: warning: `queue` has no effect: `max_requests` is 0, so no request waits (hint: leave it out, or set max_requests)",
        ),
    ] {
        assert_eq!(complaints(&format!("[upstreams.b]\nurl = \"http://b\"\n{keys}")), [format!("config.toml:{complaint}")]);
    }
}

#[test]
fn the_least_rate_of_uploads_is_the_servers() {
    assert_eq!(config("").server.options.min_upload_rate, 1024);
    assert_eq!(config("[server]\nmin_upload_rate = \"0B\"").server.options.min_upload_rate, 0);
    assert_eq!(config("[server]\nmin_upload_rate = \"2KiB\"").server.options.min_upload_rate, 2048);
    let listeners = "[server]\nmin_upload_rate = \"2KiB\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\n\
        [[listeners]]\naddress = \"127.0.0.1:2\"\nmin_upload_rate = \"3KiB\"";
    let rates: Vec<_> = config(listeners).server.listeners.iter().map(|listener| listener.options.min_upload_rate).collect();
    assert_eq!(rates, [2048, 3072], "and a listener's own");
}

const TWO: &str = "[upstreams.b]\nservers = [\"http://a\", \"http://b\"]";

fn two(keys: &str) -> Upstream {
    config(&format!("{TWO}\n{keys}")).upstreams[1].clone()
}

#[test]
fn servers_are_urls_or_tables_with_weight_and_backup() {
    let text = "[upstreams.b]\nservers = [\"http://a\", { url = \"http://b\", weight = 2 }, { url = \"http://c\", backup = true }]";
    let upstream = config(text).upstreams[1].clone();
    let servers: Vec<_> = upstream.servers.iter().map(|server| (server.url.to_string(), server.weight, server.backup)).collect();
    let expected = [("http://a", 1, false), ("http://b", 2, false), ("http://c", 1, true)];
    assert_eq!(servers, expected.map(|(url, weight, backup)| (url.to_owned(), weight, backup)));
}

#[test]
fn several_servers_are_ejected_and_retried_by_default_and_a_single_one_is_not() {
    let single = config("[upstreams.b]\nurl = \"http://b\"").upstreams[1].clone();
    assert_eq!((single.balance, single.eject, single.retry), (Balance::LeastTime, None, None));
    let several = two("");
    assert_eq!((several.eject, several.retry.clone()), (Some(Eject::default()), Some(Retry::default())));
    let written = "balance = \"least-time\"\nwarm_up = \"0s\"\neject = { failures = 5, within = \"10s\", for = \"30s\", max_share = 0.5 }
        retry = { max = 1, on = [\"connect\", \"reset\", \"timeout\", \"502\", \"503\", \"504\"], budget = 0.2, only = \"safe\" }"
        .replace("\n        ", "\n");
    assert_eq!(two(&written), several);
    let off = two("eject = false\nretry = false");
    assert_eq!((off.eject, off.retry), (None, None));
}

#[test]
fn every_key_of_balancing_reaches_the_upstream() {
    let upstream = two("balance = \"hash:{host}/{cookie.sid}\"\nwarm_up = \"30s\"\n\
        eject = { failures = 2, within = \"3s\", for = \"4s\", max_share = 1 }\n\
        retry = { max = 3, on = [\"connect\", \"500\"], budget = 0.05, only = \"idempotent\" }");
    let parts = vec![HashPart::Host, HashPart::Text("/".into()), HashPart::Cookie("sid".into())];
    assert_eq!((upstream.balance, upstream.warm_up), (Balance::Hash(HashKey { parts }), Duration::from_secs(30)));
    let seconds = Duration::from_secs;
    assert_eq!(upstream.eject, Some(Eject { failures: 2, within: seconds(3), pause: seconds(4), max_share: PerMille(1000) }));
    let retry = upstream.retry.expect("configured");
    assert_eq!((retry.max, retry.budget, retry.only), (3, PerMille(50), RetryMethods::Idempotent));
    let on = retry.on;
    assert_eq!((on.connect, on.reset, on.timeout, on.statuses), (true, false, false, vec![http::StatusCode::INTERNAL_SERVER_ERROR]));
}

#[test]
fn mistakes_in_servers_are_reported() {
    for (keys, complaint) in [
        (
            "",
            "1:1: error: [upstreams.b] needs the key `url` (hint: add url = \"http://127.0.0.1:3000\", or servers = [\"http://…\", \"http://…\"])",
        ),
        (
            "servers = []",
            "2:11: error: `servers` names no server (hint: like servers = [\"http://10.0.0.1:3000\", \"http://10.0.0.2:3000\"])",
        ),
        (
            "url = \"http://a\"\nservers = [\"http://b\"]",
            "2:7: error: `url` and `servers` both say where this upstream is (hint: keep `servers`, and add the url there if it is one more server)",
        ),
        (
            "servers = [\"http://a\", { url = \"http://b\", weight = 0 }]",
            "2:53: error: `0` is out of range for `weight` (hint: from 1 to 1000)",
        ),
        (
            "servers = [\"http://a\", { weight = 2 }]",
            "2:24: error: [upstreams.b.servers] needs the key `url` (hint: like { url = \"http://10.0.0.2:3000\", weight = 2 })",
        ),
        ("servers = [\"a\"]", "2:12: error: the upstream's url has no scheme (hint: begin with http:// or https://)"),
        (
            "servers = [\"http://a\", \"http://a/\"]",
            "2:24: error: `http://a` is listed twice (hint: name it once; `weight` gives it a larger share)",
        ),
        (
            "servers = [{ url = \"http://a\", backup = true }]",
            "2:11: error: every server is a backup, so none is asked first (hint: leave `backup = true` out of those that are to be asked all the time)",
        ),
        (
            "servers = \"http://a\"",
            "2:11: error: `servers` cannot be a string (hint: expected a list of URLs in quotes or tables, like { url = \"http://10.0.0.2:3000\", weight = 2 })",
        ),
    ] {
        assert_eq!(complaints(&format!("[upstreams.b]\n{keys}")), [format!("config.toml:{complaint}")]);
    }
}

#[test]
fn mistakes_in_balancing_are_reported() {
    const PARTS: &str = "{path}, {query}, {host}, {client}, {header.NAME} or {cookie.NAME}, like balance = \"hash:{path}\"";
    for (keys, complaint) in [
        ("balance = \"round_robin\"", "3:11: error: `round_robin` is not a value of `balance` (hint: did you mean \"round-robin\"?)".to_owned()),
        ("balance = \"hash:{pat}\"", format!("3:11: error: `{{pat}}` is not a part of a request (hint: {PARTS})")),
        ("balance = \"hash:a\"", format!("3:11: error: `hash:` names no part of a request, so one server would get them all (hint: {PARTS})")),
        ("balance = \"hash:{path\"", format!("3:11: error: a `{{` is not closed in `{{path` (hint: {PARTS})")),
        ("eject = { max_share = 1.5 }", "3:23: error: `max_share` is not a share (hint: from 0.0 to 1.0; 0.2 is a fifth)".to_owned()),
        (
            "retry = { budget = \"20%\" }",
            "3:20: error: `budget` cannot be a string (hint: expected a share, like 0.2, without quotes)".to_owned(),
        ),
        (
            "retry = { on = [\"404\"] }",
            "3:17: error: `404` is nothing that a request is sent again for (hint: expected some of \"connect\", \"reset\", \"timeout\", \"502\", \
             \"503\", \"504\", or another status from 500 to 599)"
                .to_owned(),
        ),
    ] {
        assert_eq!(complaints(&format!("{TWO}\n{keys}")), [format!("config.toml:{complaint}")]);
    }
}

#[test]
fn what_needs_several_servers_has_no_effect_with_one() {
    for key in ["balance = \"round-robin\"", "eject = { failures = 2 }", "warm_up = \"30s\""] {
        let name = key.split(' ').next().expect("a name");
        let place = name.len() + 4;
        let expected = format!(
            "config.toml:3:{place}: warning: `{name}` has no effect: this upstream has one server (hint: leave it out, or name more in \
             `servers`; `breaker` protects a single one)"
        );
        assert_eq!(complaints(&format!("[upstreams.b]\nurl = \"http://b\"\n{key}")), [expected]);
    }
}

#[test]
fn every_key_of_a_health_check_reaches_the_upstream() {
    let health = |keys: &str| config(&format!("[upstreams.b]\nurl = \"http://b\"\n{keys}")).upstreams[1].health.clone();
    assert_eq!(health(""), None);
    let usual = HealthCheck::new("/healthz");
    assert_eq!(health("health = { path = \"/healthz\" }"), Some(usual.clone()));
    let written = "{ path = \"/healthz\", every = \"5s\", timeout = \"1s\", rise = 2, fall = 3, status = \"2xx\", shared = true }";
    assert_eq!(health(&format!("health = {written}")), Some(usual));
    let quick = health("health = { path = \"/a?b\", every = \"500ms\", rise = 1, fall = 1, status = \"200-399\", shared = false }");
    let quick = quick.expect("configured");
    assert_eq!(
        (quick.every, quick.timeout),
        (Duration::from_millis(500), Duration::from_millis(500)),
        "the default is no longer than `every`"
    );
    assert_eq!((quick.path.as_str(), quick.rise, quick.fall, quick.status, quick.shared), ("/a?b", 1, 1, (200, 399), false));
}

#[test]
fn mistakes_in_health_checks_are_reported() {
    for (keys, complaint) in [
        ("{}", "3:10: error: [upstreams.b.health] needs the key `path` (hint: like health = { path = \"/healthz\" })"),
        ("{ path = \"healthz\" }", "3:19: error: `healthz` is not a path (hint: like \"/healthz\")"),
        ("{ path = \"/\", status = \"6xx\" }", "3:33: error: `6xx` names no statuses (hint: like \"2xx\", \"204\" or \"200-399\")"),
        (
            "{ path = \"/\", every = \"1s\", timeout = \"2s\" }",
            "3:48: error: a health check may take longer than the time between two of them (hint: make `timeout` at most `every`)",
        ),
    ] {
        let text = format!("[upstreams.b]\nurl = \"http://b\"\nhealth = {keys}");
        assert_eq!(complaints(&text), [format!("config.toml:{complaint}")]);
    }
}

#[test]
fn names_are_looked_up_again_where_that_is_asked_for() {
    let resolve = |text: &str| config(&format!("[upstreams.b]\n{text}")).upstreams[1].clone();
    assert_eq!(resolve("url = \"http://b\"").resolve, None);
    let looked_up = resolve("url = \"http://b\"\nresolve = {}\nbalance = \"round-robin\"");
    assert_eq!(
        (looked_up.resolve, looked_up.balance),
        (Some(Resolve { every: Duration::from_secs(30), server: None }), Balance::RoundRobin)
    );
    assert_eq!((looked_up.eject, looked_up.retry), (Some(Eject::default()), Some(Retry::default())), "there may be several");
    let of = |keys: &str| resolve(&format!("url = \"http://b\"\nresolve = {{ {keys} }}")).resolve.expect("it is looked up");
    assert_eq!(of("every = \"5s\"").every, Duration::from_secs(5));
    for (text, address) in [
        ("10.0.0.2", "10.0.0.2:53"),
        ("10.0.0.2:8600", "10.0.0.2:8600"),
        ("::1", "[::1]:53"),
        ("[::1]", "[::1]:53"),
        ("[::1]:5353", "[::1]:5353"),
    ] {
        assert_eq!(of(&format!("server = \"{text}\"")).server, Some(address.parse().expect("an address")), "{text}");
    }
    assert_eq!(of("server = \"\"").server, None, "the system's");
    for wrong in ["ns.example", "10.0.0.2:0", "10.0.0.2:x"] {
        let told = complaints(&format!("[upstreams.b]\nurl = \"http://b\"\nresolve = {{ server = \"{wrong}\" }}"));
        assert!(told.len() == 1 && told[0].contains("is no address of a name server"), "{told:?}");
    }
    assert_eq!(
        complaints("[upstreams.b]\nurl = \"http://10.0.0.1\"\nresolve = {}"),
        ["config.toml:3:11: warning: `resolve` has no effect: every server is named by its address (hint: leave it out)"]
    );
}

#[test]
fn a_service_is_looked_up_and_its_records_name_the_ports() {
    let service = |url: &str, keys: &str| complaints(&format!("[upstreams.b]\nurl = \"{url}\"\n{keys}"));
    assert!(service("http://_http._tcp.api.example", "resolve = {}").is_empty());
    assert!(service("https://_https._tcp.api.example", "resolve = {}\ntls = { server_name = \"api.example\" }").is_empty());
    for (url, keys, complaint) in [
        ("http://_http._tcp.api.example", "", "is a service, whose servers have to be looked up"),
        ("http://_http.api.example", "resolve = {}", "is no service that DNS has records of"),
        ("http://_http._tcp.api.example:80", "resolve = {}", "name the port of each server"),
        ("https://_https._tcp.api.example", "resolve = {}", "nobody says for whom the certificates of"),
    ] {
        let told = service(url, keys);
        assert!(told.len() == 1 && told[0].contains(complaint) && told[0].contains("(hint: "), "{url}: {told:?}");
    }
}

#[test]
fn tls_to_servers_is_read_with_its_files() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let (chain, key) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    let own = rcgen::generate_simple_self_signed(["larder.example".to_owned()]).expect("a certificate");
    std::fs::write(&chain, own.cert.pem()).expect("written");
    std::fs::write(&key, own.signing_key.serialize_pem()).expect("written");
    let tls = |keys: &str| format!("[upstreams.b]\nurl = \"https://b\"\ntls = {{ {keys} }}");
    let pair = format!("client_cert = {chain:?}, client_key = {key:?}");
    let config = config(&tls(&format!("{pair}, server_name = \"c.example\", ca_file = {chain:?}")));
    let upstream = &config.upstreams[1];
    assert!(upstream.client_certificate.is_some() && upstream.server_name.is_some());
    assert_eq!((upstream.ca_file.as_deref(), upstream.files.len()), (Some(&*chain), 3));
    assert_eq!(config.files().count(), 3, "they are watched");
    for (keys, complaint) in [
        (format!("client_cert = {chain:?}"), "`client_cert` and `client_key` go together"),
        (format!("client_cert = {key:?}, client_key = {key:?}"), "there is no certificate in"),
        (format!("client_cert = {chain:?}, client_key = \"/nowhere\""), "cannot read /nowhere"),
        ("server_name = \"a b\"".to_owned(), "`a b` is not a name that a certificate can be for"),
    ] {
        let told = complaints(&tls(&keys));
        assert!(told.len() == 1 && told[0].contains(complaint), "{keys}: {told:?}");
    }
    let clear = complaints(&tls(&pair).replace("https", "http"));
    assert!(clear.len() == 1 && clear[0].contains("warning: `tls` has no effect: this upstream's url is not https"), "{clear:?}");
}
