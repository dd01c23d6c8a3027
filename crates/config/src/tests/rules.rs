//! One line for each rule: what is given, and the complaint with its place and hint.

use super::{assert_complaint, complaints, config, in_cache, in_route};
use crate::model::{OnLeak, VerifyMode};
use larder_message::forward::HostPolicy;

#[test]
fn types() {
    in_cache("ttl = 60", r#"2:7: error: `ttl` cannot be an integer (hint: write the unit, in quotes: "60s")"#);
    in_cache("max_object = 64", r#"2:14: error: `max_object` cannot be an integer (hint: write the unit, in quotes: "64B")"#);
    in_cache("cache = \"no\"", "2:9: error: `cache` cannot be a string (hint: expected true or false, without quotes)");
    in_cache("key_version = \"1\"", "2:15: error: `key_version` cannot be a string (hint: expected a whole number, without quotes)");
    in_cache("query = true", "2:9: error: `query` cannot be a boolean (hint: expected a table: [cache.query])");
    in_cache(
        "bypass = { from = \"::/0\" }",
        r#"2:19: error: `from` cannot be a string (hint: expected a list of networks in quotes, like "10.0.0.0/8")"#,
    );
    in_cache("bypass = true", "2:10: error: `bypass` cannot be a boolean (hint: expected a table: [cache.bypass])");
    assert_complaint("cache = 5", "1:9: error: `cache` cannot be an integer (hint: expected a table: [cache])");
    assert_complaint("routes = { path = \"/\" }", "1:10: error: `routes` cannot be a table (hint: expected [[routes]], once for each)");
}

#[test]
fn limits() {
    in_cache("key_version = -1", "2:15: error: `-1` is out of range for `key_version` (hint: from 0 to 4294967295)");
    in_cache(
        "key_version = 99999999999999999999999",
        "2:15: error: `99999999999999999999999` is out of range for `key_version` (hint: from 0 to 4294967295)",
    );
    assert_complaint(
        "[server]\nmax_header_bytes = \"1KiB\"",
        r#"2:20: error: `1KiB` is too small for `max_header_bytes` (hint: at least "8KiB")"#,
    );
    assert_complaint("[store.memory]\ncapacity = \"99TiB\"", r#"2:12: error: `99TiB` is too large for `capacity` (hint: at most "16TiB")"#);
    assert_complaint(
        "[server]\nheader_read_timeout = \"0s\"",
        r#"2:23: error: `header_read_timeout` cannot be zero (hint: nothing would ever be in time; give a long one, like "1h", to wait)"#,
    );
}

#[test]
fn trusted_proxies_and_their_claims() {
    assert_complaint(
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\ntrust = [\"for\", \"hots\"]",
        r#"3:17: error: `hots` is not a value of `trust` (hint: did you mean "host"?)"#,
    );
    assert_complaint(
        "[server]\ntrust = [\"host\"]",
        "2:9: warning: `trust` says what is believed of `trusted_proxies`, and there are none (hint: add trusted_proxies = [\"10.0.0.0/8\"], or \
         leave it out)",
    );
    assert_complaint(
        "[server]\ntrust = \"host\"",
        r#"2:9: error: `trust` cannot be a string (hint: expected a list of "for", "proto", "host", "client-cert")"#,
    );
}

#[test]
fn words() {
    in_cache("odd_paths = \"pas\"", r#"2:13: error: `pas` is not a value of `odd_paths` (hint: did you mean "pass"?)"#);
    in_route(
        "odd_paths = \"cache\"",
        "3:13: warning: `odd_paths = \"cache\"` may store one route's response under another's settings (hint: leave it out, unless the backend \
         takes every path as it was sent)",
    );
    in_cache("ttl_mode = \"overide\"", r#"2:12: error: `overide` is not a value of `ttl_mode` (hint: did you mean "override"?)"#);
    in_cache("scope = \"user\"", r#"2:9: error: `user` is not a value of `scope` (hint: expected one of "public", "identity")"#);
    in_cache(
        "unsafe_ignore = []\nidentity = [\"authorization\"]",
        r#"3:13: error: `authorization` is not a part of an identity (hint: write "header:NAME", "cookie:NAME", "query:NAME", "jwt:CLAIM" or "client-cert")"#,
    );
    in_cache("namespace = \"a:b\"", "2:13: error: `a:b` is not a namespace (hint: letters, digits, `-`, `_` and `.`)");
}

#[test]
fn an_identity_is_made_of_something() {
    in_cache(
        "scope = \"identity\"\nidentity = []",
        r#"3:12: error: `scope = "identity"` without any `identity` would share everything (hint: name what tells users apart: "header:authorization", "cookie:session")"#,
    );
}

#[test]
fn targeted_fields() {
    in_cache(
        "targeted = [\"a b\"]",
        r#"2:13: error: `a b` is not the name of a field (hint: like "CDN-Cache-Control" or "Surrogate-Control")"#,
    );
    for name in ["cache-control", "Expires"] {
        in_cache(
            &format!("targeted = [\"{name}\"]"),
            &format!("2:13: error: `{name}` is not a targeted field (hint: leave it out: it counts wherever no targeted field does)"),
        );
    }
    in_cache(
        "targeted = [\"A\", \"b\", \"a\"]",
        "2:23: error: `a` is listed twice (hint: remove one of them: the first valid one of a response counts)",
    );
    in_cache(
        "targeted = \"Surrogate-Control\"",
        r#"2:12: error: `targeted` cannot be a string (hint: expected a list of field names in quotes, like "CDN-Cache-Control")"#,
    );
}

#[test]
fn unknown_keys_name_the_nearest_or_where_they_stand() {
    assert_complaint("[server]\nlisten_on = \"x\"", "2:1: error: unknown key `listen_on` in [server] (hint: did you mean `listen`?)");
    in_cache("max-object = \"1MiB\"", "2:1: error: unknown key `max-object` in [cache] (hint: did you mean `max_object`?)");
    assert_complaint(
        "listen = \"127.0.0.1:80\"",
        "1:1: error: unknown key `listen` in the file (hint: `listen` stands in [server] or [admin])",
    );
    assert_complaint(
        "[server]\nttl = \"5m\"",
        "2:1: error: unknown key `ttl` in [server] (hint: `ttl` stands in [cache], [classes.NAME] or [[routes]])",
    );
    assert_complaint("[route]", "1:2: error: unknown key `route` in the file (hint: did you mean `routes`?)");
    in_cache("query = { sorted = true }", "2:11: error: unknown key `sorted` in [cache.query] (hint: did you mean `sort`?)");
}

#[test]
fn an_admin_listener_that_others_reach_answers_probes_only_unless_there_are_tokens() {
    assert_complaint(
        "[admin]\nlisten = \"0.0.0.0:8090\"",
        r#"2:10: warning: on the admin listener `0.0.0.0:8090` only /healthz and /readyz will answer: there is no token to ask others for (hint: add [[admin.tokens]] for the rest, or use a loopback address, like "127.0.0.1:8090")"#,
    );
}

#[test]
fn one_address_is_listed_once() {
    assert_complaint(
        "[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
        "2:26: error: `127.0.0.1:1` is listed twice (hint: remove one of them)",
    );
    assert_complaint("[server]\nlisten = []", r#"2:10: error: `listen` names no address (hint: like ["127.0.0.1:8080", "[::1]:8080"])"#);
}

#[test]
fn an_unlikely_setting_is_a_warning() {
    in_cache(
        "ttl = \"25h\"",
        "2:7: warning: a `ttl` of 25h is longer than a day (hint: a mistake in a response stays that long; raise `key_version` to forget what is stored)",
    );
    in_cache(
        "unsafe_ignore = [\"private\"]",
        r#"2:17: warning: `unsafe_ignore` may hand one user's response to another (hint: `scope = "identity"` keeps one response per user without this risk)"#,
    );
    in_cache(
        "ttl_mode = \"cap\"",
        r#"2:12: warning: this `ttl_mode` without a `ttl` keeps everything stale from the start (hint: give a `ttl`, if only "0s" to say that it is meant)"#,
    );
    assert_complaint(
        "[store.memory]\ncapacity = \"1MiB\"\n[cache]\nmax_object = \"2MiB\"",
        "4:14: warning: `max_object` is larger than any store takes, 1MiB (hint: bodies of that size are never stored; raise `capacity` in [store.memory], or `max_object` in [store.disk])",
    );
    assert_complaint(
        "[[routes]]\npath = \"/issues/:id\"",
        "2:8: warning: `/issues/:id` is taken letter by letter (hint: for any text write {id})",
    );
}

#[test]
fn an_upstream_is_not_larder_itself() {
    assert_complaint(
        "[upstreams.b]\nurl = \"http://127.0.0.1:8080/\"",
        "2:7: error: upstream `b` is Larder's own listener, 127.0.0.1:8080 (hint: requests would go round in circles; give the backend's address)",
    );
}

#[test]
fn tls_settings_fit_the_scheme_of_the_upstream() {
    let readable = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert_complaint(
        "[upstreams.b]\nurl = \"https://b\"\nh2c = true",
        r#"3:7: error: `h2c` is HTTP/2 without TLS, and this upstream's url is https (hint: leave it out; over https HTTP/2 is negotiated where `host = "upstream"`)"#,
    );
    assert_complaint(
        &format!("[upstreams.b]\nurl = \"http://b\"\nca_file = \"{readable}\""),
        "3:11: warning: `ca_file` has no effect: this upstream's url is not https (hint: leave it out, or begin the url with https://)",
    );
    assert_complaint(
        "[upstreams.b]\nurl = \"https://b\"\nca_file = \"/nowhere/ca.pem\"",
        "3:11: error: cannot read `/nowhere/ca.pem`: entity not found (hint: a path is relative to the directory in which larder is started)",
    );
}

#[test]
fn every_upstream_key_reaches_the_upstream() {
    let ca_file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = format!(
        "[upstreams.b]\nurl = \"https://b:8443/v2\"\nconnect_timeout = \"2s\"\nfirst_byte_timeout = \"3s\"\nidle_timeout = \"0s\"\nmax_idle = 5\nhost = \"upstream\"\nca_file = \"{ca_file}\""
    );
    let upstream = &config(&text).upstreams[1];
    let seconds = [upstream.connect_timeout, upstream.first_byte_timeout, upstream.idle_timeout].map(|timeout| timeout.as_secs());
    assert_eq!((seconds, upstream.max_idle, upstream.host, upstream.h2c), ([2, 3, 0], 5, HostPolicy::Upstream, false));
    let url = &upstream.servers[0].url;
    assert_eq!((url.scheme().as_str(), url.authority().as_str(), url.base_path()), ("https", "b:8443", "/v2"));
    assert_eq!(upstream.ca_file.as_deref(), Some(std::path::Path::new(ca_file)));
}

#[test]
fn names_of_upstreams_fit_into_metrics_and_fields() {
    assert_complaint(
        "[upstreams.\"a b\"]\nurl = \"http://b\"",
        "1:12: error: `a b` is not a name for an upstream (hint: letters, digits, `-`, `_` and `.`)",
    );
}

#[test]
fn a_sentence_that_quotes_a_value_masks_its_password() {
    in_route("upstream = \"http://me:hunter2@h\"", "3:12: error: unknown upstream `http://***@h` (hint: known upstreams: `api`)");
}

#[test]
fn verification_is_read_turned_off_and_refused() {
    let config = config(
        "[cache]\nverify = { sample = 0.5, mode = \"shadow\", ignore = [\"$.at\"], on_leak = \"stop\" }\n[[routes]]\npath = \"/a\"\nverify = false",
    );
    let verify = config.fallback.and_then(|route| route.settings.verify).expect("it is on");
    assert_eq!((verify.sample, verify.mode, verify.on_leak), (0.5, VerifyMode::Shadow, OnLeak::Stop));
    assert_eq!((verify.ignore.len(), verify.fields), (1, vec![http::header::CONTENT_TYPE]));
    assert_eq!(config.routes[0].settings.verify, None);
    in_cache("verify = true", "2:10: error: `verify` cannot be a boolean (hint: expected a table: [cache.verify])");
    in_cache("verify = { sample = 2 }", "2:21: error: `sample` is not a share (hint: from 0.0 to 1.0; 0.2 is a fifth)");
    in_cache("verify = { mode = \"shadwo\" }", "2:19: error: `shadwo` is not a value of `mode` (hint: did you mean \"shadow\"?)");
    let lines = complaints("[cache]\nverify = { ignore = [\"at\"] }");
    assert!(lines.len() == 1 && lines[0].contains("`at` is not a JSONPath"), "{lines:?}");
}

#[test]
fn verification_of_a_route_keeps_what_it_does_not_name() {
    let config = config(
        "[cache]\nverify = { sample = 0.07, mode = \"shadow\", fields = [\"etag\"], ignore = [\"$.at\"], on_leak = \"stop\" }\n[classes.off]\nverify = false\n[[routes]]\npath = \"/a\"\nverify = { sample = 0.29 }\n[[routes]]\npath = \"/b\"\nclass = \"off\"\nverify = { sample = 0.5 }",
    );
    let [a, b] = [0, 1].map(|route| config.routes[route].settings.verify.clone().expect("it is on"));
    assert_eq!((a.sample, a.mode, a.on_leak), (0.29, VerifyMode::Shadow, OnLeak::Stop));
    assert_eq!((a.fields, a.ignore.len()), (vec![http::header::ETAG], 1));
    assert_eq!(
        (b.sample, b.mode, b.on_leak, b.ignore.len()),
        (0.5, VerifyMode::Check, OnLeak::Report, 0),
        "`false` leaves nothing to inherit"
    );
}
