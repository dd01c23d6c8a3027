//! The settings that keep one client's answers from others, and what an operator is told about giving them up.

use larder_semantics::{CookiePolicy, GuardMode, PathCase};

use super::{assert_complaint, complaints, config};
use crate::Rate;

#[track_caller]
fn in_cache(line: &str, expected: &str) {
    assert_eq!(complaints(&format!("[cache]\n{line}")), [format!("config.toml:{expected}")]);
}

#[test]
fn cookies_are_private_and_those_of_analytics_as_if_absent_unless_a_route_says_otherwise() {
    let text = "[cache]\ncookies = \"pass\"\nignore_cookies = [\"ab_*\"]\n[[routes]]\npath = \"/a\"\ncookies = \"ignore\"\nignore_cookies = []\n\
                key = { cookies = [\"locale\", \"tenant\"] }";
    let said = config(text);
    let (route, fallback) = (&said.routes[0].settings, said.fallback.unwrap().settings);
    assert_eq!((route.policy.cookies, fallback.policy.cookies), (CookiePolicy::Ignore, CookiePolicy::Pass));
    assert_eq!((&route.key.cookies.key[..], &route.key.cookies.ignored[..]), (&["locale".to_owned(), "tenant".to_owned()][..], &[][..]));
    assert_eq!(fallback.key.cookies.ignored, ["ab_*"]);
    let unsaid = config("").fallback.unwrap().settings;
    assert_eq!(unsaid.policy.cookies, CookiePolicy::Private);
    for cookie in ["_ga*", "_gid", "ajs_*"] {
        assert!(unsaid.key.cookies.ignored.iter().any(|ignored| ignored == cookie), "{cookie}");
    }
}

#[test]
fn a_name_of_no_cookie_is_reported() {
    in_cache("cookies = \"privat\"", r#"2:11: error: `privat` is not a value of `cookies` (hint: did you mean "private"?)"#);
    in_cache(
        "ignore_cookies = [\"*\"]",
        "2:19: error: `*` is not a pattern for cookie names (hint: `cookies = \"ignore\"` is for all of them, where no answer is one user's)",
    );
    in_cache(
        "ignore_cookies = [\"a b\"]",
        "2:19: error: `a b` is not a pattern for cookie names (hint: a name, with one `*` for any text: \"_ga*\")",
    );
    in_cache(
        "key = { cookies = [\"loc*\"] }",
        "2:20: error: `loc*` is not the name of a cookie (hint: each cookie of the key is named in full)",
    );
    in_cache("key = { cookies = [\"a;b\"] }", "2:20: error: `a;b` is not the name of a cookie (hint: like \"locale\")");
    in_cache("key = { cookie = [] }", "2:9: error: unknown key `cookie` in [cache.key] (hint: did you mean `cookies`?)");
}

#[test]
fn dropped_parameters_go_up_only_where_that_is_said_and_then_with_a_warning() {
    in_cache(
        "query = { send_dropped = true }",
        "2:26: warning: `send_dropped = true` lets one client choose what everybody gets (hint: a page that shows a dropped parameter is stored \
         with it; leave it out, unless the backend never answers by them)",
    );
    assert!(!config("").fallback.unwrap().settings.key.query.send_dropped);
    assert!(config("[cache]\nquery = { send_dropped = true }").fallback.unwrap().settings.key.query.send_dropped);
}

#[test]
fn a_rate_of_bypasses_is_a_number_and_a_unit() {
    let rate = |text: &str| config(&format!("[cache]\nbypass = {{ {text} }}")).fallback.unwrap().settings.bypass_rate;
    assert_eq!(rate(""), Some(Rate { count: 5, seconds: 1 }));
    assert_eq!(rate("rate = \"100/m\""), Some(Rate { count: 100, seconds: 60 }));
    assert_eq!(rate("rate = \"1000/h\""), Some(Rate { count: 1000, seconds: 3600 }));
    assert_eq!(rate("rate = false"), None);
    for wrong in ["5", "0/s", "5/d", "/s", "-1/s", "5/s/s"] {
        in_cache(
            &format!("bypass = {{ rate = \"{wrong}\" }}"),
            &format!("2:19: error: `{wrong}` is not a rate (hint: a number from 1 on, and s, m or h: \"5/s\", \"100/m\")"),
        );
    }
    in_cache(
        "bypass = { rate = 5 }",
        "2:19: error: `rate` cannot be an integer (hint: expected a rate in quotes, like \"5/s\", or false for none)",
    );
}

#[test]
fn paths_near_to_private_ones_pass_by_unless_that_is_turned_off() {
    assert!(config("").fallback.unwrap().settings.near_private);
    assert!(!config("[cache]\nnear_private = false").fallback.unwrap().settings.near_private);
    let guard = |text: &str| config(text).fallback.unwrap().settings.guard;
    assert_eq!((guard(""), guard("[cache]\nguard = \"refuse\"")), (GuardMode::Report, GuardMode::Refuse));
    assert_complaint("[cache]\nguard = \"refused\"", "2:9: error: `refused` is not a value of `guard` (hint: did you mean \"refuse\"?)");
}

fn warned(text: &str) -> Vec<String> {
    complaints(text).into_iter().map(|line| line.split_once(": ").map_or(line.clone(), |(_, said)| said.to_owned())).collect()
}

/// The complaints' first sentences.
fn sentences(text: &str) -> Vec<String> {
    warned(text).into_iter().map(|line| line.split(" (hint").next().unwrap_or_default().to_owned()).collect()
}

const NOT_APART: &str = "error: `identity` without `scope = \"identity\"` keeps nobody's responses apart";

#[test]
fn an_identity_that_no_scope_asks_for_is_an_error() {
    let route = |line: &str| format!("[[routes]]\npath = \"/me\"\n{line}");
    assert_eq!(sentences(&route("identity = [\"cookie:sid\"]")), [NOT_APART]);
    assert_eq!(sentences(&format!("[cache]\nidentity = [\"cookie:sid\"]\n{}", route(""))), [NOT_APART]);
    assert_eq!(sentences(&format!("[classes.user]\nidentity = [\"cookie:sid\"]\n{}", route("class = \"user\""))), [NOT_APART]);
    for right in [
        route("scope = \"identity\"\nidentity = [\"cookie:sid\"]"),
        format!("[cache]\nidentity = [\"cookie:sid\"]\n{}", route("scope = \"identity\"")),
        format!("[cache]\nscope = \"identity\"\n{}", route("identity = [\"cookie:sid\"]")),
        "[cache]\nidentity = [\"header:authorization\"]".to_owned(),
    ] {
        assert!(complaints(&right).is_empty(), "{right}: {:?}", complaints(&right));
    }
}

#[test]
fn a_setting_that_was_probably_not_meant_is_a_warning() {
    for (text, sentence) in [
        (
            "[cache]\nttl = \"1m\"\ncookies = \"ignore\"",
            "warning: `cookies = \"ignore\"` with a `ttl` for every path may hand one session's page to another",
        ),
        (
            "[[routes]]\npath = \"/{*all}\"\nttl = \"1m\"\ncookies = \"ignore\"",
            "warning: `cookies = \"ignore\"` with a `ttl` for every path may hand one session's page to another",
        ),
        (
            "[[routes]]\npath = \"/search\"\nmethods = [\"POST\"]\nttl = \"1m\"",
            "warning: a `ttl` for POST keeps nothing: the key has no body in it",
        ),
        (
            "[[on_write]]\npath = \"/issues/{id}\"\npurge = [\"tag:issue:{id}\"]\n[[routes]]\npath = \"/issues/{id}\"\ntags = [\"isue:{id}\"]",
            "warning: no route gives such a tag, so nothing is purged by it",
        ),
        (
            "[cache]\nstale_while_revalidate = \"1m\"",
            "warning: `stale_while_revalidate` without a `ttl` counts only where the backend names a lifetime",
        ),
        ("[classes.unused]\nttl = \"1m\"", "warning: no route takes class `unused`"),
        ("[[routes]]\npath = \"/issues/.*\"", "warning: `.*` in `/issues/.*` is taken letter by letter"),
    ] {
        assert_eq!(sentences(text), [sentence], "{text}");
    }
}

#[test]
fn a_likely_setting_is_no_warning() {
    for text in [
        "[cache]\nttl = \"1m\"\n[[routes]]\npath = \"/static/{*rest}\"\ncookies = \"ignore\"",
        "[cache]\ncookies = \"ignore\"",
        "[cache]\nttl = \"1m\"\n[[routes]]\npath = \"/search\"\nmethods = [\"POST\"]",
        "[cache]\nstale_while_revalidate = \"1m\"\n[[routes]]\npath = \"/a\"\nttl = \"1m\"",
        "[cache]\nstale_while_revalidate = \"1m\"\nttl = \"0s\"",
        "[[on_write]]\npath = \"/issues/{id}\"\npurge = [\"tag:issue:{id}\"]\n[[routes]]\npath = \"/issues/{id}\"\ntags = [\"issue:{id}\"]",
        "[tags]\nfrom = [\"surrogate-key\"]\n[[on_write]]\npath = \"/a\"\npurge = [\"tag:anything\"]",
        "[tags]\ncascade = { \"org:{id}\" = [\"issue-of:{id}\"] }\n[[on_write]]\npath = \"/a/{id}\"\npurge = [\"tag:org:{id}\"]",
        "[[routes]]\npath = \"/odata/Products(1)/$metadata\"",
    ] {
        assert!(complaints(text).is_empty(), "{text}: {:?}", complaints(text));
    }
}

#[test]
fn a_route_that_others_hide_is_told() {
    let all = crate::sections::METHODS.map(|method| format!("\"{method}\"")).join(", ");
    let text = |methods: &str| format!("[[routes]]\npath = \"/a/{{id}}\"\nmethods = [{methods}]\n[[routes]]\npath = \"/a/{{number}}\"\n");
    assert_eq!(sentences(&text(&all)), ["warning: no request takes route `/a/{number}`: others with its path take every method"]);
    assert!(complaints(&text("\"GET\", \"HEAD\"")).is_empty());
}

#[test]
fn another_products_word_for_a_key_gets_the_right_one() {
    for (word, key) in [
        ("max_age", "ttl"),
        ("proxy_cache_valid", "ttl"),
        ("grace", "stale_while_revalidate"),
        ("vary", "key"),
        ("proxy_cache_bypass", "bypass"),
    ] {
        in_cache(&format!("{word} = \"1m\""), &format!("2:1: error: unknown key `{word}` in [cache] (hint: that is `{key}` here)"));
    }
    in_cache("ttls = \"1m\"", "2:1: error: unknown key `ttls` in [cache] (hint: did you mean `ttl`?)");
    assert_eq!(
        complaints("[server]\nmax_age = \"1m\""),
        [
            "config.toml:2:1: error: unknown key `max_age` in [server] (hint: that is `ttl` here; it stands in [cache], [classes.NAME] or [[routes]])"
        ]
    );
}

#[test]
fn a_key_is_made_of_what_a_route_says() {
    let text = "[cache]\nkey = { host = false, headers = [\"X-Branch\"] }\n[[routes]]\npath = \"/a\"\nkey = { scheme = false, path = \"lower\", cookies = [\"c\"] }";
    let said = config(text);
    let (route, fallback) = (&said.routes[0].settings.key, said.fallback.unwrap().settings.key);
    assert_eq!((route.host, route.scheme, route.path), (false, false, PathCase::Lower), "each key of the table is inherited by itself");
    assert_eq!((fallback.host, fallback.scheme, fallback.path), (false, true, PathCase::AsSent));
    assert_eq!((&route.headers[..], &route.cookies.key[..]), (&[http::HeaderName::from_static("x-branch")][..], &["c".to_owned()][..]));
}

#[test]
fn a_name_is_made_of_what_is_in_the_key() {
    in_cache("key = { template = \"x\" }", "2:9: error: unknown key `template` in [cache.key] (hint: that is `name` here)");
    in_cache(
        "key = { name = \"{namespace}:issue:{id}\" }",
        "2:16: error: `{id}` is neither a part of the route's path nor known to names (hint: {query.NAME}, {header.NAME} of a field of the key, \
         and: `rest`, `namespace`, `route`, `method`, `host`, `path`, `query`)",
    );
    in_cache(
        "key = { name = \"{header.x-branch}\" }",
        "2:16: error: `{header.x-branch}` is not a part of the key (hint: add it: key = { headers = [\"x-branch\"] })",
    );
    let said = config(
        "[cache]\nkey = { name = \"{namespace}:{path}\", headers = [\"x-branch\"] }\n[classes.plain]\nkey = { name = \"\" }\n\
         [[routes]]\npath = \"/issues/{id}\"\nkey = { name = \"issue:{id}:{header.x-branch}\" }\n[[routes]]\npath = \"/plain\"\nclass = \"plain\"\n\
         [[on_write]]\npath = \"/issues/{id}\"\nmethods = [\"PUT\"]\npurge = [\"tag:name:issue:{id}:*\"]\n",
    );
    let names: Vec<usize> = said.routes.iter().map(|route| route.settings.key_name.as_ref().map_or(0, |name| name.parts().len())).collect();
    assert_eq!(names, [4, 0], "each in its own words, and one without a name");
    assert_eq!(said.fallback.unwrap().settings.key_name.unwrap().parts().len(), 3);
}

#[test]
fn what_cannot_be_part_of_a_key_is_reported_with_what_is_meant() {
    for (name, hint) in [
        ("authorization", "scope = \"identity\" keeps a response for each user"),
        ("Cookie", "name the cookies that matter: key = { cookies = [\"locale\"] }"),
        ("host", "the host is in the key unless it says host = false"),
        ("x-forwarded-proto", "the backend gets what Larder writes there, not what the client sends"),
        ("te", "it goes no further than this connection"),
    ] {
        in_cache(&format!("key = {{ headers = [\"{name}\"] }}"), &format!("2:20: error: `{name}` cannot be part of a key (hint: {hint})"));
    }
    in_cache(
        "key = { headers = [\"a b\"] }",
        "2:20: error: `a b` is not the name of a field (hint: like \"x-branch\" or \"accept-language\")",
    );
    in_cache("key = { path = \"upper\" }", "2:16: error: `upper` is not a value of `path` (hint: expected one of \"as-sent\", \"lower\")");
}

#[test]
fn claims_are_part_of_a_key_only_for_who_says_that_tokens_are_verified_elsewhere() {
    let said = config("[cache]\nkey = { jwt = [\"sub\", \"https://a.example/org\"], unsafe_unverified = true }").fallback.unwrap().settings;
    assert_eq!(said.key.claims, ["sub", "https://a.example/org"]);
    in_cache(
        "key = { jwt = [\"sub\"] }",
        "2:15: error: `jwt` takes claims from tokens that nobody has verified here: a forged one gets what is stored under its claims (hint: add \
         [auth.jwt] with the issuer's keys; or unsafe_unverified = true, where something before Larder verifies every token)",
    );
    in_cache(
        "key = { jwt = [\"a b\"], unsafe_unverified = true }",
        "2:16: error: `a b` is not the name of a claim (hint: at the top level of the token, like \"sub\" or \"https://example.com/org\")",
    );
}
