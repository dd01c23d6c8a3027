//! Requests with content that are answered from the cache: `read`, `key.body`, `max_key_body`.

use larder_semantics::content::ContentKind;
use larder_semantics::content::model::When;
use larder_semantics::{CookiePolicy, IdentityPart, Replay, Scope, TtlMode};

use super::{complaints, config, in_cache, in_route};
use crate::ClientControls;

#[test]
fn a_body_is_part_of_the_key_where_a_route_says_so() {
    let text = "[cache]\nmax_key_body = \"1KiB\"\n[[routes]]\npath = \"/search\"\nmethods = [\"POST\"]\nttl = \"1m\"\nread = true\n\
                key = { body = \"json\", drop = [\"/user\", \"/a~1b/0\"] }\n[[routes]]\npath = \"/query\"\nkey = { body = \"bytes\" }\n\
                [[routes]]\npath = \"/plain\"";
    assert_eq!(complaints(text), Vec::<String>::new());
    let said = config(text);
    let rules = |route: usize| said.routes[route].settings.content.as_ref();
    let search = rules(0).expect("rules");
    assert_eq!((search.kind, search.max_length, search.post), (ContentKind::Json, 1024, true));
    assert_eq!(search.drop.iter().map(|pointer| pointer.tokens().join("|")).collect::<Vec<_>>(), ["user", "a/b|0"]);
    assert_eq!(rules(1).map(|rules| (rules.kind, rules.post)), Some((ContentKind::Bytes, false)));
    assert!(rules(2).is_none());
}

#[test]
fn a_class_can_say_it_and_a_route_can_unsay_it() {
    let text = "[classes.search]\nread = true\nkey = { body = \"json\" }\n[[routes]]\npath = \"/a\"\nclass = \"search\"\n[[routes]]\npath = \"/b\"\n\
                class = \"search\"\nread = false\nkey = { body = \"none\" }";
    assert_eq!(complaints(text), Vec::<String>::new());
    let said = config(text);
    let has_content = said.routes.iter().map(|route| route.settings.content.is_some()).collect::<Vec<_>>();
    assert_eq!(has_content, [true, false]);
}

#[test]
fn what_cannot_work_is_an_error() {
    in_route(
        "read = true",
        "3:8: error: `read = true` without a body in the key would answer every POST with the same (hint: add key = { body = \"json\" }, or \
         \"bytes\" for any kind)",
    );
    in_route(
        "methods = [\"GET\"]\nread = true\nkey = { body = \"json\" }",
        "4:8: error: `read = true` is about POST, which this route does not take (hint: add \"POST\" to `methods`, or leave `read` out: QUERY \
         needs it not)",
    );
    in_route(
        "key = { body = \"bytes\", drop = [\"/a\"] }",
        "3:32: error: a body of bytes has no parts (hint: write body = \"json\" or \"form\", or leave `drop` and `only` out)",
    );
    let is_flat = "a form has fields alone, and `/user/id` is a member of a member (hint: name a field of the form, like \"/name\"; or write body = \"json\")";
    for list in ["only", "drop"] {
        in_route(&format!("read = true\nkey = {{ body = \"form\", {list} = [\"/q\", \"/user/id\"] }}"), &format!("4:38: error: {is_flat}"));
    }
    let inherits = "[cache]\nkey = { only = [\"/user/id\"] }\n[[routes]]\npath = \"/a\"\nread = true\nkey = { body = \"form\" }";
    assert_eq!(complaints(inherits).iter().filter(|line| line.contains("6:16: error: a form has fields alone")).count(), 1);
    in_cache(
        "key = { body = \"xml\" }",
        "2:16: error: `xml` is not a value of `body` (hint: expected one of \"none\", \"bytes\", \"json\", \"form\", \"chat\", \
         \"embeddings\", \"graphql\", \"json-rpc\")",
    );
    in_cache(
        "key = { body = \"json\", drop = [\"user\"] }",
        "2:32: error: `user` is not a JSON Pointer (RFC 6901) (hint: a part of the body, like \"/metadata\" or \"/messages/0/id\"; for a form, \
         \"/name\" of a field)",
    );
    assert!(complaints("[cache]\nmax_key_body = \"1GiB\"")[0].contains("error"));
}

/// Its class may say it, or `[cache]`: with `only` alone, all forms would have one key.
#[test]
fn a_form_has_no_nested_fields_whichever_layer_names_them() {
    let of_class =
        "[classes.search]\nread = true\nkey = { body = \"form\", only = [\"/user/id\"] }\n[[routes]]\npath = \"/a\"\nclass = \"search\"";
    assert!(complaints(of_class)[0].starts_with("config.toml:3:32: error: a form has fields alone"), "{:?}", complaints(of_class));
    let of_all = "[cache]\nread = true\nkey = { body = \"form\", drop = [\"/user/id\"] }\n[[routes]]\npath = \"/a\"\nupstream = \"a\"\n\
                  [upstreams.a]\nurl = \"http://a\"";
    assert!(complaints(of_all)[0].starts_with("config.toml:3:32: error: a form has fields alone"), "{:?}", complaints(of_all));
    let overruled = "[cache]\nkey = { only = [\"/user/id\"] }\n[[routes]]\npath = \"/a\"\nread = true\nkey = { body = \"form\", only = [\"/q\"] }\n\
                     [[routes]]\npath = \"/b\"\nread = true\nkey = { body = \"json\" }";
    assert_eq!(complaints(overruled), Vec::<String>::new());
}

#[test]
fn what_comes_to_nothing_is_a_warning() {
    in_route(
        "key = { drop = [\"/a\"] }",
        "3:16: warning: this counts with a body in the key only (hint: add key = { body = \"json\" }, or leave it out)",
    );
    in_route(
        "methods = [\"GET\", \"POST\"]\nkey = { body = \"json\" }",
        "4:16: warning: a body in the key counts for QUERY, and for POST with `read = true` (hint: add read = true if POST only reads here)",
    );
    in_route(
        "max_request_body = \"1KiB\"\nmax_key_body = \"2KiB\"\nkey = { body = \"json\" }",
        "4:16: warning: `max_key_body` is longer than `max_request_body`, 1KiB (hint: longer bodies are answered with 413 before they have a key)",
    );
}

/// The settings of a route for models.
fn model(line: &str) -> crate::RouteSettings {
    let text = format!("[[routes]]\npath = \"/v1/{{*rest}}\"\nttl = \"1h\"\nread = true\nkey = {{ body = \"chat\" }}\n{line}");
    config(&text).routes[0].settings.clone()
}

#[test]
fn answers_of_models_are_kept_apart_by_all_credentials_of_their_apis() {
    let settings = model("");
    let names = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];
    let mut expected: Vec<IdentityPart> = names.map(|name| IdentityPart::Header(name.parse().expect("a name"))).into();
    expected.push(IdentityPart::Query("key".to_owned()));
    assert_eq!(
        (settings.policy.scope, settings.key.identity.clone(), settings.key.needs_identity),
        (Scope::Identity, expected.clone(), false)
    );
    assert_eq!(settings.key.query.secret, ["key"]);
    assert_eq!((settings.policy.ttl_mode, settings.policy.record_streams, settings.policy.ttl), (TtlMode::Override, true, 3600));
    assert!(settings.policy.unsafe_ignore.set_cookie && !settings.policy.unsafe_ignore.authorization);
    let rules = settings.content.expect("rules");
    assert_eq!((rules.kind, rules.when, rules.post, rules.finish), (ContentKind::Chat, When::Deterministic, true, vec!["stop".to_owned()]));
    assert_eq!(rules.drop.len(), 9);
    expected.push(IdentityPart::Header("x-team".parse().expect("a name")));
    assert_eq!(model("identity = [\"header:x-team\"]").key.identity, expected, "what a route names comes to it");
    let own = model("ttl_mode = \"default\"\ncollapse = { wait = \"1s\" }\nwhen = \"always\"\nfinish = [\"stop\", \"max_tokens\"]");
    assert_eq!((own.policy.ttl_mode, own.collapse_wait.as_secs()), (TtlMode::Default, 1));
    let several = model("answers = 3\ntrim = true\nconvert = true");
    let rules = several.content.expect("rules");
    assert!(rules.converts);
    assert_eq!((rules.answers, rules.trims, several.client_controls), (3, true, ClientControls::OfProxies));
    assert_eq!(model("client_controls = true").client_controls, ClientControls::OfAll);
    assert_eq!(
        config("[cache]\nclient_controls = true\n[[routes]]\npath = \"/a\"").routes[0].settings.client_controls,
        ClientControls::OfAll
    );
    assert_eq!(config("").fallback.expect("one").settings.client_controls, ClientControls::Nobodys);
    let rules = own.content.expect("rules");
    assert_eq!((rules.when, rules.finish), (When::Always, vec!["stop".to_owned(), "length".to_owned()]));
}

#[test]
fn answers_of_models_are_shared_where_a_route_says_so() {
    let everyone = model("share = \"everyone\"");
    assert_eq!((everyone.policy.scope, everyone.policy.cookies), (Scope::Public, CookiePolicy::Ignore));
    assert!(everyone.key.identity.is_empty() && everyone.policy.unsafe_ignore.authorization && everyone.policy.unsafe_ignore.private);
    assert_eq!(everyone.key.query.secret, ["key"]);
    let team = model("share = [\"header:x-team\"]");
    assert_eq!(team.key.identity, [IdentityPart::Header("x-team".parse().expect("a name"))]);
    assert!(team.key.needs_identity && team.policy.scope == Scope::Identity && !team.policy.unsafe_ignore.authorization);
    let said = complaints("[[routes]]\npath = \"/v1/{*rest}\"\nttl = \"1h\"\nread = true\nkey = { body = \"chat\" }\nshare = \"everyone\"");
    assert!(
        said.len() == 1 && said[0].contains("warning: `share = \"everyone\"` gives the answer that one client's key has paid for"),
        "{said:?}"
    );
}

#[test]
fn settings_of_models_without_one_are_told() {
    in_route(
        "when = \"always\"",
        "3:8: warning: this counts for requests to models only (hint: add key = { body = \"chat\" } or \"embeddings\", or leave it out)",
    );
    in_route(
        "finish = [\"end of turn\"]",
        "3:11: error: `end of turn` is no end of an answer (hint: as the API names it: \"stop\", \"length\", \"tool_calls\")",
    );
    in_route(
        "answers = 2",
        "3:11: warning: this counts for requests to models only (hint: add key = { body = \"chat\" } or \"embeddings\", or leave it out)",
    );
    in_route(
        "convert = true",
        "3:11: warning: this counts for requests to models only (hint: add key = { body = \"chat\" } or \"embeddings\", or leave it out)",
    );
    in_route("answers = 17", "3:11: error: `17` is out of range for `answers` (hint: from 1 to 16)");
    in_route(
        "share = []",
        "3:9: error: an empty `share` would share everything (hint: name what a group of clients has in common, or write share = \"everyone\")",
    );
    in_route("share = \"all\"", "3:9: error: `all` is not a value of `share` (hint: expected one of \"identity\", \"everyone\")");
    in_route(
        "read = true\nkey = { body = \"chat\" }",
        "4:16: warning: without a `ttl` no answer of a model is kept: their providers name no lifetime (hint: add ttl = \"24h\")",
    );
}

#[test]
fn stored_streams_have_a_pace() {
    assert_eq!(model("").policy.replay, Replay::Fast);
    assert_eq!(model("replay = \"real\"").policy.replay, Replay::of_word("real").expect("a pace"));
    let events = config("[cache]\nreplay = \"x8\"\n[[routes]]\npath = \"/events\"\nrecord = true");
    assert_eq!(events.routes[0].settings.policy.replay, Replay::of_word("x8").expect("a pace"));
    in_route(
        "record = true\nreplay = \"slow\"",
        "4:10: error: `slow` is no pace (hint: \"fast\", \"real\", or how many times faster, like \"x8\")",
    );
    in_route(
        "replay = \"real\"",
        "3:10: warning: `replay` is about stored streams, and nothing here stores any (hint: add record = true, or key = { body = \"chat\" }; or leave it out)",
    );
}

#[test]
fn a_parameter_of_an_identity_is_a_secret() {
    let settings = config("[[routes]]\npath = \"/a\"\nscope = \"identity\"\nidentity = [\"query:token\"]").routes[0].settings.clone();
    assert_eq!(
        (settings.key.identity, settings.key.query.secret),
        (vec![IdentityPart::Query("token".to_owned())], vec!["token".to_owned()])
    );
}

#[test]
fn methods_of_json_rpc_have_lifetimes_of_their_own() {
    let rpc = |more: &str| {
        let text = format!("[[routes]]\npath = \"/rpc\"\nread = true\nkey = {{ body = \"json-rpc\" }}\n{more}");
        (complaints(&text), config(&text).routes[0].settings.content.clone().expect("rules").rpc)
    };
    let (said, rules) = rpc("rpc = { eth_chainId = \"24h\", \"eth_get*\" = \"2s\", eth_send = \"0s\" }");
    assert_eq!((said, rules.others), (Vec::<String>::new(), false));
    let mut lifetimes = rules.lifetimes;
    lifetimes.sort();
    assert_eq!(lifetimes, [("eth_chainId", 86400), ("eth_get*", 2), ("eth_send", 0)].map(|(name, ttl)| (name.to_owned(), ttl)));
    assert!(rpc("ttl = \"1m\"").1.others);
    assert!(rpc("rpc = { a = \"0s\" }").0[0].contains("warning: no method has a lifetime"));
    in_route("rpc = { a = \"1m\" }", "3:7: warning: this counts with key = { body = \"json-rpc\" } only (hint: add that, or leave it out)");
    in_route("errors = \"store\"", "3:10: warning: this counts with key = { body = \"graphql\" } only (hint: add that, or leave it out)");
    let wrong =
        complaints("[[routes]]\npath = \"/rpc\"\nread = true\nttl = \"1m\"\nkey = { body = \"json-rpc\" }\nrpc = { \"a*b*\" = \"1m\" }");
    assert!(wrong.len() == 1 && wrong[0].contains("error: `a*b*` is not the name of a method"), "{wrong:?}");
}

#[test]
fn answers_of_graphql_are_tagged_by_their_types_where_a_route_says_so() {
    let graphql = "[[routes]]\npath = \"/graphql\"\nttl = \"1m\"\nread = true\nkey = { body = \"graphql\" }\ntags = \"typename\"\n";
    let write = "[[on_write]]\npath = \"/graphql\"\noperation = \"updateIssue\"\npurge = [\"tag:Issue:7\"]";
    assert_eq!(complaints(&format!("{graphql}{write}")), Vec::<String>::new());
    let said = config(&format!("{graphql}{write}"));
    assert!(said.routes[0].settings.content.as_ref().is_some_and(|rules| rules.tags_types));
    assert_eq!(said.on_write[0].operation.as_deref(), Some("updateIssue"));
    let by_variable = write.replace("Issue:7", "Issue:{variables.input.id}");
    assert_eq!(complaints(&format!("{graphql}{by_variable}")), Vec::<String>::new());
    let of_none = complaints(&format!("{graphql}{}", by_variable.replace("operation = \"updateIssue\"\n", "")));
    assert!(
        of_none.len() == 1 && of_none[0].contains("error: variables are those of an operation, and this rule names none"),
        "{of_none:?}"
    );
    in_route(
        "tags = \"typename\"",
        "3:8: error: `tags = \"typename\"` is read in answers of GraphQL, which this route does not know (hint: add read = true and key = { body = \
         \"graphql\" })",
    );
    let wrong = complaints(&format!("{graphql}{}", write.replace("updateIssue", "a b")));
    assert!(wrong.len() == 1 && wrong[0].contains("error: `a b` is not the name of an operation"), "{wrong:?}");
}

#[test]
fn models_have_prices() {
    let said = config("[prices]\n\"gpt-4o*\" = { input = 2.5, output = 10 }\n\"local\" = {}");
    let price = said.prices.of("gpt-4o-2024").expect("a price");
    assert_eq!((price.of_tokens(1_000_000, 100_000), said.prices.of("claude")), (3.5, None));
    assert_eq!(said.prices.of("local").map(|price| price.of_tokens(1, 1)), Some(0.0));
    let first = |text: &str| complaints(text).remove(0);
    assert!(
        first("[prices]\na = { input = \"1\" }").contains("`input` cannot be a string (hint: expected a number, like 2.5, without quotes)")
    );
    assert!(first("[prices]\na = { input = -1 }").contains("`input` is not a price (hint: of a million tokens: 2.5)"));
    assert!(first("[prices]\n\"a*b*\" = {}").contains("`a*b*` is not a pattern for names of models"));
}

#[test]
fn spending_has_days_of_its_own_time_zone() {
    let said = config("[spending]\ntimezone = \"Europe/Berlin\"\nmax_rows = 2000").spending;
    assert_eq!((said.zone.iana_name(), said.max_rows), (Some("Europe/Berlin"), 2000));
    let usual = config("").spending;
    assert_eq!((usual.zone.iana_name(), usual.max_rows), (Some("UTC"), 10_000));
    for (key, complaint) in [
        ("timezone = \"Europe/Berln\"", "`Europe/Berln` is not a time zone (hint: a name of the IANA's list"),
        ("max_rows = 10", "`10` is out of range for `max_rows`"),
        ("key = [\"client\"]", "unknown key `key`"),
    ] {
        let told = complaints(&format!("[spending]\n{key}"));
        assert!(told.len() == 1 && told[0].contains(complaint), "{key}: {told:?}");
    }
}
