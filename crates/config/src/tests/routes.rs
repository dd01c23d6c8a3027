//! Rules for `[[routes]]`: the text, and the complaint with its place and hint.

use super::{assert_complaint, complaints, config, in_route};

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
fn the_name_of_what_takes_no_route_is_no_route_s() {
    in_route(
        "name = \"default\"",
        "3:8: error: `default` is the name of what takes no route (hint: metrics and logs tell routes apart by name; leave `name` out to derive \
         one from the path)",
    );
    in_route("name = \"-\"", "3:8: error: `-` stands for requests without a route (hint: leave `name` out to derive one from the path)");
    let several = "[[routes]]\nname = \"default\"\npath = \"/a\"\nupstream = \"a\"\n[upstreams.a]\nurl = \"http://a\"";
    assert_eq!(complaints(several), Vec::<String>::new(), "nothing is forwarded beside the routes");
}

#[test]
fn a_warning_that_many_routes_inherit_is_told_once() {
    let routes = "[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/b\"";
    assert_eq!(complaints(&format!("[cache]\nscope = \"identity\"\nidentity = []\n{routes}")).len(), 1);
}

#[test]
fn a_route_may_be_for_requests_with_some_fields_and_parameters() {
    let text = "[[routes]]\npath = \"/a\"\n[[routes]]\npath = \"/a\"\nmatch = { headers = { X-Api = \"2\" }, query = { v = \"*\" } }";
    let routes = config(text).routes;
    assert_eq!((&*routes[0].name, &*routes[1].name), ("/a", "/a[v=*,x-api:2]"));
    assert!(routes[0].settings.key.route.is_none() && routes[1].settings.key.route.is_some());
    let matches = routes[1].matches.as_ref().unwrap();
    let suits = |value: &'static str, query| {
        matches.suits(&http::HeaderMap::from_iter([(http::HeaderName::from_static("x-api"), http::HeaderValue::from_static(value))]), query)
    };
    assert!(suits("2", Some("v=1")) && suits("2", Some("a=b&v")));
    assert!(!suits("2", None) && !suits("2", Some("vv=1")) && !suits("1", Some("v=1")));
    assert!(!matches.suits(&http::HeaderMap::new(), Some("v=1")));
}

/// What was stored under other conditions is not for those who meet the new ones, after a reload or on another replica.
#[test]
fn other_conditions_under_the_same_name_are_another_key() {
    let marks: Vec<_> = [
        "headers = { x-tenant = \"acme\" }",
        "headers = { x-tenant = \"globex\" }",
        "query = { x-tenant = \"acme\" }",
        "headers = { x-tenant = \"a b\" }",
        "headers = { x-tenant = \"a_b\" }",
        "headers = { x-tenant = \"acme\" }, query = { v = \"1\" }",
    ]
    .into_iter()
    .map(|matches| {
        let text = format!("[[routes]]\nname = \"board\"\npath = \"/a\"\nmatch = {{ {matches} }}");
        config(&text).routes[0].settings.key.route.clone().expect("a mark")
    })
    .collect();
    assert!(marks.iter().all(|mark| mark.starts_with("board:")), "{marks:?}");
    assert_eq!(marks.iter().collect::<std::collections::HashSet<_>>().len(), marks.len(), "{marks:?}");
}

/// Its answers are those of its own upstream and for its own host: others without a host in their keys share none of them.
#[test]
fn a_route_of_one_host_has_it_in_its_keys_although_they_leave_out_hosts() {
    let text = "[cache]\nkey = { host = false }\n[[routes]]\nhost = \"admin.example\"\npath = \"/{*rest}\"\n[[routes]]\npath = \"/{*rest}\"\n\
                [[routes]]\nhost = \"b.example\"\npath = \"/a\"\nkey = { host = true }\n\
                [[routes]]\nname = \"c\"\nhost = \"c.example\"\npath = \"/a\"\nmatch = { query = { v = \"1\" } }";
    let said = config(text);
    let marks: Vec<_> = said.routes.iter().chain(&said.fallback).map(|route| route.settings.key.route.as_deref()).collect();
    assert_eq!(marks[..3], [Some("//admin.example"), None, None]);
    assert!(marks[3].is_some_and(|mark| mark.starts_with("c:") && mark.ends_with("//c.example")), "{marks:?}");
    assert_eq!(marks[4], None);
}

/// `/Admin/x` takes the route for the rest, and has the key of `/admin/x`, which is another backend's.
#[test]
fn a_route_has_its_way_in_its_keys_where_they_do_not_tell_cases_of_a_path_apart() {
    let text = "[cache]\nkey = { path = \"lower\" }\n[[routes]]\npath = \"/admin/{*rest}\"\nupstream = \"admin\"\n[[routes]]\npath = \"/{*rest}\"\n\
                upstream = \"api\"\n[[routes]]\npath = \"/v1/{*rest}\"\nupstream = \"api\"\nrewrite = { strip_prefix = \"/v1\" }\n[[routes]]\npath = \"/b\"\n\
                upstream = \"api\"\nkey = { path = \"as-sent\" }\n[upstreams.admin]\nurl = \"http://127.0.0.1:3001\"";
    let marks = |text: &str| config(text).routes.into_iter().map(|route| route.settings.key.route).collect::<Vec<_>>();
    assert_eq!(marks(text).iter().map(Option::as_deref).collect::<Vec<_>>(), [Some("@admin"), Some("@api"), Some("@api@/v1>"), None]);
    let of_one = "[cache]\nkey = { path = \"lower\" }\n[[routes]]\npath = \"/a/{*rest}\"";
    assert_eq!(marks(of_one), [None], "all routes have one backend, which ignores case");
}

#[test]
fn conditions_that_tell_nothing_apart_are_reported() {
    in_route("match = {}", "3:9: error: `match` names nothing (hint: leave it out, or write match = { headers = { x-api = \"2\" } })");
    in_route(
        "match = { headers = { cookie = \"a=1\" } }",
        "3:32: error: a route cannot be told by `cookie` (hint: a client may send any; scope = \"identity\" and key = { cookies = [\"NAME\"] } keep \
         answers apart by them)",
    );
    in_route(
        "match = { query = { v = \"*.*\" } }",
        "3:25: error: `*.*` is not a value for `v` (hint: a text, with one `*` for any: \"2\", \"v1.*\", \"*\")",
    );
    in_route(
        "match = { query = { v = \"1\" }, header = {} }",
        "3:32: error: unknown key `header` in [routes.match] (hint: did you mean `headers`?)",
    );
    let same = "path = \"/a\"\nmatch = { query = { v = \"1\" } }";
    let lines = complaints(&format!("[[routes]]\n{same}\n[[routes]]\n{same}"));
    assert!(lines[0].contains("route `/a` matches the same requests as an earlier one"), "{lines:?}");
}
