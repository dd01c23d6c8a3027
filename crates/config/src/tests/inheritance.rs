//! `[cache]`, then the class, then the route.

use std::time::Duration;

use http::Method;
use larder_semantics::key::IdentityPart;
use larder_semantics::{ClientDirectives, Scope, TtlMode};

use super::{UPSTREAM, config, load};
use crate::{AccessLog, Log, LogLevel, RouteSettings, TagPart};
use larder_message::client::Trust;

#[test]
fn every_cache_key_reaches_the_settings() {
    let settings = config(
        r#"
        [cache]
        cache = false
        namespace = "shop"
        key_version = 7
        ttl = "1m"
        ttl_mode = "cap"
        stale_while_revalidate = "2m"
        stale_if_error = "3m"
        heuristic_max = "4m"
        max_object = "5MiB"
        max_request_body = "6MiB"
        scope = "identity"
        identity = ["cookie:sid", "header:X-User"]
        client_directives = "ignore"
        bypass = { query = "fresh", from = ["10.0.0.0/8", "::1"] }
        query = { sort = false, drop = ["a*", "b"], drop_empty = true }
        collapse = { wait = "250ms" }
        unsafe_ignore = ["no-store", "set-cookie"]
        targeted = ["Surrogate-Control", "CDN-Cache-Control"]
        cache_status = { key = true }"#,
    )
    .fallback
    .unwrap()
    .settings;
    let (policy, key) = (&settings.policy, &settings.key);
    assert!(!settings.cache);
    assert_eq!((key.namespace.as_str(), key.version), ("shop", 7));
    assert_eq!((policy.ttl, policy.stale_while_revalidate, policy.stale_if_error, policy.heuristic_max), (60, 120, 180, 240));
    assert_eq!((policy.ttl_mode, policy.scope, policy.client_directives), (TtlMode::Cap, Scope::Identity, ClientDirectives::Ignore));
    assert_eq!(key.identity, [IdentityPart::Cookie("sid".to_owned()), IdentityPart::Header("x-user".parse().unwrap())]);
    assert_eq!(
        (settings.max_object, settings.max_request_body, settings.collapse_wait),
        (5 << 20, Some(6 << 20), Duration::from_millis(250))
    );
    assert!((key.query.bypass.as_deref(), key.query.sort, key.query.drop_empty) == (Some("fresh"), false, true));
    assert_eq!(key.query.drop, ["a*", "b"]);
    let ignore = policy.unsafe_ignore;
    assert!(ignore.no_store && ignore.set_cookie && !ignore.private && !ignore.authorization);
    assert_eq!(policy.targeted, ["surrogate-control", "cdn-cache-control"]);
    assert!(settings.cache_status_key);
    assert_eq!(settings.bypass_from, ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()));
}

#[test]
fn every_other_key_reaches_the_configuration() {
    let config = config(
        r#"
        [server]
        listen = ["127.0.0.1:1", "[::1]:2"]
        trusted_proxies = ["10.0.0.0/8", "192.168.1.1"]
        trust = ["proto", "host", "client-cert"]
        drain_timeout = "1s"
        header_read_timeout = "2s"
        write_timeout = "5s"
        drain_delay = "6s"
        idle_timeout = "7s"
        tunnel_idle = "8s"
        max_connections = 3
        max_header_bytes = "64KiB"
        [admin]
        listen = "localhost:4"
        [log]
        access = "json"
        level = "debug"
        [store.memory]
        capacity = "1GiB""#,
    );
    let server = &config.server;
    assert_eq!(server.listen.iter().map(|listen| listen.address()).collect::<Vec<_>>(), ["127.0.0.1:1", "[::1]:2"]);
    assert_eq!(server.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "192.168.1.1/32".parse().unwrap()]);
    assert_eq!(server.trust, Trust { client: false, scheme: true, host: true, certificate: true });
    let timeouts = [server.options.drain_timeout, server.options.header_read_timeout, server.options.write_timeout];
    assert_eq!(timeouts.map(|timeout| timeout.as_secs()), [1, 2, 5]);
    assert_eq!([server.drain_delay, server.options.idle_timeout, server.options.tunnel_idle].map(|timeout| timeout.as_secs()), [6, 7, 8]);
    assert_eq!((server.options.max_connections, server.options.max_header_bytes), (3, 64 << 10));
    assert_eq!(config.admin.listen.address(), "localhost:4");
    assert_eq!(config.log, Log { access: AccessLog::Json, level: LogLevel::Debug, ..Log::default() });
    assert_eq!(config.memory.capacity, 1 << 30);
}

#[test]
fn the_route_wins_over_its_class_and_the_class_over_cache() {
    let config = config(
        r#"
        [cache]
        ttl = "1s"
        stale_if_error = "1s"
        heuristic_max = "1s"
        query = { sort = false, drop_empty = true }
        [classes.project]
        ttl = "2s"
        stale_if_error = "2s"
        query = { drop = [] }
        [[routes]]
        path = "/a"
        class = "project"
        ttl = "3s"
        query = { sort = true }
        [[routes]]
        path = "/b""#,
    );
    let policy = &config.routes[0].settings.policy;
    assert_eq!((policy.ttl, policy.stale_if_error, policy.heuristic_max), (3, 2, 1));
    let query = &config.routes[0].settings.key.query;
    assert!(query.sort && query.drop_empty && query.drop.is_empty(), "the keys of inline tables are inherited one by one");
    assert_eq!(config.routes[1].settings.policy.ttl, 1);
}

#[test]
fn rfc9213_a_route_replaces_the_list_of_targeted_fields() {
    let config = config("[cache]\ntargeted = [\"A\", \"B\"]\n[[routes]]\npath = \"/a\"\ntargeted = []\n[[routes]]\npath = \"/b\"");
    assert_eq!(config.routes[0].settings.policy.targeted, [] as [http::HeaderName; 0]);
    assert_eq!(config.routes[1].settings.policy.targeted, ["a", "b"]);
}

#[test]
fn a_request_body_of_zero_bytes_at_most_is_no_limit() {
    let config = config("[cache]\nmax_request_body = \"1MiB\"\n[[routes]]\npath = \"/a\"\nmax_request_body = \"0B\"");
    assert_eq!(config.routes[0].settings.max_request_body, None);
    assert_eq!(config.fallback.unwrap().settings.max_request_body, Some(1 << 20));
}

#[test]
fn bypass_false_turns_it_off_and_the_parameter_is_ordinary_again() {
    let config = config("[[routes]]\npath = \"/a\"\nbypass = false");
    assert_eq!(config.routes[0].settings.key.query.bypass, None);
    assert_eq!(config.fallback.unwrap().settings.key.query.bypass.as_deref(), Some("no_cache"));
}

#[test]
fn bypass_of_a_route_turns_it_on_where_it_was_off() {
    let config = config("[cache]\nbypass = false\n[[routes]]\npath = \"/a\"\nbypass = { rate = \"1/s\" }\n[[routes]]\npath = \"/b\"");
    let bypass = |route: usize| config.routes[route].settings.key.query.bypass.as_deref();
    assert_eq!((bypass(0), bypass(1)), (Some("no_cache"), None));
}

#[test]
fn an_identity_is_part_of_the_key_only_where_the_scope_asks_for_it() {
    let config = config("[cache]\nidentity = [\"cookie:sid\"]\n[[routes]]\npath = \"/me\"\nscope = \"identity\"");
    assert_eq!(config.routes[0].settings.key.identity, [IdentityPart::Cookie("sid".to_owned())]);
    assert!(config.fallback.unwrap().settings.key.identity.is_empty());
}

#[test]
fn an_identity_is_authorization_by_default() {
    let config = config("[cache]\nscope = \"identity\"");
    assert_eq!(config.fallback.unwrap().settings.key.identity, [IdentityPart::Header(http::header::AUTHORIZATION)]);
}

#[test]
fn without_routes_everything_goes_to_the_only_upstream_with_the_defaults() {
    let (config, warnings) = load(UPSTREAM).unwrap();
    assert!(warnings.is_empty() && config.routes.is_empty());
    let fallback = config.fallback.unwrap();
    assert_eq!((fallback.path.text(), fallback.upstream, &*fallback.name), ("/{*rest}", 0, "default"));
    assert!(fallback.host.is_none() && fallback.methods.is_none());
    assert_eq!(format!("{:?}", fallback.settings), format!("{:?}", RouteSettings::default()));
}

#[test]
fn with_several_upstreams_nothing_takes_what_matches_no_route() {
    let config = config("[upstreams.b]\nurl = \"https://b/\"\n[[routes]]\npath = \"/\"\nupstream = \"b\"");
    assert!(config.fallback.is_none());
    assert_eq!(&*config.upstreams[config.routes[0].upstream].name, "b");
}

#[test]
fn a_route_carries_what_it_matches_and_its_tags() {
    let config = config(
        r#"
        [[routes]]
        name = "detail"
        host = "API.example.com"
        path = "/issues/{id}"
        methods = ["GET", "HEAD"]
        tags = ["issues", "issue:{id}"]
        [[routes]]
        path = "/issues/{number}"
        host = "api.example.com"
        methods = ["POST"]
        [[routes]]
        path = "/issues/{id}""#,
    );
    let [detail, post, any] = config.routes.as_slice() else { panic!("three routes") };
    assert_eq!((&*detail.name, detail.host.as_deref()), ("detail", Some("api.example.com")));
    assert_eq!(detail.methods.as_deref(), Some([Method::GET, Method::HEAD].as_slice()));
    assert_eq!(detail.tags[1].parts(), [TagPart::Literal("issue:".to_owned()), TagPart::Path(0)]);
    assert_eq!((&*post.name, &*any.name), ("POST api.example.com/issues/{number}", "/issues/{id}"));
}
