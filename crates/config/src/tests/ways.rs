//! What a route changes in requests and answers on their way.

use std::time::Duration;

use http::HeaderName;
use larder_message::PathRewrite;
use larder_message::edit::{FieldPart, FieldText};

use super::{complaints, config, in_cache, in_route};

#[test]
fn fields_are_changed_by_list_and_by_table_and_each_is_inherited_by_itself() {
    let said = config(
        "[cache]\nrequest = { set = { X-Api-Version = \"2\", x-real-ip = \"{client.ip}\" }, remove = [\"Cookie\"] }\n\
         [[routes]]\npath = \"/a\"\nrequest = { remove = [] }\nresponse = { add = { x-on = \"on {route}, {{x}}\" } }",
    );
    let name = HeaderName::from_static;
    let literal = |text: &str| FieldPart::Literal(text.to_owned());
    let (route, fallback) = (&said.routes[0].settings, said.fallback.unwrap().settings);
    let set = [(name("x-api-version"), FieldText(vec![literal("2")])), (name("x-real-ip"), FieldText(vec![FieldPart::ClientAddress]))];
    for lines in [&route.request.set, &fallback.request.set] {
        assert!(lines.len() == 2 && set.iter().all(|line| lines.contains(line)), "{lines:?}");
    }
    assert_eq!((&route.request.remove[..], &fallback.request.remove[..]), (&[][..], &[name("cookie")][..]));
    assert_eq!(route.response.add, [(name("x-on"), FieldText(vec![literal("on "), FieldPart::Route, literal(", {x}")]))]);
    assert!(fallback.response.is_empty());
}

#[test]
fn fields_that_frame_a_message_or_are_written_here_stay() {
    for (table, at, name, hint) in [
        ("request = { set = { content-length = \"1\" } }", 38, "content-length", "it belongs to the connection, or frames the message"),
        ("request = { remove = [\"Connection\"] }", 23, "Connection", "it belongs to the connection, or frames the message"),
        ("request = { set = { host = \"a\" } }", 28, "host", "`host` in [upstreams.NAME] says which one the backend sees"),
        ("request = { set = { x-forwarded-for = \"a\" } }", 39, "x-forwarded-for", "Larder writes it itself"),
        (
            "request = { add = { x_a = \"a\" } }",
            27,
            "x_a",
            "many backends take `_` for `-`, so that nothing is stored of such a request; write it with `-`",
        ),
        ("response = { remove = [\"age\"] }", 24, "age", "Larder writes it itself"),
        ("response = { set = { content-encoding = \"gzip\" } }", 41, "content-encoding", "it says what the body is"),
        ("response = { set = { etag = \"1\" } }", 29, "etag", "a validator that never changes would keep an old copy good for ever"),
    ] {
        in_cache(table, &format!("2:{at}: error: `{name}` cannot be changed here (hint: {hint})"));
    }
    assert!(!config("[cache]\nresponse = { remove = [\"etag\"] }").fallback.unwrap().settings.response.is_empty());
}

#[test]
fn values_are_those_that_a_field_can_have() {
    in_cache(
        "request = { set = { x-a = \"{client.id}\" } }",
        "2:27: error: unknown placeholder `{client.id}` in a field (hint: did you mean `client.ip`?)",
    );
    in_cache(
        "request = { set = { x-a = \"{header.}\" } }",
        "2:27: error: unknown placeholder `{header.}` in a field (hint: placeholders are: `client.ip`, `route`, `request_id`, `header.NAME`)",
    );
    in_cache(
        "request = { set = { x-a = \"a\\nb\" } }",
        "2:27: error: the value of `x-a` is none that a field can have (hint: visible characters and spaces between them; to take the field out, \
         list it in `remove`)",
    );
    in_cache("request = { set = { x-a = 1 } }", "2:27: error: `x-a` cannot be an integer (hint: expected a string)");
    in_cache("request = { sets = {} }", "2:13: error: unknown key `sets` in [cache.request] (hint: did you mean `set`?)");
}

#[test]
fn an_answer_for_everybody_shows_nothing_of_one_client() {
    in_route(
        "response = { set = { x-a = \"{client.ip}\" } }",
        "3:28: error: `{client.ip}` in an answer that is stored would show one client's to everybody (hint: leave it out, or add cache = false)",
    );
    in_route(
        "response = { add = { x-a = \"{header.x-b}\" } }",
        "3:28: error: `{header.x-b}` in an answer that is stored would show one client's to everybody (hint: add key = { headers = [\"x-b\"] }, or \
         cache = false)",
    );
    let route = "[[routes]]\npath = \"/a\"\n";
    for fine in [
        "cache = false\nresponse = { set = { x-a = \"{client.ip}\" } }",
        "key = { headers = [\"x-b\"] }\nresponse = { set = { x-a = \"{header.x-b}\" } }",
        "scope = \"identity\"\nidentity = [\"header:x-b\"]\nresponse = { set = { x-a = \"{header.x-b}\" } }",
    ] {
        assert!(config(&format!("{route}{fine}")).routes[0].settings.response.depends_on_request(), "{fine}");
    }
}

/// The key has what `request` makes of a field, and the answer would have what the client sent: one client's value for everybody.
#[test]
fn a_field_of_the_key_that_is_changed_before_it_says_nothing_of_what_a_client_sent() {
    let answer = |name: &str| format!("response = {{ set = {{ x-a = \"{{header.{name}}}\" }} }}");
    for (name, changed) in [
        ("x-b", "key = { headers = [\"x-b\"] }\nrequest = { set = { x-b = \"{header.x-c}\" } }"),
        ("x-b", "key = { headers = [\"x-b\"] }\nrequest = { remove = [\"x-b\"] }"),
        ("x-b", "key = { headers = [\"x-b\"] }\nrequest = { add = { x-b = \"{header.x-c}\" } }"),
        ("x-b", "scope = \"identity\"\nidentity = [\"header:x-b\"]\nrequest = { set = { x-b = \"1\" } }"),
        ("cookie", "scope = \"identity\"\nidentity = [\"header:cookie\"]\nignore_cookies = [\"_ga*\"]"),
        ("accept-encoding", "key = { headers = [\"accept-encoding\"] }\nencodings = [\"gzip\"]"),
    ] {
        let lines = complaints(&format!("[[routes]]\npath = \"/a\"\n{}\n{changed}", answer(name)));
        let told = format!("config.toml:3:28: error: `{{header.{name}}}` is what the client sent, and the key has what Larder makes of it");
        assert!(lines[0].starts_with(&told), "{changed}: {lines:?}");
        let apart = format!("[[routes]]\npath = \"/a\"\ncache = false\n{}\n{changed}", answer(name));
        assert!(!complaints(&apart).iter().any(|line| line.contains("error")), "{apart}");
    }
}

#[test]
fn an_answer_whose_own_word_is_overruled_is_warned_about() {
    in_cache(
        "response = { set = { cache-control = \"max-age=60\" } }",
        "2:38: warning: a `cache-control` of yours replaces the backend's, `private` and `no-store` included (hint: `ttl` names a lifetime without \
         that)",
    );
    in_cache(
        "response = { remove = [\"set-cookie\"] }",
        "2:24: warning: an answer that loses its `set-cookie` is stored (hint: make sure that no page beside such a cookie is one user's)",
    );
    in_cache(
        "response = { set = { expires = \"0\" } }",
        "2:32: warning: the backend's `expires` does not count any more, one that has passed included (hint: `ttl` names a lifetime without that)",
    );
    in_cache(
        "targeted = [\"x-cdn\"]\nresponse = { remove = [\"x-cdn\"] }",
        "3:24: warning: a `x-cdn` of yours replaces the backend's, `private` and `no-store` included (hint: `ttl` names a lifetime without that)",
    );
    let passed = "[[routes]]\npath = \"/a\"\ncache = false\nresponse = { set = { cache-control = \"no-store\" } }";
    assert_eq!(complaints(passed), Vec::<String>::new(), "nothing is stored there");
}

#[test]
fn paths_are_rewritten_by_whole_segments() {
    let rewrite = |text: &str| config(&format!("[cache]\nrewrite = {{ {text} }}")).fallback.unwrap().settings.rewrite;
    let expected = |strip: &str, add: &str| Some(PathRewrite { strip_prefix: strip.to_owned(), add_prefix: add.to_owned() });
    assert_eq!(rewrite("strip_prefix = \"/api/\", add_prefix = \"/v2\""), expected("/api", "/v2"));
    assert_eq!(rewrite("strip_prefix = \"/api\""), expected("/api", ""));
    assert_eq!(rewrite("strip_prefix = \"/\""), None);
    let inner = config("[cache]\nrewrite = { add_prefix = \"/v2\" }\n[[routes]]\npath = \"/a\"\nrewrite = {}");
    assert_eq!(inner.routes[0].settings.rewrite, None, "a route may take it back");
    for (text, hint) in [
        ("api", "it begins with a slash: \"/api\""),
        ("/a/{id}", "it is taken letter by letter; it has no placeholders"),
        ("/a/../b", "segments as clients send them, without dots, double slashes and needless escapes"),
        ("/%61", "segments as clients send them, without dots, double slashes and needless escapes"),
        ("/a?b", "segments as clients send them, without dots, double slashes and needless escapes"),
    ] {
        in_cache(
            &format!("rewrite = {{ add_prefix = \"{text}\" }}"),
            &format!("2:26: error: `{text}` is not the beginning of a path (hint: {hint})"),
        );
    }
}

#[test]
fn a_route_may_have_a_timeout_of_its_own() {
    let said = config("[[routes]]\npath = \"/slow\"\ntimeout = \"2m\"");
    assert_eq!((said.routes[0].settings.timeout, said.fallback.unwrap().settings.timeout), (Some(Duration::from_secs(120)), None));
    in_cache(
        "timeout = \"0s\"",
        "2:11: error: `timeout` cannot be zero (hint: nothing would ever be in time; give a long one, like \"1h\", to wait)",
    );
}

#[test]
fn codings_are_kept_in_the_order_of_liking_and_packed_where_that_is_said() {
    use larder_semantics::Coding;

    let said = config(
        "[cache]\nencodings = [\"br\", \"gzip\"]\ncompress = { min = \"2KiB\" }\n[[routes]]\npath = \"/a\"\ncompress = false\n[[routes]]\npath = \"/b\"\n\
         compress = { types = [\"Text/*\"] }",
    );
    let (off, on, fallback) = (&said.routes[0].settings, &said.routes[1].settings, said.fallback.unwrap().settings);
    assert_eq!((&off.encodings[..], &off.compress), (&[Coding::Brotli, Coding::Gzip][..], &None));
    let compress = on.compress.as_ref().expect("on");
    assert_eq!((compress.min, &compress.types[..]), (2048, &["text/*".to_owned()][..]));
    let inherited = fallback.compress.expect("on");
    assert!(inherited.min == 2048 && inherited.types.contains(&"application/json".to_owned()));
    let unsaid = config("").fallback.unwrap().settings;
    assert!(unsaid.encodings.is_empty() && unsaid.compress.is_none());
}

#[test]
fn codings_that_cannot_be_kept_are_reported() {
    in_cache("encodings = [\"brotli\"]", "2:14: error: `brotli` is not a coding of `encodings` (hint: its name in messages is \"br\")");
    in_cache(
        "encodings = [\"deflate\"]",
        "2:14: error: `deflate` is not a coding of `encodings` (hint: servers and clients do not agree on it; \"gzip\" is as small)",
    );
    in_cache("encodings = [\"br\", \"br\"]", "2:20: error: `br` is listed twice (hint: remove one of them: the first is the most liked)");
    in_cache(
        "compress = {}",
        "2:12: error: `compress` without `encodings` has nothing to compress with (hint: add encodings = [\"zstd\", \"br\", \"gzip\"])",
    );
    in_route(
        "encodings = [\"gzip\"]\ncompress = {}\ntags = [\"of:{response.project}\"]",
        "2:8: warning: `compress` does nothing on this route: its `tags` are read in the answers (hint: write compress = false here to say that it \
         is meant)",
    );
    in_cache("compress = true", "2:12: error: `compress` cannot be a boolean (hint: expected a table: [cache.compress])");
    in_cache(
        "encodings = [\"gzip\"]\ncompress = { types = [\"json\"] }",
        "3:23: error: `json` is not a media type (hint: without parameters, with one `*` for any text: \"text/*\", \"application/*+json\")",
    );
}
