//! Pairs of contents that must or must not share a key.

use http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let line =
        |&(name, value): &(&str, &str)| (HeaderName::try_from(name).expect("a name"), HeaderValue::try_from(value).expect("a value"));
    lines.iter().map(line).collect()
}

fn key(kind: ContentKind, lines: &[(&str, &str)], content: &str) -> Option<ContentKey> {
    keyed(&ContentRules::new(kind), lines, content.as_bytes())
}

fn keyed(rules: &ContentRules, lines: &[(&str, &str)], content: &[u8]) -> Option<ContentKey> {
    rules.key(&ContentRequest { path: "/search", fields: &fields(lines), content }).ok().map(|keyed| keyed.key)
}

fn json(content: &str) -> Option<ContentKey> {
    key(ContentKind::Json, JSON, content)
}

fn form(content: &str) -> Option<ContentKey> {
    key(ContentKind::Form, FORM, content)
}

#[test]
fn json_that_says_the_same_shares_a_key() {
    let same = [
        (r#"{"a":1,"b":[true,null]}"#, " { \"b\" : [ true , null ] ,\r\n\t\"a\" : 1 } "),
        (r#"{"a":{"c":1,"b":2}}"#, r#"{"a":{"b":2,"c":1}}"#),
        (r#""\u00e4\/\n""#, "\"ä/\\u000a\""),
        (r#""\ud834\udd1e""#, "\"𝄞\""),
        (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        (r#"{"z":1,"𝄞":2,"":3}"#, r#"{"":3,"𝄞":2,"z":1}"#),
    ];
    for (one, other) in same {
        assert!(json(one).is_some() && json(one) == json(other), "{one} and {other}");
    }
}

#[test]
fn json_that_says_something_else_does_not() {
    let all = [
        "1",
        "1.0",
        "1e0",
        "1E0",
        "-1",
        "0",
        "-0",
        "\"1\"",
        "null",
        "\"null\"",
        "true",
        "[]",
        "{}",
        "[1]",
        "[[1]]",
        "[1,1]",
        "[\"1\"]",
        "\"\"",
        r#"{"a":1}"#,
        r#"{"a":"1"}"#,
        r#"{"a":null}"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"{"A":1}"#,
        r#"{"a":1,"b":1}"#,
        r#"{"a":{"b":1}}"#,
        r#"{"ab":1}"#,
        r#"["a",1]"#,
        r#"[{"a":1}]"#,
        "\"a\u{301}\"",
        "\"\u{e1}\"",
        "\" a\"",
        "\"a\"",
        "\"a \"",
        "12345678901234567890",
        "12345678901234567891",
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(json(one).is_some(), "{one}");
        for other in &all[index + 1..] {
            assert_ne!(json(one), json(other), "{one} and {other}");
        }
    }
}

#[test]
fn what_is_not_plainly_json_has_no_key() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let broken = [
        "",
        " ",
        "nul",
        "nulll",
        "tru",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "1 2",
        "[1,]",
        "[,1]",
        "[1",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud834\"",
        "\"\\ud834\\u0041\"",
        "\"\\udd1e\"",
        "\"\n\"",
        "\u{feff}{}",
        "// a\n1",
        "NaN",
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        &deep,
    ];
    for content in broken {
        assert_eq!(json(content), None, "{content}");
    }
    assert_eq!(keyed(&ContentRules::new(ContentKind::Json), JSON, b"\"\xff\""), None);
}

#[test]
fn forms_that_say_the_same_share_a_key() {
    assert!(form("a=1&b=2").is_some());
    for (one, other) in [("a=1&b=2", "b=2&a=1"), ("a=x+y", "a=x%20y"), ("a", "a="), ("a=1&&b=2&", "a=1&b=2"), ("%61=1", "a=1")] {
        assert_eq!(form(one), form(other), "{one} and {other}");
    }
    for (one, other) in [("a=1&a=2", "a=2&a=1"), ("a=1", "a=1&a=1"), ("a=1&b=2", "a=1%26b=2"), ("a=", ""), ("a=%2B", "a=+")] {
        assert!(form(one).is_some() && form(one) != form(other), "{one} and {other}");
    }
    for broken in ["a=%", "a=%4", "a=%zz"] {
        assert_eq!(form(broken), None, "{broken}");
    }
}

#[test]
fn the_media_type_is_part_of_the_key_and_has_to_fit() {
    let of = |content_type: &str| key(ContentKind::Json, &[("content-type", content_type)], "{}");
    assert!(of("application/json").is_some());
    assert_eq!(of("application/json"), of("Application/JSON; charset=UTF-8"));
    assert_ne!(of("application/json"), of("application/vnd.api+json"));
    for other in
        ["text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded", "json", "", "application/json, text/plain"]
    {
        assert_eq!(of(other), None, "{other}");
    }
    assert_eq!(key(ContentKind::Json, &[], "{}"), None);
    assert_eq!(key(ContentKind::Json, &[JSON[0], JSON[0]], "{}"), None, "two of them");
    let wants_decoding = |kind, lines: &[(&str, &str)]| ContentRules::new(kind).wants_decoding(&fields(lines));
    let coded = &[JSON[0], ("content-encoding", "gzip")];
    assert!(wants_decoding(ContentKind::Json, coded) && wants_decoding(ContentKind::Form, coded));
    assert!(!wants_decoding(ContentKind::Bytes, coded), "the coding is part of what is sent");
    assert!(!wants_decoding(ContentKind::Json, &[coded[0], coded[1], ("cache-control", "no-transform")]));
    assert!(!wants_decoding(ContentKind::Json, &[JSON[0], ("content-encoding", "identity")]));
    assert_eq!(key(ContentKind::Json, coded, "{}"), json("{}"), "the key is that of what was coded");
    assert_ne!(key(ContentKind::Json, &[JSON[0], ("content-language", "de")], "{}"), json("{}"));
}

#[test]
fn bytes_are_compared_as_they_are_with_their_fields() {
    let of = |lines: &[(&str, &str)], content: &str| key(ContentKind::Bytes, lines, content);
    assert!(of(&[], "").is_some());
    assert_ne!(of(JSON, "{}"), of(JSON, "{ }"));
    assert_ne!(of(JSON, "{}"), of(&[], "{}"));
    assert_ne!(of(&[("content-type", "a")], ""), of(&[("content-encoding", "a")], ""));
    assert_eq!(of(JSON, "{}"), of(JSON, "{}"));
}

#[test]
fn rfc10008_a_request_that_forbids_transformation_is_not_normalised() {
    let plain = &[JSON[0], ("cache-control", "max-age=0, No-Transform")];
    let (one, other) = (key(ContentKind::Json, plain, "{}"), key(ContentKind::Json, plain, "{ }"));
    assert!(one.is_some_and(|key| key.kind() == ContentKind::Bytes));
    assert_ne!(one, other);
}

#[test]
fn parts_can_be_left_out_or_be_all_there_is() {
    let pointers = |texts: &[&str]| texts.iter().map(|text| Pointer::parse(text).expect("a pointer")).collect::<Vec<_>>();
    let with = |drop: &[&str], only: &[&str], content: &str| {
        let rules = ContentRules { drop: pointers(drop), only: pointers(only), ..ContentRules::new(ContentKind::Json) };
        keyed(&rules, JSON, content.as_bytes())
    };
    let full = r#"{"user":"a","query":{"q":"x","trace":1},"list":[1,{"b":2}]}"#;
    let other = r#"{"query":{"q":"x","trace":2},"list":[1,{"b":2}],"user":"b"}"#;
    assert_ne!(with(&["/user"], &[], full), with(&["/user"], &[], other));
    assert_eq!(with(&["/user", "/query/trace", "/none/there"], &[], full), with(&["/user", "/query/trace"], &[], other));
    assert_eq!(with(&[], &["/query/q"], full), with(&[], &["/query/q"], other));
    assert_ne!(with(&[], &["/query/q"], full), with(&[], &["/query/q"], r#"{"query":{"q":"y"}}"#));
    assert_ne!(with(&[], &["/a"], r#"{"a":[]}"#), with(&[], &["/a"], "{}"), "an empty part is not an absent one");
    assert_ne!(with(&["/list/0"], &[], full), with(&["/list/1"], &[], full));
    assert_eq!(with(&["/list/1/b"], &[], full), with(&["/list/1/b"], &[], &full.replace("\"b\":2", "\"b\":3")));
    let form = ContentRules { drop: pointers(&["/utm"]), only: pointers(&["/q", "/utm"]), ..ContentRules::new(ContentKind::Form) };
    assert_eq!(keyed(&form, FORM, b"q=1&utm=2&x=3"), keyed(&form, FORM, b"utm=9&q=1"));
    let nested = ContentRules { only: pointers(&["/user/id"]), ..ContentRules::new(ContentKind::Form) };
    assert_eq!(keyed(&nested, FORM, b"user=1"), None, "no form has such a field, so that all forms would have one key");
}

#[test]
fn longer_content_than_permitted_has_no_key() {
    let rules = ContentRules { max_length: 4, ..ContentRules::new(ContentKind::Bytes) };
    assert!(keyed(&rules, &[], b"1234").is_some());
    assert_eq!(keyed(&rules, &[], b"12345"), None);
}

/// A JSON value as a tree, without this module's types.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Plain(&'static str),
    Text(String),
    List(Vec<Tree>),
    Map(std::collections::BTreeMap<String, Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let plain = prop::sample::select(&["null", "true", "false", "0", "-1.5e3", "17"][..]).prop_map(Tree::Plain);
    let leaf = prop_oneof![plain, "[a-c\"\\\\/\u{e4}\u{1d11e}\n]{0,4}".prop_map(Tree::Text)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            prop::collection::btree_map("[a-c\u{e4}]{0,2}", inner, 0..4).prop_map(Tree::Map)
        ]
    })
}

impl Tree {
    /// Written in a way that `style` chooses: order, white space, escapes.
    fn write(&self, style: u64, out: &mut String) {
        let space = ["", " ", "\n\t"][usize::try_from(style % 3).expect("small")];
        out.push_str(space);
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::Text(text) => write_text(text, style, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    item.write(style, out);
                }
                out.push(']');
            }
            Self::Map(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if style & 4 != 0 {
                    members.reverse();
                }
                out.push('{');
                for (index, (name, value)) in members.into_iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    write_text(name, style, out);
                    out.push(':');
                    value.write(style, out);
                }
                out.push('}');
            }
        }
        out.push_str(space);
    }
}

fn write_text(text: &str, style: u64, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let must = character < ' ' || character == '"' || character == '\\';
        if must || style & 8 != 0 {
            character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

proptest! {
    #[test]
    fn two_texts_share_a_key_exactly_if_they_are_the_same_value(one in tree(), other in tree(), styles in (0_u64..48, 0_u64..48)) {
        let written = |tree: &Tree, style| {
            let mut out = String::new();
            tree.write(style, &mut out);
            out
        };
        let first = json(&written(&one, styles.0));
        prop_assert!(first.is_some());
        prop_assert_eq!(first, json(&written(&one, styles.1)));
        prop_assert_eq!(first == json(&written(&other, styles.1)), one == other);
    }

    #[test]
    fn no_text_breaks_the_reader(content in prop::collection::vec(prop::sample::select(&b"[]{}\",:\\ud8\xc3\xa40-1.eEnulltrf \n"[..]), 0..60)) {
        // Whatever has a key is JSON to others as well.
        if keyed(&ContentRules::new(ContentKind::Json), JSON, &content).is_some() {
            prop_assert!(std::str::from_utf8(&content).is_ok());
        }
    }
}
