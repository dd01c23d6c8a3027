//! What one write invalidates.

use crate::purge::Known;
use http::Request;
use larder_semantics::content::{ContentKind, ContentRequest, ContentRules};
use larder_tower::JsonFields;

use super::super::event;
use super::*;
use crate::active::ActiveConfig;
use crate::config;

const CONFIG: &str = r#"
    [upstreams.api]
    url = "http://127.0.0.1:3000"
    [[routes]]
    name = "me"
    path = "/me"
    scope = "identity"
    [[on_write]]
    methods = ["PUT", "DELETE"]
    path = "/issues/{id}"
    purge = ["tag:issue:{id}", "route:me", "prefix:/projects/{query.project}/board", "tag:team:{header.x-team}"]
    [[on_write]]
    host = "a.example"
    path = "/logout"
    purge = ["identity"]
    [[on_write]]
    methods = ["POST"]
    path = "/orgs/{org}/issues"
    purge = ["tag:of:{request.project}", "url:/orgs/{org}/issues/{response.id}?b=1&a=2", "prefix:/teams/{request.team}", "tag:{response.at}"]
    [[routes]]
    path = "/rpc"
    read = true
    key = { body = "json-rpc" }
    ttl = "1m"
    [[on_write]]
    path = "/rpc"
    operation = "*.delete"
    purge = ["tag:of:{variables.id}", "tag:issues"]
    [[on_event]]
    type = "project.moved"
    purge = ["tag:project:{id}", "prefix:/orgs/{org}/projects", "url:http://A.example/{id}?b=1&a=2"]
"#;

fn parsed() -> Config {
    config::parse("test.toml", CONFIG.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false))).0
}

fn active() -> ActiveConfig {
    ActiveConfig::alone(parsed())
}

fn made(request: Request<()>) -> Invalidates {
    let active = active();
    let authority = request.uri().authority().expect("absolute").clone();
    let rules = Arc::clone(active.route(&request, authority.as_str()).expect("the fallback").route());
    let (parts, ()) = request.into_parts();
    let target = Target { scheme: "http", authority: authority.as_str(), path: parts.uri.path(), query: parts.uri.query() };
    rules.writes().invalidates(&parts, target)
}

fn texts(targets: &[InvalidationTarget]) -> Vec<String> {
    targets.iter().map(|target| serde_json::to_string(target).expect("plain data")).collect()
}

fn old(request: Request<()>) -> Vec<String> {
    let made = made(request);
    assert!(made.by_bodies.is_none());
    texts(&made.known)
}

fn request(method: &str, url: &str) -> Request<()> {
    Request::builder().method(method).uri(url).body(()).expect("a request")
}

#[tokio::test]
async fn a_write_names_its_targets_from_its_path_query_and_fields() {
    let mut write = request("PUT", "http://a.example:81/issues/7?project=p");
    write.headers_mut().insert("x-team", "blue".parse().expect("a value"));
    let expected =
        [r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#, r#"{"prefix":"http://a.example:81/projects/p/board"}"#, r#"{"tag":"team:blue"}"#];
    assert_eq!(old(write), expected);
}

#[tokio::test]
async fn each_operation_invalidates_what_is_named_for_it_with_its_own_variables() {
    let rpc = ContentRules::new(ContentKind::JsonRpc);
    let fields = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]);
    let old = |content: &str| {
        let unkeyed = rpc.key(&ContentRequest { path: "/rpc", fields: &fields, content: content.as_bytes() }).expect_err("no read");
        let mut write = request("POST", "http://a.example/rpc");
        write.extensions_mut().insert(Operations(unkeyed.operations.into()));
        old(write)
    };
    let call = |method: &str, id: u32| format!(r#"{{"id":{id},"method":"issue.{method}","params":{{"id":{id}}}}}"#);
    let tag = |name: &str| format!(r#"{{"tag":"{name}"}}"#);
    assert_eq!(
        old(&format!("[{},{},{}]", call("update", 6), call("delete", 7), call("delete", 8))),
        [tag("of:7"), tag("of:8"), tag("issues")]
    );
    assert_eq!(old(&call("update", 7)), [] as [String; 0]);
    assert_eq!(old("{"), [tag("issues")], "it may delete one, and nobody knows which");
    // Most servers ignore parameters that they do not know.
    let unknown: String = (0..100).map(|number| format!(r#""a{number}":0,"#)).collect();
    let crowded = format!(r#"{{"id":1,"method":"issue.delete","params":{{{unknown}"id":7}}}}"#);
    assert_eq!(old(&crowded), [tag("of:7"), tag("issues")]);
}

#[tokio::test]
async fn another_spelling_of_its_url_is_the_same_write() {
    let expected = [r#"{"url":"http://a.example/issues/7"}"#, r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#];
    assert_eq!(old(request("DELETE", "http://a.example/%69ssues/%37")), expected);
    let mut logout = request("POST", "http://A.example.:80/logout");
    logout.headers_mut().insert("authorization", "a".parse().expect("a value"));
    assert_eq!(old(logout).len(), 1);
}

#[tokio::test]
async fn every_reading_of_its_path_is_invalidated() {
    let me = r#"{"route":"me"}"#;
    for (path, reading) in [
        ("/x/../issues/7", Some("/issues/7")),
        ("//issues//7", Some("/issues/7")),
        ("/x/..%2fissues/7", Some("/issues/7")),
        ("/issues/%37", Some("/issues/7")),
        ("/ISSUES/7/", None),
        ("/issues/7;v=1/", None),
    ] {
        let old = old(request("DELETE", &format!("http://a.example{path}")));
        assert!(old.contains(&r#"{"tag":"issue:7"}"#.to_owned()) && old.contains(&me.to_owned()), "{path}: {old:?}");
        let url = reading.map(|reading| format!(r#"{{"url":"http://a.example{reading}"}}"#));
        assert!(url.is_none_or(|url| old.contains(&url)), "{path}: {old:?}");
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_in_is_left_out() {
    assert_eq!(old(request("DELETE", "http://a.example/issues/7?project=")), [r#"{"tag":"issue:7"}"#, r#"{"route":"me"}"#]);
}

#[tokio::test]
async fn other_methods_paths_and_hosts_are_no_such_write() {
    for (method, url) in [("POST", "http://a.example/issues/7"), ("PUT", "http://a.example/issues"), ("POST", "http://b.example/logout")] {
        assert!(old(request(method, url)).is_empty(), "{method} {url}");
    }
}

#[tokio::test]
async fn an_identity_is_the_clients_own() {
    let with = |value: &'static str| {
        let mut write = request("POST", "http://a.example/logout");
        write.headers_mut().insert("authorization", value.parse().expect("a value"));
        old(write)
    };
    assert_eq!(with("Bearer a").len(), 1);
    assert_ne!(with("Bearer a"), with("Bearer b"));
    assert!(old(request("POST", "http://a.example/logout")).is_empty());
}

#[tokio::test]
async fn targets_in_bodies_are_invalidated_once_the_bodies_are_read() {
    let made = made(request("POST", "http://a.example/orgs/o/issues"));
    assert_eq!(made.known, []);
    let from_bodies = made.by_bodies.expect("targets in bodies");
    assert_eq!(
        (from_bodies.in_request(), from_bodies.in_response()),
        (&["project", "team"].map(str::to_owned)[..], &["id", "at"].map(str::to_owned)[..])
    );
    let members = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<JsonFields>();
    let request = members(&[("project", "p q"), ("team", "red/ä")]);
    let early = [r#"{"tag":"of:p q"}"#, r#"{"prefix":"http://a.example/teams/red%2F%C3%A4"}"#];
    assert_eq!(texts(&from_bodies.targets(&request, &JsonFields::default())), early);
    let all = from_bodies.targets(&JsonFields::default(), &members(&[("id", "7")]));
    assert_eq!(texts(&all), [r#"{"url":"http://a.example/orgs/o/issues/7?a=2&b=1"}"#], "as the keys of its route have it");
}

#[tokio::test]
async fn values_of_a_write_are_text_and_no_pattern() {
    let mut write = request("PUT", "http://a.example/issues/*?project=a/b%2F*%3f");
    write.headers_mut().insert("x-team", "x:*".parse().expect("a value"));
    let expected = [
        r#"{"tag":"issue:\\*"}"#,
        r#"{"route":"me"}"#,
        r#"{"prefix":"http://a.example/projects/a%2Fb%2F*%3f/board"}"#,
        r#"{"tag":"team:x:\\*"}"#,
    ];
    assert_eq!(old(write), expected);
    let from_bodies = made(request("POST", "http://a.example/orgs/o/issues")).by_bodies.expect("targets in bodies");
    let members = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into_iter().collect::<JsonFields>();
    let old = from_bodies.targets(&members("project", "*"), &members("at", "issue:*"));
    assert_eq!(texts(&old), [r#"{"tag":"of:\\*"}"#, r#"{"tag":"issue:\\*"}"#]);
}

/// A client chooses it, and the purge of a prefix reads `..` as the segment above.
#[tokio::test]
async fn a_value_that_leads_out_of_its_segment_purges_nothing() {
    for value in ["..", ".", "../..", "a/../..", "..%2f..", "%2e%2E", "..%5C", "/", "%2f", "a/."] {
        let named = old(request("PUT", &format!("http://a.example/issues/7?project={value}")));
        assert!(!named.iter().any(|target| target.contains("prefix")), "{value}: {named:?}");
        let from_bodies = made(request("POST", "http://a.example/orgs/o/issues")).by_bodies.expect("targets in bodies");
        let decoded = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
        let members = |name: &str| [(name.to_owned(), decoded.to_string())].into_iter().collect::<JsonFields>();
        let named = texts(&from_bodies.targets(&members("team"), &members("id")));
        assert!(!named.iter().any(|target| target.contains("prefix") || target.contains("url")), "{value}: {named:?}");
    }
    for value in ["...", "a..b", "a/b", "..a"] {
        let named = old(request("PUT", &format!("http://a.example/issues/7?project={value}")));
        assert!(named.iter().any(|target| target.contains("prefix")), "{value}: {named:?}");
    }
    let active = active();
    let found = event(&active.config.on_event[0], false, |url| Known(&active).url(url), |_| Some("..".to_owned())).expect("complete");
    assert_eq!(found, [InvalidationTarget::Tag("project:..".into())]);
}

/// Tags of a route whose keys have paths in lower case have these parts of paths so, too.
#[tokio::test]
async fn values_name_tags_in_lower_case_too_where_routes_have_them_so() {
    let text = format!("{CONFIG}\n[[routes]]\npath = \"/low/{{id}}\"\nkey = {{ path = \"lower\" }}\ntags = [\"of:{{id}}\"]\n");
    let (config, _) =
        config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
    let active = ActiveConfig::alone(config);
    let tags = |names: &[&str]| names.iter().map(|name| InvalidationTarget::Tag((*name).to_owned())).collect::<Vec<_>>();
    let moved = serde_json::json!({ "type": "project.moved", "id": "ABC-7", "org": "o" });
    let found = crate::purge::event::targets(&active, &moved).expect("complete");
    assert_eq!(found[..2], tags(&["project:ABC-7", "project:abc-7"]));
    let write = request("POST", "http://a.example/orgs/o/issues");
    let (parts, ()) = write.into_parts();
    let rules = Arc::clone(active.route(&Request::from_parts(parts.clone(), ()), "a.example").expect("a route").route());
    let target = Target { scheme: "http", authority: "a.example", path: parts.uri.path(), query: None };
    let from_bodies = rules.writes().invalidates(&parts, target).by_bodies.expect("targets in bodies");
    let members: JsonFields = [("project".to_owned(), "ABC-7".to_owned())].into_iter().collect();
    assert_eq!(from_bodies.targets(&members, &JsonFields::default()), tags(&["of:ABC-7", "of:abc-7"]));
    let plain = crate::purge::event::targets(&self::active(), &moved).expect("complete");
    assert!(!plain.contains(&tags(&["project:abc-7"])[0]));
}

#[tokio::test]
async fn tags_that_nothing_is_stored_under_are_left_out() {
    for id in ["7".repeat(257), ":".repeat(9)] {
        assert_eq!(old(request("PUT", &format!("http://a.example/issues/{id}"))), [r#"{"route":"me"}"#]);
    }
}

#[tokio::test]
async fn a_value_in_a_query_stays_the_value_of_one_parameter() {
    let text = r#"
        [upstreams.api]
        url = "http://127.0.0.1:3000"
        [[on_write]]
        path = "/a/{id}"
        purge = ["url:/list?id={id}&at={query.at}&by={header.by}&to={request.to}"]
    "#;
    let (config, _) =
        config::parse("test.toml", text.as_bytes(), &Default::default()).unwrap_or_else(|report| panic!("{}", report.render(false)));
    let active = ActiveConfig::alone(config);
    let request = Request::put("http://a.example/a/1&x=%26?at=2+%26").header("by", "3&y=%#").body(()).expect("a request");
    let rules = Arc::clone(active.route(&request, "a.example").expect("a route").route());
    let (parts, ()) = request.into_parts();
    let target = Target { scheme: "http", authority: "a.example", path: parts.uri.path(), query: parts.uri.query() };
    let made = rules.writes().invalidates(&parts, target);
    let members: JsonFields = [("to".to_owned(), "4=&?".to_owned())].into_iter().collect();
    let old = made.by_bodies.expect("targets in bodies").targets(&members, &JsonFields::default());
    let url = r#"{"url":"http://a.example/list?at=2+%26&by=3%26y%3D%25%23&id=1%26x%3D%26&to=4%3D%26%3F"}"#;
    assert_eq!(texts(&old), [url]);
}

#[tokio::test]
async fn an_event_s_star_is_a_star() {
    let active = active();
    let found = event(&active.config.on_event[0], false, |url| Known(&active).url(url), |_| Some("*".to_owned())).expect("complete");
    assert_eq!(found[0], InvalidationTarget::Tag(r"project:\*".into()));
    let long = event(&active.config.on_event[0], false, |url| Known(&active).url(url), |_| Some("x".repeat(257)));
    assert_eq!(long, Err("has a field that is longer than what stands in a tag: 256 bytes, 8 colons.".to_owned()));
}

#[tokio::test]
async fn an_event_needs_every_field_that_is_named() {
    let active = active();
    let rule = &active.config.on_event[0];
    let value = |field: &str| (field == "id" || field == "org").then(|| format!("the-{field}"));
    let found = event(rule, false, |url| Known(&active).url(url), value).expect("complete");
    let url = InvalidationTarget::Url("http://a.example/the-id?a=2&b=1".into());
    assert_eq!(found, [InvalidationTarget::Tag("project:the-id".into()), InvalidationTarget::Prefix("/orgs/the-org/projects".into()), url]);
    let missing = event(rule, false, |url| Known(&active).url(url), |field| (field == "id").then(String::new));
    assert_eq!(missing, Err("needs the field `org`, a string or a number.".to_owned()));
}

#[tokio::test]
async fn an_event_s_field_is_one_segment_of_a_url_and_text_in_a_tag() {
    let active = active();
    let found = event(&active.config.on_event[0], false, |url| Known(&active).url(url), |_| Some("a b/c?d".to_owned())).expect("complete");
    let url = InvalidationTarget::Url("http://a.example/a%20b%2Fc%3Fd?a=2&b=1".into());
    let prefix = InvalidationTarget::Prefix("/orgs/a%20b%2Fc%3Fd/projects".into());
    assert_eq!(found, [InvalidationTarget::Tag("project:a b/c?d".into()), prefix, url]);
}
