//! The look of errors, to the letter.

use super::{complaints, load};

/// The errors of a file as a user sees them; the text begins after the first newline of each.
#[track_caller]
fn assert_report(text: &str, expected: &str) {
    let report = match load(text) {
        Ok((_, warnings)) => warnings,
        Err(report) => report,
    };
    assert_eq!(report.render(false), expected.strip_prefix('\n').unwrap_or(expected));
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    assert_report(
        r#"[server]
drain_timeout = "5 parsecs"
[upstreams.api]
url = "http://127.0.0.1:3000"
[cache]
tll = "5m"
[[routes]]
path = "/issues"
upstream = "apu"
class = "sesion"
[classes.session]
ttl = 60
"#,
        r#"
error: `5 parsecs` is not a duration
 --> config.toml:2:17
  |
2 | drain_timeout = "5 parsecs"
  |                 ^^^^^^^^^^^
  |
  = hint: write a number and a unit: "250ms", "30s", "5m", "1h30m", "0s"

error: unknown key `tll` in [cache]
 --> config.toml:6:1
  |
6 | tll = "5m"
  | ^^^
  |
  = hint: did you mean `ttl`?

error: unknown upstream `apu`
 --> config.toml:9:12
  |
9 | upstream = "apu"
  |            ^^^^^
  |
  = hint: did you mean `api`?

error: unknown class `sesion`
  --> config.toml:10:9
   |
10 | class = "sesion"
   |         ^^^^^^^^
   |
   = hint: did you mean `session`?

error: `ttl` cannot be an integer
  --> config.toml:12:7
   |
12 | ttl = 60
   |       ^^
   |
   = hint: write the unit, in quotes: "60s"
"#,
    );
}

#[test]
fn two_routes_alike_are_shown_together() {
    assert_report(
        r#"[upstreams.api]
url = "http://127.0.0.1:3000"
[[routes]]
path = "/issues/{id}"
methods = ["GET", "HEAD"]
[[routes]]
path = "/issues/{number}"
methods = ["PUT", "GET"]
"#,
        r#"
error: route `/issues/{number}` matches the same requests as an earlier one
 --> config.toml:7:8
  |
4 | path = "/issues/{id}"
  |        -------------- the earlier route
...
7 | path = "/issues/{number}"
  |        ^^^^^^^^^^^^^^^^^^
  |
  = hint: give them different methods, hosts or conditions in `match`, or remove one
"#,
    );
}

#[test]
fn tabs_and_other_alphabets_before_the_caret_keep_it_in_its_column() {
    assert_report(
        "[upstreams.api]\nurl = \"http://h\"\n[[routes]]\n\tpath = \"/é\"\n[classes.\"ünïcode\"]\nquery = { drop = [\"ä*\", \"é*x\"] }\n",
        r#"
error: path `/é` contains a character that no request path has
 --> config.toml:4:9
  |
4 |     path = "/é"
  |            ^^^^
  |
  = hint: write it as clients send it, percent-encoded: a space is %20

error: `é*x` is not a pattern for parameter names
 --> config.toml:6:25
  |
6 | query = { drop = ["ä*", "é*x"] }
  |                         ^^^^^
  |
  = hint: a name, or a beginning and `*`: "utm_*"
"#,
    );
}

#[test]
fn a_file_with_windows_line_ends_has_the_same_lines() {
    assert_report(
        "\u{feff}[upstreams.api]\r\nurl = \"http://h\"\r\n[cache]\r\nttl = \"5 x\"\r\n",
        r#"
error: `5 x` is not a duration
 --> config.toml:4:7
  |
4 | ttl = "5 x"
  |       ^^^^^
  |
  = hint: write a number and a unit: "250ms", "30s", "5m", "1h30m", "0s"
"#,
    );
}

#[test]
fn an_empty_file_lacks_an_upstream() {
    assert_report(
        "",
        r#"
error: no upstream is configured
--> config.toml
 = hint: add a section [upstreams.api] with url = "http://127.0.0.1:3000"
"#,
    );
}

#[test]
fn a_section_of_no_upstreams_lacks_one_too() {
    let Err(report) = load("[upstreams]") else { panic!("no upstream") };
    assert_eq!(report.lines().count(), 1);
}

#[test]
fn secrets_are_masked_wherever_they_stand() {
    assert_report(
        "[upstreams.api]\nurl = \"http://me:hunter2@host\"\npasword = \"x\"\n[store.redis]\n[upstreams.b]\nurl = { to = \"http://me:hunter2@host\", token = \"hunter2\" }\n",
        r#"
error: the upstream's url contains a user name or password
 --> config.toml:2:7
  |
2 | url = "http://***@host"
  |       ^^^^^^^^^^^^^^^^^
  |
  = hint: leave it out; Larder sends what the client sends

error: unknown key `pasword` in [upstreams.api]
 --> config.toml:3:1
  |
3 | pasword = "x"
  | ^^^^^^^
  |
  = hint: keys here: `url`, `servers`, `connect_timeout`, `first_byte_timeout`, `idle_timeout`, `max_idle`, `max_requests`, `queue`, `learn_limits`, `breaker`, `host`, `h2c`, `ca_file`, `tls`, `resolve`, `balance`, `warm_up`, `eject`, `retry`, `health`

error: [store.redis] needs the key `url`
 --> config.toml:4:1
  |
4 | [store.redis]
  | ^^^^^^^^^^^^^
  |
  = hint: like url = "redis://127.0.0.1:6379/0", or set REDIS_URL

error: `url` cannot be a table
 --> config.toml:6:7
  |
6 | url = { to = "http://***@host", token =***
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = hint: expected a URL in quotes, like "http://127.0.0.1:3000"
"#,
    );
}

#[test]
fn errors_in_the_toml_come_with_the_others_where_the_rest_is_clear() {
    assert_report(
        "[upstreams.api]\nurl = \"http://h\"\n[cache]\nttl = 5m\nttl_mode = \"caps\"\nttl_mode = \"cap\"\n",
        r#"
error: string values must be quoted, expected literal string
 --> config.toml:4:7
  |
4 | ttl = 5m
  |       ^^
  |
  = hint: text, durations and sizes stand in quotes: ttl = "5m"

error: `caps` is not a value of `ttl_mode`
 --> config.toml:5:12
  |
5 | ttl_mode = "caps"
  |            ^^^^^^
  |
  = hint: did you mean "cap"?

error: duplicate key
 --> config.toml:6:1
  |
6 | ttl_mode = "cap"
  | ^^^^^^^^
  |
  = hint: a key, or a [table], stands once; only what is in double brackets is repeated
"#,
    );
}

#[test]
fn after_a_broken_header_only_errors_in_the_toml_are_told() {
    let complaints = complaints("[server\nlisten = 127.0.0.1:80\n[cache]\ntll = \"5m\"");
    assert_eq!(complaints[0], "config.toml:1:8: error: unclosed table, expected `]`");
    assert!(complaints.iter().all(|line| !line.contains("unknown key")), "{complaints:#?}");
}

#[test]
fn colour_is_added_only_where_it_is_asked_for() {
    let report = load("").unwrap_err();
    assert!(report.render(true).contains("\u{1b}["));
    assert!(!report.render(false).contains('\u{1b}'));
}
