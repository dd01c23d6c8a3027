//! Backends as people have them, and the configurations that come of them: each is one that Larder takes without a warning.

mod yaml;

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use larder_config::{Overrides, parse};
use larder_draft::{Answer, Api, NotOpenApi, Survey};
use proptest::prelude::*;
use serde_json::{Value, json};

const ORIGIN: &str = "http://127.0.0.1:3000";

/// A backend by its answers: status, fields and body for each target.
#[derive(Default)]
struct Backend(HashMap<String, Answer>);

impl Backend {
    fn answers(mut self, target: &str, status: u16, fields: &[(&str, &str)], body: &str) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).expect("a name"), HeaderValue::try_from(*value).expect("a value"));
        }
        self.0.insert(target.to_owned(), Answer { status, headers, body: body.as_bytes().to_vec() });
        self
    }

    fn json(self, target: &str, body: &Value) -> Self {
        self.answers(target, 200, &[("content-type", "application/json")], &body.to_string())
    }
}

struct Drafted {
    text: String,
    asked: Vec<String>,
}

impl Drafted {
    /// The lines of a route or rule, by its path, with the comment before it.
    fn of(&self, head: &str, path: &str) -> Vec<&str> {
        let sections = self.text.split("\n\n").filter(|section| section.lines().any(|line| line == head));
        let named = format!("path = {path:?}");
        let section = sections.into_iter().find(|section| section.lines().any(|line| line == named));
        section
            .unwrap_or_else(|| panic!("no {head} for {path} in\n{}", self.text))
            .lines()
            .filter(|line| *line != head && *line != named)
            .collect()
    }

    fn route(&self, path: &str) -> Vec<&str> {
        self.of("[[routes]]", path)
    }

    fn has(&self, path: &str) -> bool {
        self.text.contains(&format!("path = {path:?}"))
    }
}

/// Asks the backend for what the survey wants, and asserts that Larder takes what comes out.
fn drafted(mut survey: Survey, backend: &Backend) -> Drafted {
    let mut asked = Vec::new();
    while let Some(target) = survey.next_target() {
        let answer = backend.0.get(&target).cloned().unwrap_or_else(|| Answer { status: 404, ..Answer::default() });
        survey.answered(&target, Ok(answer));
        asked.push(target);
    }
    let text = survey.draft();
    match parse("larder.toml", text.as_bytes(), &Overrides::default()) {
        Ok((_, warnings)) => assert_eq!(warnings.warnings(), 0, "{text}\n{}", warnings.render(false)),
        Err(report) => panic!("{text}\n{}", report.render(false)),
    }
    Drafted { text, asked }
}

fn api(document: &Value) -> Api {
    Api::read(document.to_string().as_bytes(), "").expect("a document")
}

fn shop() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Books" },
        "components": { "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" }, "token": { "type": "http", "scheme": "bearer" } } },
        "paths": {
            "/books": { "get": { "summary": "All books" }, "post": { "summary": "Add a book" } },
            "/books/{book_id}": {
                "parameters": [{ "in": "path", "name": "book_id", "required": true }],
                "get": {}, "put": {}, "delete": {}
            },
            "/books/{book_id}/reviews": { "get": { "parameters": [{ "in": "header", "name": "X-Edition" }, { "in": "header", "name": "Accept-Language" }] } },
            "/orders": { "get": { "security": [{ "key": [] }] }, "post": { "security": [{ "token": [] }] } },
            "/me": { "get": { "parameters": [{ "in": "header", "name": "authorization" }] } },
            "/search": { "get": { "parameters": [{ "in": "query", "name": "q", "required": true, "example": "a b" }] } },
            "/report": { "get": { "parameters": [{ "in": "query", "name": "month", "required": true }] } },
            "/events": { "get": { "responses": { "200": { "content": { "text/event-stream": {} } } } } },
            "/logout": { "get": {}, "post": {} }
        }
    })
}

#[test]
fn a_document_becomes_routes_lifetimes_and_rules_and_only_what_is_safe_is_asked_for() {
    let backend = Backend::default()
        .json("/books", &json!([{ "id": 7, "title": "Dune" }]))
        .json("/books/7", &json!({ "id": 7 }))
        .answers("/books/7/reviews", 200, &[("cache-control", "max-age=120"), ("content-type", "application/json")], "[]")
        .json("/search?q=a%20b", &json!([]));
    let drafted = drafted(Survey::new(ORIGIN, Some(api(&shop())), &[]), &backend);
    assert_eq!(drafted.asked, ["/books", "/search?q=a%20b", "/books/7", "/books/7/reviews"]);
    assert_eq!(
        drafted.route("/books"),
        [
            "# All books. GET /books: 200 names no lifetime.",
            "name = \"books\"",
            "class = \"shared\"",
            "ttl = \"30s\"",
            "tags = [\"books\"]"
        ]
    );
    assert_eq!(
        drafted.route("/books/{book_id}")[1..],
        ["name = \"books.item\"", "class = \"shared\"", "ttl = { default = \"1m\", \"404\" = \"10s\" }", "tags = [\"books:{book_id}\"]"]
    );
    assert_eq!(
        drafted.route("/books/{book_id}/reviews"),
        [
            "# GET /books/7/reviews: 200 names its own lifetime, 120 s.",
            "name = \"books.item.reviews\"",
            "key = { headers = [\"x-edition\"] }",
            "tags = [\"books:{book_id}\"]"
        ]
    );
    assert_eq!(
        drafted.of("[[on_write]]", "/books/{book_id}"),
        ["methods = [\"PUT\", \"DELETE\"]", "purge = [\"tag:books:{book_id}\", \"tag:books\"]"]
    );
    assert_eq!(drafted.of("[[on_write]]", "/books")[1..], ["methods = [\"POST\"]", "purge = [\"tag:books\"]"]);
    assert_eq!(drafted.of("[[on_write]]", "/logout"), ["methods = [\"POST\"]", "purge = [\"identity\"]"]);
}

#[test]
fn what_is_somebodys_own_is_kept_apart_or_not_at_all() {
    let drafted = drafted(Survey::new(ORIGIN, Some(api(&shop())), &[]), &Backend::default());
    let orders = drafted.route("/orders");
    assert!(orders.contains(&"scope = \"identity\"") && orders.contains(&"identity = [\"header:x-api-key\"]"), "{orders:?}");
    let me = drafted.route("/me");
    assert!(me.contains(&"scope = \"identity\"") && !me.iter().any(|line| line.starts_with("identity")), "the default identity: {me:?}");
    for path in ["/events", "/logout"] {
        assert!(drafted.route(path).contains(&"cache = false"), "{path}");
    }
    let report = drafted.route("/report");
    assert!(report.contains(&"# ttl = \"30s\"") && report[0].contains("Not looked at"), "{report:?}");
}

#[test]
fn fields_of_answers_that_are_not_for_everyone_turn_the_cache_off() {
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("is private.", &[("cache-control", "private, max-age=60")]),
        ("says no-store.", &[("cache-control", "no-store")]),
        ("sets a cookie.", &[("set-cookie", "session=1")]),
        ("varies by cookie.", &[("vary", "Accept-Encoding, Cookie"), ("cache-control", "max-age=60")]),
        ("varies by *.", &[("vary", "*")]),
        ("is a stream of events.", &[("content-type", "text/event-stream")]),
    ];
    for (why, fields) in cases {
        let drafted = drafted(Survey::new(ORIGIN, None, &[]), &Backend::default().answers("/", 200, fields, ""));
        let route = drafted.route("/");
        assert!(route.contains(&"cache = false") && route[0].ends_with(why), "{route:?}");
    }
    for (status, fields, line) in
        [(401, &[("www-authenticate", "Bearer")][..], "scope = \"identity\""), (403, &[], "cache = false"), (500, &[], "# ttl = \"30s\"")]
    {
        let drafted = drafted(Survey::new(ORIGIN, None, &["/x".to_owned()]), &Backend::default().answers("/x", status, fields, ""));
        assert!(drafted.route("/x").contains(&line), "{status}: {:?}", drafted.route("/x"));
    }
}

#[test]
fn without_a_document_links_lead_on_and_items_of_lists_are_looked_at() {
    let backend = Backend::default()
        .json(
            "/",
            &json!({ "books": "http://127.0.0.1:3000/api/books/", "issue": "/issues/7?full=1", "other": "https://elsewhere.example/x" }),
        )
        .json("/api/books/", &json!({ "count": 1, "results": [{ "id": 3 }] }))
        .json("/api/books/3/", &json!({ "id": 3 }))
        .json("/issues/7", &json!({ "id": 7 }));
    let drafted = drafted(Survey::new(ORIGIN, None, &[]), &backend);
    assert_eq!(drafted.asked, ["/", "/api/books/", "/api/books/3/", "/issues/7"]);
    assert!(drafted.has("/api/books/{id}/") && drafted.has("/issues/{id}") && !drafted.text.contains("elsewhere"));
    let item = drafted.of("[[on_write]]", "/api/books/{id}/");
    assert_eq!(item, ["# By convention", "methods = [\"PUT\", \"PATCH\", \"DELETE\"]", "purge = [\"tag:books:{id}\", \"tag:books\"]"]);
    assert_eq!(drafted.of("[[on_write]]", "/api/books/")[2..], ["purge = [\"tag:books\"]"]);
    assert!(drafted.route("/api/books/{id}/").contains(&"tags = [\"books:{id}\"]"));
}

#[test]
fn a_page_leads_to_its_files_which_are_one_route_for_their_folder() {
    let page = "<link href=\"/static/a.css\"><script src='/static/b.js'></script><a href=\"/logout\">out</a><a href=\"/about\">about</a>";
    let html = &[("content-type", "text/html; charset=utf-8")][..];
    let backend =
        Backend::default().answers("/", 200, html, page).answers("/about", 200, html, "about").answers("/static/a.css", 200, &[], "");
    let drafted = drafted(Survey::new(ORIGIN, None, &[]), &backend);
    assert!(!drafted.asked.contains(&"/logout".to_owned()), "{:?}", drafted.asked);
    assert!(drafted.route("/static/{*rest}").contains(&"ttl = \"1h\""));
    assert!(drafted.route("/logout").contains(&"cache = false"));
}

#[test]
fn no_more_than_forty_requests_are_made_and_no_more_than_two_hundred_routes_written() {
    let paths: serde_json::Map<String, Value> = (0..700).map(|number| (format!("/r{number}"), json!({ "get": {} }))).collect();
    let document = json!({ "openapi": "3.0.0", "paths": paths });
    assert_eq!(api(&document).operations(), 700);
    let drafted = drafted(Survey::new(ORIGIN, Some(api(&document)), &[]), &Backend::default());
    assert_eq!((drafted.asked.len(), drafted.text.matches("[[routes]]").count()), (40, 200));
    assert!(drafted.text.contains("\n# 400 more paths were found."));
}

#[test]
fn swagger_2_has_its_own_places_for_the_same() {
    let document = json!({
        "swagger": "2.0", "basePath": "/v1",
        "securityDefinitions": { "basic": { "type": "basic" } },
        "paths": {
            "/pets/{id}": { "get": { "parameters": [{ "in": "path", "name": "id", "type": "integer", "x-example": 5 }] } },
            "/stock": { "get": { "security": [{ "basic": [] }] } },
            "/feed": { "get": { "produces": ["text/event-stream"] } }
        }
    });
    let drafted = drafted(Survey::new(ORIGIN, Some(api(&document)), &[]), &Backend::default().json("/v1/pets/5", &json!({})));
    assert_eq!(drafted.asked, ["/v1/pets/5"]);
    assert!(drafted.route("/v1/stock").contains(&"scope = \"identity\"") && drafted.route("/v1/feed").contains(&"cache = false"));
}

#[test]
fn the_path_of_the_upstream_is_not_written_twice() {
    let document =
        json!({ "openapi": "3.0.0", "servers": [{ "url": "https://h.example/base/v2" }], "paths": { "/a": { "get": {} } } }).to_string();
    for (base, path) in [("", "/base/v2/a"), ("/base", "/v2/a"), ("/base/v2", "/a"), ("/other", "/base/v2/a"), ("/bas", "/base/v2/a")] {
        let mut survey = Survey::new(ORIGIN, Some(Api::read(document.as_bytes(), base).expect("a document")), &[]);
        assert_eq!(survey.next_target().as_deref(), Some(path), "{base}");
    }
}

#[test]
fn a_backend_that_has_had_enough_is_asked_no_more() {
    for status in [429, 503] {
        let drafted = drafted(
            Survey::new(ORIGIN, Some(api(&shop())), &[]),
            &Backend::default().answers("/books", status, &[("retry-after", "60")], ""),
        );
        assert_eq!(drafted.asked, ["/books"]);
        assert!(drafted.route("/books")[0].ends_with(&format!("GET /books: {status}.")), "{:?}", drafted.route("/books"));
    }
}

#[test]
fn redirects_are_told_and_not_followed() {
    let redirect = |location: &str| {
        let mut survey = Survey::new(ORIGIN, None, &[]);
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::try_from(location).expect("a value"));
        survey.next_target();
        survey.answered("/", Ok(Answer { status: 301, headers, body: Vec::new() }));
        assert_eq!(survey.next_target(), None);
        (survey.elsewhere().map(str::to_owned), survey.draft().contains(&format!("GET /: 301 to {location}.")))
    };
    assert_eq!(redirect("https://shop.example/"), (Some("https://shop.example/".to_owned()), true));
    for within in ["/home", "http://127.0.0.1:3000/home"] {
        assert_eq!(redirect(within), (None, true));
    }
}

#[test]
fn references_in_circles_lead_nowhere() {
    let document = json!({
        "openapi": "3.0.0",
        "components": {
            "parameters": { "a": { "$ref": "#/components/parameters/b" }, "b": { "$ref": "#/components/parameters/a" }, "id": { "in": "path", "name": "id", "example": 4 } },
            "pathItems": { "loop": { "$ref": "#/paths/~1loop" }, "one": { "get": { "parameters": [{ "$ref": "#/components/parameters/id" }] } } }
        },
        "paths": {
            "/loop": { "$ref": "#/components/pathItems/loop" },
            "/one/{id}": { "$ref": "#/components/pathItems/one" },
            "/two": { "get": { "parameters": [{ "$ref": "#/components/parameters/a" }, { "$ref": "https://elsewhere.example/x" }] } }
        }
    });
    let drafted = drafted(Survey::new(ORIGIN, Some(api(&document)), &[]), &Backend::default());
    assert_eq!(drafted.asked, ["/two", "/one/4"]);
    assert!(!drafted.has("/loop"));
}

#[test]
fn what_is_no_document_is_told_apart() {
    for (text, why) in [
        ("<!doctype html>", NotOpenApi::Unreadable),
        ("", NotOpenApi::Unreadable),
        ("hello", NotOpenApi::Unreadable),
        ("{\"paths\":{}}", NotOpenApi::OtherDocument),
        ("paths: {}", NotOpenApi::OtherDocument),
        ("{\"openapi\":\"3.0.0\"}", NotOpenApi::OtherDocument),
        ("openapi: 3.0.0", NotOpenApi::OtherDocument),
        ("[]", NotOpenApi::OtherDocument),
    ] {
        assert_eq!(Api::read(text.as_bytes(), "").err(), Some(why), "{text}");
    }
    let deep = format!("{{\"openapi\":\"3.0.0\",\"paths\":{{}},\"x\":{}}}", "[".repeat(100_000));
    assert_eq!(Api::read(deep.as_bytes(), "").err(), Some(NotOpenApi::Unreadable));
}

#[test]
fn what_a_document_says_stays_a_comment() {
    let hostile = "Books\n[cache]\nunsafe_ignore = [\"private\"]\r\u{1b}[2J\u{202e}";
    let document = json!({
        "openapi": "3.0.0", "info": { "title": hostile },
        "components": { "securitySchemes": { "x": { "type": "apiKey", "in": "header", "name": "a\"]\nttl = \"1h\"" } } },
        "paths": {
            "/a": { "get": { "summary": hostile, "security": [{ "x": [] }] }, "post": { "summary": hostile } },
            "/b\"\n[[routes]]": { "get": {} },
            "/c/{x\"\ny}": { "get": { "operationId": hostile } }
        }
    });
    let drafted = drafted(Survey::new(ORIGIN, Some(api(&document)), &[]), &Backend::default());
    assert!(!drafted.text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{}", drafted.text);
    assert!(!drafted.text.lines().any(|line| line.starts_with("[cache]") || line.starts_with("unsafe_ignore")), "{}", drafted.text);
    assert!(drafted.route("/a").contains(&"cache = false") && drafted.has("/c/{xy}"));
}

fn members() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from)
    ];
    let name = prop_oneof![
        Just("get".to_owned()),
        Just("parameters".to_owned()),
        Just("$ref".to_owned()),
        Just("security".to_owned()),
        Just("responses".to_owned()),
        Just("in".to_owned()),
        Just("name".to_owned()),
        ".{0,8}"
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(|map| json!(map))
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_a_document_holds_larder_takes_what_comes_of_it(
        paths in prop::collection::btree_map("(/[ -~]{0,8}|/\\{[a-z]{1,3}\\}){1,4}/?", members(), 0..8),
        rest in members(),
        body in members(),
    ) {
        let document = json!({ "openapi": "3.0.0", "paths": paths, "components": rest, "servers": [{ "url": "/x" }] });
        let mut backend = Backend::default();
        for path in paths.keys() {
            backend = backend.json(&format!("/x{path}"), &body);
        }
        drafted(Survey::new(ORIGIN, Some(api(&document)), &paths.keys().cloned().collect::<Vec<_>>()), &backend);
    }
}

#[test]
fn a_backend_on_a_usual_port_keeps_it() {
    let mut survey = Survey::new("http://127.0.0.1:8080/api", None, &[]);
    survey.trust("a \"ca\".pem");
    let text = survey.draft();
    assert!(text.contains("\nca_file = \"a \\\"ca\\\".pem\"\n"), "{text}");
    assert!(text.contains("listen = \"127.0.0.1:8180\"") && text.contains("listen = \"127.0.0.1:8090\""), "{text}");
    let text = text.replace("ca_file = ", "# ");
    assert!(parse("larder.toml", text.as_bytes(), &Overrides::default()).is_ok());
}
