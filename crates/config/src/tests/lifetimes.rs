//! Lifetimes of a route: which it gives, and which it tells.

use http::StatusCode;
use larder_semantics::{CdnTtl, ClientTtl, EtagSource, Policy, StatusTtls, Statuses, TtlMode};

use super::{complaints, config, in_cache};

fn policy(text: &str) -> Policy {
    config(&format!("[cache]\n{text}")).fallback.unwrap().settings.policy
}

#[test]
fn every_key_of_lifetimes_reaches_the_settings() {
    let policy = policy(
        r#"
        ttl = { default = "5m", "404" = "10s", "5xx" = "1s" }
        ttl_mode = "sliding"
        sliding_max = "2h"
        max_ttl = "1h"
        client_ttl = "0s"
        cdn_ttl = { ttl = "10m", field = "Surrogate-Control" }
        etag = "body"
        min_origin_time = "50ms"
        min_hits = 2
        refresh_ahead = 0.8
        refresh_ahead_hits = 2
        refresh_jitter = true
        ttl_jitter = 0.1
        stale_if_slow = "300ms""#,
    );
    let ttls = StatusTtls::default().with(Statuses::One(StatusCode::NOT_FOUND), 10).with(Statuses::Class(5), 1);
    assert_eq!((policy.ttl, policy.status_ttls), (300, ttls));
    assert_eq!((policy.ttl_mode, policy.sliding_max, policy.max_ttl), (TtlMode::Sliding, 7200, Some(3600)));
    let cdn_ttl = CdnTtl { seconds: 600, field: http::HeaderName::from_static("surrogate-control") };
    assert_eq!((policy.client_ttl, policy.cdn_ttl), (ClientTtl::Fixed(0), Some(cdn_ttl)));
    assert_eq!((policy.etag, policy.min_origin_time, policy.min_hits), (EtagSource::Body, 50, 2));
    assert_eq!((policy.refresh_ahead, policy.refresh_ahead_hits, policy.refresh_jitter), (Some(800), 2, true));
    assert_eq!((policy.ttl_jitter, policy.stale_if_slow), (100, 300));
}

#[test]
fn what_refreshes_nothing_is_reported() {
    in_cache(
        "refresh_ahead = 1.0",
        "2:17: error: `refresh_ahead` is a part of the lifetime: more than nothing of it, and less than all (hint: 0.8 begins the next fetch after four \
         fifths; false never does)",
    );
    in_cache("refresh_ahead_hits = 4", "2:22: error: `4` is out of range for `refresh_ahead_hits` (hint: from 1 to 3)");
    in_cache(
        "ttl_jitter = 0.6",
        "2:14: error: `ttl_jitter` takes more than half of a lifetime (hint: 0.1 makes lifetimes up to a tenth shorter; 0.5 is the most)",
    );
    for key in ["refresh_ahead_hits = 2", "refresh_jitter = true"] {
        let name = key.split(' ').next().unwrap();
        let column = key.find("= ").unwrap() + 3;
        let expected = format!("2:{column}: warning: `{name}` without `refresh_ahead` does nothing (hint: add refresh_ahead = 0.8)");
        in_cache(key, &expected);
        assert_eq!(complaints(&format!("[cache]\n{key}\n[[routes]]\npath = \"/a\"\nttl = \"1m\"\nrefresh_ahead = 0.5")), [""; 0]);
    }
    in_cache(
        "stale_if_slow = \"1s\"",
        "2:17: warning: `stale_if_slow` without `stale_if_error` counts only where the backend sends stale-if-error (hint: add stale_if_error = \"10m\": \
         that long a stale response may be served)",
    );
}

#[test]
fn a_route_takes_back_what_it_inherits() {
    let text = "[cache]\nttl = { \"404\" = \"10s\" }\nmax_ttl = \"1h\"\nclient_ttl = \"1m\"\ncdn_ttl = \"1m\"\netag = \"body\"\nrefresh_ahead = 0.8\n\
                [[routes]]\npath = \"/a\"\nttl = \"1m\"\nmax_ttl = false\nclient_ttl = \"route\"\ncdn_ttl = \"origin\"\netag = \"origin\"\nrefresh_ahead = false";
    let policy = config(text).routes.remove(0).settings.policy;
    assert_eq!((policy.ttl, policy.status_ttls, policy.max_ttl), (60, StatusTtls::default(), None), "the nearest `ttl` counts as a whole");
    assert_eq!((policy.client_ttl, policy.cdn_ttl, policy.etag), (ClientTtl::Route, None, EtagSource::Origin));
    assert_eq!(policy.refresh_ahead, None);
}

#[test]
fn protections_are_given_up_by_name() {
    let policy = policy("unsafe_ignore = [\"no-cache\", \"pragma\", \"vary:User-Agent\", \"vary:origin\"]");
    assert!(policy.unsafe_ignore.no_cache && policy.unsafe_ignore.pragma && !policy.unsafe_ignore.no_store);
    assert_eq!(policy.ignore_vary, ["user-agent", "origin"]);
    let lines = complaints("[cache]\nunsafe_ignore = [\"vary:*/\", \"nocache\"]");
    assert_eq!(
        lines,
        [
            "config.toml:2:18: error: `*/` is not the name of a field (hint: like \"vary:user-agent\", one field each)",
            "config.toml:2:29: error: `nocache` is not a value of `unsafe_ignore` (hint: did you mean \"no-cache\"?)",
        ]
    );
}

#[test]
fn a_wrong_lifetime_is_reported_where_it_stands() {
    in_cache("ttl = 60", "2:7: error: `ttl` cannot be an integer (hint: write the unit, in quotes: \"60s\")");
    in_cache("ttl = { \"404\" = 10 }", "2:17: error: `404` of `ttl` cannot be an integer (hint: write the unit, in quotes: \"10s\")");
    in_cache("ttl = { \"4xy\" = \"10s\" }", "2:9: error: `4xy` is no status (hint: \"404\", \"5xx\", or `default` for all others)");
    in_cache(
        "ttl = { \"429\" = \"10s\" }",
        "2:9: error: an answer with status 429 is never stored by a lifetime of its own (hint: it is about one request only; leave it out)",
    );
    in_cache(
        "max_ttl = \"0s\"",
        "2:11: error: a `max_ttl` of nothing keeps nothing (hint: false is no limit; `cache = false` passes by the cache)",
    );
    in_cache(
        "client_ttl = \"never\"",
        "2:14: error: `never` is not a value of `client_ttl` (hint: \"route\", \"origin\", or a duration: \"0s\" makes clients validate each time)",
    );
    in_cache("cdn_ttl = { field = \"CDN-Cache-Control\" }", "2:11: error: [cache.cdn_ttl] needs the key `ttl` (hint: like ttl = \"10m\")");
    in_cache("min_hits = 0", "2:12: error: `0` is out of range for `min_hits` (hint: from 1 to 100)");
    in_cache("etag = \"hash\"", "2:8: error: `hash` is not a value of `etag` (hint: expected one of \"origin\", \"body\")");
}

#[test]
fn lifetimes_that_come_to_nothing_are_warned_about() {
    in_cache(
        "ttl = \"2h\"\nmax_ttl = \"1h\"",
        "3:11: warning: this `max_ttl` is shorter than the `ttl`, which is never reached (hint: no lifetime is longer than `max_ttl`, whoever \
         names it)",
    );
    in_cache(
        "ttl = \"2h\"\nttl_mode = \"sliding\"\nsliding_max = \"1h\"",
        "4:15: warning: this `sliding_max` is no longer than the `ttl`, so that no use extends it (hint: make it longer than `ttl`)",
    );
    in_cache(
        "ttl = \"2h\"\nsliding_max = \"1h\"",
        "3:15: warning: `sliding_max` counts with `ttl_mode = \"sliding\"` only (hint: add that, or leave it out)",
    );
}

/// The route `/a/{id}` with its tags and these settings, and a write that purges.
fn purging(settings: &str, purge: &str) -> Vec<String> {
    complaints(&format!(
        "[[routes]]\nname = \"a\"\npath = \"/a/{{id}}\"\ntags = [\"a:{{id}}\"]\n{settings}\n\
         [[on_write]]\npath = \"/b/{{id}}\"\npurge = [\"{purge}\"]"
    ))
}

#[test]
fn a_lifetime_that_clients_keep_beyond_a_purge_is_warned_about() {
    for purge in ["tag:a:{id}", "route:a", "url:/a/{id}?x=1", "namespace:default", "all"] {
        let lines = purging("ttl = \"5m\"", purge);
        let [line] = &lines[..] else { panic!("{purge}: {lines:?}") };
        assert!(line.contains("warning: clients keep answers of route `a` for up to 5m, and no purge reaches them"), "{line}");
        for settings in ["", "ttl = \"5m\"\nclient_ttl = \"0s\"", "ttl = \"5m\"\nclient_ttl = \"origin\"", "ttl = \"5m\"\ncache = false"] {
            assert_eq!(purging(settings, purge), [""; 0], "{settings} {purge}");
        }
    }
    assert!(purging("client_ttl = \"30s\"", "route:a")[0].contains("for up to 30s"));
    assert!(purging("ttl = { \"404\" = \"10s\" }", "route:a")[0].contains("for up to 10s"));
    assert!(purging("ttl = \"5m\"\nmax_ttl = \"1m\"", "route:a").iter().any(|line| line.contains("for up to 1m")));
    assert!(purging("ttl = \"5m\"\nscope = \"identity\"", "identity")[0].contains("for up to 5m"));
    assert_eq!(purging("ttl = \"5m\"", "identity"), [""; 0]);
    assert_eq!(purging("ttl = \"5m\"", "url:/c/{id}"), [""; 0]);
}

#[test]
fn what_clients_keep_of_a_less_specific_path_is_no_matter_of_a_purged_url() {
    // Every other path has five minutes, by the route that stands for what no route takes, and by one that is written out.
    let with = |more: &str| purging(&format!("ttl = \"5m\"\nclient_ttl = \"0s\"\n{more}[cache]\nttl = \"5m\""), "url:/a/{id}");
    assert_eq!(with(""), [""; 0]);
    assert_eq!(with("[[routes]]\nname = \"rest\"\npath = \"/{*rest}\"\n"), [""; 0]);
    // One for a host goes before, and writes do not take what is read.
    assert!(with("[[routes]]\nname = \"host\"\nhost = \"h\"\npath = \"/{*rest}\"\n")[0].contains("route `host`"));
    assert!(with("methods = [\"POST\"]\n").iter().any(|line| line.contains("route `default`")));
}

#[test]
fn an_event_reaches_routes_by_absolute_urls() {
    let event = "[[routes]]\nname = \"a\"\npath = \"/a/{id}\"\nttl = \"5m\"\n\
                 [[on_event]]\ntype = \"moved\"\npurge = [\"url:https://h/a/{id}\"]";
    assert!(complaints(event)[0].contains("clients keep answers of route `a`"));
}
