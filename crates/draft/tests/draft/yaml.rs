//! OpenAPI documents in YAML.

use larder_draft::{Api, NotOpenApi, Survey};

use crate::{Backend, ORIGIN, api, drafted, shop};

/// Each line names nine of the line before it: twelve lines would be 9^12 values.
#[test]
fn aliases_that_multiply_are_refused_before_they_are_expanded() {
    let mut text = String::from("openapi: 3.1.0\npaths: {}\nx0: &x0 [a]\n");
    for level in 1..=12 {
        let again = vec![format!("*x{}", level - 1); 9].join(", ");
        text += &format!("x{level}: &x{level} [{again}]\n");
    }
    assert_eq!(Api::read(text.as_bytes(), "").err(), Some(NotOpenApi::Unreadable));
}

const SHOP_IN_YAML: &str = r#"
openapi: 3.1.0
info:
  title: Books
components:
  securitySchemes:
    key: { type: apiKey, in: header, name: X-Api-Key }
    token:
      type: http
      scheme: bearer
paths:
  /books:
    get: { summary: All books }
    post: { summary: Add a book }
  /books/{book_id}:
    parameters:
      - in: path
        name: book_id
        required: true
    get: {}
    put: {}
    delete: {}
  /books/{book_id}/reviews:
    get:
      parameters:
        - { in: header, name: X-Edition }
        - { in: header, name: Accept-Language }
  /orders:
    get: { security: [ { key: [] } ] }
    post: { security: [ { token: [] } ] }
  /me:
    get:
      parameters: [ { in: header, name: authorization } ]
  /search:
    get:
      parameters: [ { in: query, name: q, required: true, example: a b } ]
  /report:
    get:
      parameters: [ { in: query, name: month, required: true } ]
  /events:
    get:
      responses:
        200:
          content:
            text/event-stream: {}
  /logout: { get: {}, post: {} }
"#;

#[test]
fn yaml_says_the_same_as_json() {
    let draft = |api: Api| drafted(Survey::new(ORIGIN, Some(api), &[]), &Backend::default()).text;
    let in_yaml = Api::read(SHOP_IN_YAML.as_bytes(), "").expect("a document");
    assert_eq!(draft(in_yaml), draft(api(&shop())));
}

#[test]
fn a_version_may_be_a_number_in_yaml_and_a_reference_may_be_encoded() {
    let text = "swagger: 2.0\nbasePath: /v1\npaths:\n  /a/{id}:\n    get: {}\n  /b/{id}:\n    $ref: '#/paths/~1a~1%7Bid%7D'\n";
    let drafted = drafted(Survey::new(ORIGIN, Some(Api::read(text.as_bytes(), "").expect("a document")), &[]), &Backend::default());
    assert!(drafted.has("/v1/a/{id}") && drafted.has("/v1/b/{id}"), "{}", drafted.text);
}
