//! Limits and breakers of upstreams, from text to data.

use std::time::Duration;

use super::{complaints, config};
use crate::{BreakerLimit, Limit};

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
    assert_eq!(config("").server.min_upload_rate, 1024);
    assert_eq!(config("[server]\nmin_upload_rate = \"0B\"").server.min_upload_rate, 0);
    assert_eq!(config("[server]\nmin_upload_rate = \"2KiB\"").server.min_upload_rate, 2048);
}
