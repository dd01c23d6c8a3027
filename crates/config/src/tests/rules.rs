//! One line for each rule: what is given, and the complaint with its place and hint.

use super::{complaints, config};
use larder_message::forward::HostPolicy;

#[track_caller]
fn assert_complaint(text: &str, expected: &str) {
    assert_eq!(complaints(text), [format!("config.toml:{expected}")]);
}

#[track_caller]
fn in_cache(line: &str, expected: &str) {
    assert_complaint(&format!("[cache]\n{line}"), expected);
}

#[track_caller]
fn in_route(line: &str, expected: &str) {
    assert_complaint(&format!("[[routes]]\npath = \"/a/{{id}}\"\n{line}"), expected);
}

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
fn what_is_trusted() {
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
        r#"2:9: error: `trust` cannot be a string (hint: expected a list of "for", "proto", "host")"#,
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
        r#"3:13: error: `authorization` is not a part of an identity (hint: write "header:NAME" or "cookie:NAME")"#,
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
fn tags_are_not_in_fields_that_say_what_may_be_stored() {
    for name in ["Set-Cookie", "cache-control", "Surrogate-Control"] {
        assert_complaint(
            &format!("[tags]\nfrom = [\"{name}\"]"),
            &format!("2:9: error: `{name}` is not a field of tags (hint: \"surrogate-key\", \"cache-tag\" and \"xkey\" are)"),
        );
    }
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
fn keys_that_nobody_knows_name_the_nearest_or_where_they_stand() {
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
fn the_store_in_redis_says_what_it_needs() {
    let redis = |keys: &str, complaint: &str| assert_complaint(&format!("[store.redis]\n{keys}"), complaint);
    redis(
        "timeout = \"1s\"",
        r#"1:1: error: [store.redis] needs the key `url` (hint: like url = "redis://127.0.0.1:6379/0", or set REDIS_URL)"#,
    );
    let not_a_url = "2:7: error: this is not the URL of a Redis server (hint: like redis://127.0.0.1:6379/0; rediss:// is for TLS, redis+unix:///PATH for a socket)";
    for url in ["", "http://host", "redis://host/x", "127.0.0.1:6379"] {
        redis(&format!("url = \"{url}\""), not_a_url);
    }
    let with_url = |keys: &str, complaint: &str| redis(&format!("url = \"redis://host\"\n{keys}"), complaint);
    with_url("write = \"back\"", r#"3:9: error: `back` is not a value of `write` (hint: expected one of "behind", "through")"#);
    with_url(
        "timeout = \"0s\"",
        r#"3:11: error: `timeout` cannot be zero (hint: nothing would ever be in time; give a long one, like "1h", to wait)"#,
    );
    with_url("breaker = { failures = 0 }", "3:24: error: `0` is out of range for `failures` (hint: from 1 to 1000)");
    with_url("compress = { min = \"1KiB\", level = 20 }", "3:36: error: `20` is out of range for `level` (hint: from 1 to 19)");
    with_url(
        "journal = \"/none/journal\"",
        "3:11: error: no file can be at `/none/journal` (hint: its directory has to be there, and larder has to be able to write in it)",
    );
    with_url("compress = true", "3:12: error: `compress` cannot be a boolean (hint: expected a table: [store.redis.compress])");
}

#[test]
fn a_key_to_seal_with_is_32_bytes_and_stands_elsewhere() {
    let encrypt = |keys: &str, complaint: &str| {
        assert_complaint(&format!("[store.redis]\nurl = \"redis://host\"\n[store.redis.encrypt]\n{keys}"), complaint)
    };
    encrypt("", r#"3:1: error: [store.redis.encrypt] needs the key `key` (hint: like key = "env:LARDER_STORE_KEY")"#);
    encrypt(
        "key = \"0123456789abcdef\"",
        r#"4:7: error: a key does not stand in the configuration itself (hint: say where the key is, in quotes: "env:LARDER_STORE_KEY" or "file:/run/secrets/key")"#,
    );
    encrypt(
        "key = \"env:LARDER_NO_SUCH_KEY\"",
        "4:7: error: the variable LARDER_NO_SUCH_KEY is not set (hint: 32 bytes in hexadecimal or base64: openssl rand -hex 32)",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        format!("file:{}", folder.path().join(name).display())
    };
    let (short, good, old) = (file("short", "00ff\n"), file("good", &"07".repeat(32)), file("old", &"08".repeat(32)));
    encrypt(
        &format!("key = \"{short}\""),
        "4:7: error: the key has 2 bytes, and needs 32 (hint: 32 bytes in hexadecimal or base64: openssl rand -hex 32)",
    );
    let redis = config(&format!(
        "[store.redis]\nurl = \"redis://host\"\ncompress = {{}}\n[store.redis.encrypt]\nkey = \"{good}\"\nold_keys = [\"{old}\"]"
    ));
    let redis = redis.redis.unwrap();
    assert_eq!(redis.compress, Some(larder_redis_options::Compression { min: 1 << 10, level: 3 }));
    let keys = redis.keys.unwrap();
    let key = |text: &str| larder_redis_options::SealKey::parse(&text.repeat(32)).unwrap();
    assert_eq!((keys.key, keys.old_keys), (key("07"), vec![key("08")]));
}

#[test]
fn the_servers_of_redis_go_together() {
    let redis = |keys: &str, complaint: &str| assert_complaint(&format!("[store.redis]\n{keys}"), complaint);
    redis("url = \"redis://a\"\nmode = \"clusters\"", r#"3:8: error: `clusters` is not a value of `mode` (hint: did you mean "cluster"?)"#);
    redis(
        "url = [\"redis://a\", \"redis://b\"]\nmode = \"single\"",
        r#"2:21: error: a single server has a single URL (hint: set mode = "cluster" or "sentinel", or leave the others out)"#,
    );
    redis(
        "url = []",
        "2:7: error: `url` names no server (hint: like redis://127.0.0.1:6379/0; rediss:// is for TLS, redis+unix:///PATH for a socket)",
    );
    redis(
        "url = [\"redis://a\", \"redis://b/3\"]",
        "2:21: error: a Cluster has no database 3 (hint: leave the number out: redis://host:6379)",
    );
    redis(
        "url = \"redis+unix:///s\"\nmode = \"cluster\"",
        "2:7: error: a socket leads to one server only (hint: the nodes name each other by host and port: redis://host:6379)",
    );
    redis(
        "url = [\"redis://:one@a\", \"redis://:other@b\"]",
        "2:8: error: these servers differ in scheme, user or password (hint: they are spoken to in one way: give all of them the same)",
    );
    redis(
        "url = \"redis://a\"\nmode = \"sentinel\"",
        r#"3:8: error: sentinels are asked for a master by its name, and there is none (hint: the name that the sentinels know it by, like sentinel = { master = "mymaster" })"#,
    );
    redis(
        "url = \"redis://a\"\nmode = \"sentinel\"\nsentinel = {}",
        r#"4:12: error: [store.redis.sentinel] needs the key `master` (hint: the name that the sentinels know it by, like sentinel = { master = "mymaster" })"#,
    );
    redis(
        "url = \"redis://a\"\nmode = \"cluster\"\nsentinel = { master = \"m\" }",
        r#"4:12: error: `sentinel` has no meaning in this `mode` (hint: leave it out, or set mode = "sentinel")"#,
    );
    redis(
        "url = \"rediss://a\"\nca_file = \"/none\"",
        "3:11: error: cannot read `/none`: entity not found (hint: a path is relative to the directory in which larder is started)",
    );
    redis(
        "url = \"rediss://a\"\nca_file = \"/dev/null\"",
        "3:11: error: there is no certificate in `/dev/null` (hint: a PEM file has BEGIN CERTIFICATE in it)",
    );
}

#[test]
fn what_the_servers_of_redis_are_to_each_other_shows_in_their_number_and_names() {
    let servers = |keys: &str| format!("{:?}", config(&format!("[store.redis]\n{keys}")).redis.unwrap().servers);
    assert_eq!(servers("url = \"redis://a\""), "Single(a:6379)");
    assert_eq!(servers("url = [\"redis://a\"]"), "Single(a:6379)");
    assert_eq!(servers("url = [\"redis://a\", \"redis://b:7000\"]"), "Cluster([a:6379, b:7000])");
    assert_eq!(servers("url = \"redis://a\"\nmode = \"cluster\""), "Cluster([a:6379])");
    assert_eq!(
        servers("url = [\"redis://a:26379/2\", \"redis://b:26379/2\"]\nsentinel = { master = \"m\" }"),
        r#"Sentinel { sentinels: [a:26379, b:26379], master: "m" }"#
    );
}

#[test]
fn the_store_in_redis_is_as_it_is_said_and_otherwise_as_by_default() {
    assert_eq!(config("").redis, None);
    let redis = config("[store.redis]\nurl = \"redis://host:7000/2\"\ntimeout = \"20ms\"\nwhen_cut_off = \"serve\"").redis.unwrap();
    assert_eq!((redis.servers.to_string().as_str(), redis.timeout.as_millis(), redis.validate_when_cut_off), ("host:7000", 20, false));
    assert_eq!((redis.breaker_failures, redis.max_object, redis.write_queue), (5, 8 << 20, 16 << 20));
    let redis = config("[store.redis]\nurl = \"redis://host\"\nwrite_queue = \"4MiB\"").redis.unwrap();
    assert_eq!(redis.write_queue, 4 << 20);
}

#[test]
fn an_admin_listener_that_others_reach_answers_probes_only_unless_there_are_tokens() {
    assert_complaint(
        "[admin]\nlisten = \"0.0.0.0:8090\"",
        r#"2:10: warning: on the admin listener `0.0.0.0:8090` only /healthz and /readyz will answer: there is no token to ask others for (hint: add [[admin.tokens]] for the rest, or use a loopback address, like "127.0.0.1:8090")"#,
    );
}

#[test]
fn the_log_of_invalidations_takes_its_time_to_be_read() {
    assert_complaint(
        "[store.redis]\nurl = \"redis://host\"\nmax_lag = \"500ms\"",
        r#"3:11: error: `max_lag` is too short (hint: at least "1s": what others purge is looked for several times a second)"#,
    );
    let redis = config("[store.redis]\nurl = \"redis://host\"\nmax_lag = \"1s\"").redis.unwrap();
    assert_eq!(redis.max_lag.as_secs(), 1);
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
fn routes() {
    assert_complaint("[[routes]]\nname = \"x\"", r#"1:1: error: [[routes]] needs the key `path` (hint: add path = "/api/{*rest}")"#);
    in_route("upstream = \"apu\"", "3:12: error: unknown upstream `apu` (hint: did you mean `api`?)");
    in_route("class = \"session\"", "3:9: error: unknown class `session` (hint: there are no classes; add [classes.session])");
    in_route("methods = [\"get\"]", "3:12: error: unknown method `get` (hint: did you mean `GET`?)");
    in_route("methods = [\"CONNECT\"]", "3:12: error: unknown method `CONNECT` (hint: Larder is no tunnel: CONNECT is always refused)");
    in_route("methods = []", "3:11: error: `methods` names no method (hint: leave it out for every method)");
    in_route("tags = [\"issue:{ids}\"]", "3:9: error: `{ids}` is not a part of this route's path (hint: did you mean `id`?)");
    in_route(
        "name = \"a b\"",
        r#"3:8: error: `a b` is not a name for a route (hint: one word of at most 128 ASCII characters without quotes: "issue.list")"#,
    );
}

#[test]
fn a_cascade_names_what_it_takes_from_the_tag() {
    let cascade = |line: &str, expected: &str| assert_complaint(&format!("[tags]\ncascade = {{ {line} }}"), expected);
    cascade(
        r#""project:{id}" = ["issue-of:{ids}"]"#,
        "2:31: error: `{ids}` is not a part of the tag that brings it about (hint: did you mean `id`?)",
    );
    cascade(
        r#""all" = ["issue-of:{query.id}"]"#,
        "2:22: error: `{query.id}` is not a part of the tag that brings it about (hint: it has no named parts)",
    );
    cascade(
        r#""{a}{b}" = ["x"]"#,
        r#"2:13: error: nothing tells `{b}` in `{a}{b}` from the part before it (hint: put something between them: "{org}:{id}")"#,
    );
    cascade(
        r#""a{x}" = ["aa{x}"]"#,
        "2:13: error: a purge of `ax` would never end: what follows from it grows and grows (hint: a tag may bring about itself, but not longer and longer ones)",
    );
    cascade(r#""a" = "b""#, "2:19: error: `a` cannot be a string (hint: expected a list of strings like \"issue-of:{id}\")");
}

#[test]
fn what_a_write_makes_old_names_what_there_is() {
    let write = |purge: &str, expected: &str| {
        assert_complaint(&format!("[[on_write]]\npath = \"/issues/{{id}}\"\npurge = [\"{purge}\"]"), expected);
    };
    write("tag:issue:{ids}", "3:10: error: `{ids}` is not a part of this write's path (hint: did you mean `id`?)");
    write("tag:of:{reponse.project}", "3:10: error: unknown place `{reponse.project}` in a tag (hint: did you mean `response`?)");
    write(
        "url:issues",
        r#"3:10: error: `issues` is not the path of a URL (hint: like "url:/api/v1/issues/{id}", of the host that is written to)"#,
    );
    assert_complaint(
        "[[on_event]]\ntype = \"moved\"\npurge = [\"url:/issues/{id}\"]",
        r#"3:10: error: `/issues/{id}` is not an absolute URL (hint: like "url:https://api.example.com/issues/{id}")"#,
    );
    assert_complaint(
        "[[on_event]]\ntype = \"moved\"\npurge = [\"tag:{request.id}\"]",
        "3:10: error: `{request.id}` is not a part of an event (hint: it has no named parts)",
    );
    in_route(
        "tags = [\"of:{request.id}\"]",
        "3:9: error: unknown place `{request.id}` in a tag (hint: places are taken from: `query`, `header`, `response`)",
    );
}

#[test]
fn a_path_alone_is_a_star_in_other_systems() {
    assert_complaint("[[routes]]\npath = \"*\"", r#"2:8: error: path `*` does not begin with a slash (hint: write "/{*rest}")"#);
}

#[test]
fn hosts() {
    in_route("host = \"h:80\"", "3:8: error: `h:80` is not a host name (hint: leave the port out: a route matches its host on every port)");
    in_route("host = \"http://h\"", r#"3:8: error: `http://h` is not a host name (hint: give the host alone, like "api.example.com")"#);
    in_route(
        "host = \"*.h\"",
        "3:8: error: `*.h` is not a host name (hint: wildcards are not supported; leave `host` out for every host, or write a route for each)",
    );
    assert_eq!(config("[[routes]]\npath = \"/\"\nhost = \"[::1]\"").routes[0].host.as_deref(), Some("[::1]"));
}

#[test]
fn with_several_upstreams_a_route_names_its_own() {
    assert_complaint(
        "[upstreams.b]\nurl = \"http://b\"\n[[routes]]\npath = \"/\"",
        "3:1: error: [[routes]] needs the key `upstream` (hint: there are several: `api`, `b`)",
    );
}

#[test]
fn an_upstream_with_a_mistake_is_still_known_to_the_routes() {
    assert_complaint(
        "[upstreams.b]\nurl = \"b\"\n[[routes]]\npath = \"/\"\nupstream = \"b\"",
        "2:7: error: the upstream's url has no scheme (hint: begin with http:// or https://)",
    );
}

#[test]
fn paths_that_the_router_cannot_order() {
    assert_complaint(
        "[[routes]]\npath = \"/a/{x}.json\"\n[[routes]]\npath = \"/a/{*rest}\"",
        "4:8: error: neither `/a/{*rest}` nor `/a/{x}.json` is more specific (hint: a path that both match would go to either; make one of them longer)",
    );
}

#[test]
fn the_same_path_for_other_methods_or_hosts_is_another_route() {
    let text = r#"
        [[routes]]
        path = "/a/{x}"
        methods = ["GET"]
        [[routes]]
        path = "/a/{y}"
        methods = ["POST"]
        [[routes]]
        path = "/a/{z}"
        [[routes]]
        path = "/a/{x}"
        host = "h""#;
    assert_eq!(complaints(text), Vec::<String>::new());
}

#[test]
fn names_of_routes_are_unique() {
    assert_complaint(
        "[[routes]]\nname = \"n\"\npath = \"/a\"\n[[routes]]\nname = \"n\"\npath = \"/b\"",
        "5:8: error: two routes are named `n` (hint: metrics and logs tell routes apart by name; leave `name` out to derive one from the path)",
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
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
        "4:14: warning: `max_object` is larger than the whole memory store, 1MiB (hint: bodies of that size are never stored; raise `capacity` in [store.memory])",
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
    let url = &upstream.url;
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
    in_route("upstream = \"http://me:hunter2@h\"", "3:12: error: unknown upstream `http://**********@h` (hint: known upstreams: `api`)");
}

#[test]
fn a_warning_that_many_routes_inherit_is_told_once() {
    let routes = "[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/b\"";
    assert_eq!(complaints(&format!("[cache]\nscope = \"identity\"\nidentity = []\n{routes}")).len(), 1);
}
