//! Requests with content that are answered from the cache: `read`, `key.body`, `max_key_body`.

use larder_semantics::content::ContentKind;

use super::{complaints, config, in_cache, in_route};

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
    in_cache(
        "key = { body = \"xml\" }",
        "2:16: error: `xml` is not a value of `body` (hint: expected one of \"none\", \"bytes\", \"json\", \"form\")",
    );
    in_cache(
        "key = { body = \"json\", drop = [\"user\"] }",
        "2:32: error: `user` is not a JSON Pointer (RFC 6901) (hint: a part of the body, like \"/metadata\" or \"/messages/0/id\"; for a form, \
         \"/name\" of a field)",
    );
    assert!(complaints("[cache]\nmax_key_body = \"1GiB\"")[0].contains("error"));
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
