//! Members of a JSON object, read off while a body passes.
//!
//! Only the top level counts, and of it only strings, numbers and booleans. Nothing is kept but the member that is being read, and
//! nothing is looked at beyond [`LIMIT`]. Of members of one name the last one counts, as in most parsers.

use super::fields::JsonFields;

/// Bytes of a body that are looked at.
const LIMIT: usize = 64 << 10;

/// Reads the members that are wanted off the bytes it is shown.
#[derive(Debug)]
pub(crate) struct Scanner {
    fields: JsonFields,
    state: State,
    /// Bytes still to be looked at.
    left: usize,
    /// The name or value that is being read, as it is written.
    token: Vec<u8>,
    /// `None` where it is no text, so that it is none of the wanted names.
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the object.
    Before,
    /// In a byte order mark, behind this many of its bytes. RFC 8259 §8.1: "implementations that parse JSON texts MAY ignore" it.
    Mark(usize),
    /// Before a name, or the object's end.
    BeforeName,
    Name(Quoted),
    BeforeColon,
    BeforeValue,
    Text(Quoted),
    /// A number, or one of three words; or another, such as `NaN`, which some write though it is no JSON.
    Word,
    /// An object or a list that is passed over, this deep; in a string of it or not.
    Nested(usize, Option<Quoted>),
    AfterValue,
    /// The object's end, or JSON that is no object.
    Done,
    /// No JSON: a more lenient reader may find members behind it.
    Broken,
}

const MARK: &[u8] = "\u{feff}".as_bytes();

/// A place in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoted {
    Plain,
    AfterBackslash,
}

impl Quoted {
    /// The place after this byte; `None`: it ended the string.
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Plain, b'"') => None,
            (Self::Plain, b'\\') => Some(Self::AfterBackslash),
            _ => Some(Self::Plain),
        }
    }
}

impl Scanner {
    pub(crate) fn new(wanted: &[String]) -> Self {
        Self { fields: JsonFields::wanted(wanted), state: State::Before, left: LIMIT, token: Vec::new(), name: None }
    }

    /// The next bytes of the body.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.left)];
        self.left -= bytes.len();
        for &byte in bytes {
            if self.has_ended() {
                return;
            }
            self.state = self.step(byte);
        }
    }

    /// Whether further bytes can add nothing: the object ended, or there is none, or its beginning was all that is looked at.
    pub(crate) fn is_done(&self) -> bool {
        self.has_ended() || self.left == 0
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, State::Done | State::Broken)
    }

    /// Whether it is no JSON, and may have members that were not found.
    pub(crate) fn is_broken(&self) -> bool {
        self.state == State::Broken && !self.has_all()
    }

    /// Whether every member that is wanted has been found.
    pub(crate) fn has_all(&self) -> bool {
        self.fields.has_all()
    }

    /// Whether the object ended beyond what was looked at or could be read, and might say more.
    pub(crate) fn is_cut(&self) -> bool {
        self.state != State::Done && !self.has_all()
    }

    pub(crate) fn fields(&self) -> &JsonFields {
        &self.fields
    }

    fn step(&mut self, byte: u8) -> State {
        match self.state {
            State::Before | State::BeforeName | State::BeforeColon | State::BeforeValue | State::AfterValue
                if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') =>
            {
                self.state
            }
            State::Before => match byte {
                b'{' => State::BeforeName,
                b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::Done,
                _ if byte == MARK[0] => State::Mark(1),
                _ => State::Broken,
            },
            State::Mark(read) if byte != MARK[read] => State::Broken,
            State::Mark(read) if read + 1 == MARK.len() => State::Before,
            State::Mark(read) => State::Mark(read + 1),
            State::BeforeName if byte == b'"' => self.begin(State::Name(Quoted::Plain)),
            State::Name(state) => match state.next(byte) {
                Some(state) => self.keep(byte, State::Name(state)),
                None => {
                    self.name = self.text();
                    State::BeforeColon
                }
            },
            State::BeforeColon if byte == b':' => State::BeforeValue,
            State::BeforeValue => match byte {
                b'"' => self.begin(State::Text(Quoted::Plain)),
                b'{' | b'[' => {
                    self.set(None);
                    State::Nested(1, None)
                }
                b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    self.begin(State::Word);
                    self.keep(byte, State::Word)
                }
                _ => State::Broken,
            },
            State::Text(state) => match state.next(byte) {
                Some(state) => self.keep(byte, State::Text(state)),
                None => {
                    let text = self.text();
                    self.set(text);
                    State::AfterValue
                }
            },
            State::Word if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') => self.keep(byte, State::Word),
            State::Word => {
                let word = self.word();
                self.set(word);
                self.state = State::AfterValue;
                self.step(byte)
            }
            State::Nested(depth, Some(state)) => State::Nested(depth, state.next(byte)),
            State::Nested(depth, None) => match byte {
                b'"' => State::Nested(depth, Some(Quoted::Plain)),
                b'{' | b'[' => State::Nested(depth + 1, None),
                b'}' | b']' if depth == 1 => State::AfterValue,
                b'}' | b']' => State::Nested(depth - 1, None),
                _ => State::Nested(depth, None),
            },
            State::AfterValue if byte == b',' => State::BeforeName,
            State::BeforeName | State::AfterValue if byte == b'}' => State::Done,
            State::BeforeName | State::BeforeColon | State::AfterValue => State::Broken,
            State::Done | State::Broken => self.state,
        }
    }

    fn set(&mut self, value: Option<String>) {
        if let Some(name) = &self.name {
            self.fields.set(name, value);
        }
    }

    fn begin(&mut self, state: State) -> State {
        self.token.clear();
        state
    }

    fn keep(&mut self, byte: u8, state: State) -> State {
        self.token.push(byte);
        state
    }

    /// A string's text, its escapes undone.
    fn text(&self) -> Option<String> {
        let quoted = [b"\"", self.token.as_slice(), b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }

    /// A number or boolean as it is written; `null` is no value.
    fn word(&self) -> Option<String> {
        let _: serde::de::IgnoredAny = serde_json::from_slice(&self.token).ok()?;
        std::str::from_utf8(&self.token).ok().filter(|word| *word != "null").map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::{LIMIT, Scanner};
    use crate::json::fields::MAX_VALUE;

    fn scan(body: &[u8], frame: usize) -> Scanner {
        let mut scanner = Scanner::new(&["id".to_owned(), "to".to_owned()]);
        body.chunks(frame.max(1)).for_each(|frame| scanner.push(frame));
        scanner
    }

    fn found(body: &str) -> (Option<String>, Option<String>) {
        let scanner = scan(body.as_bytes(), usize::MAX);
        let get = |name| scanner.fields().get(name).map(str::to_owned);
        (get("id"), get("to"))
    }

    #[test]
    fn strings_numbers_and_booleans_of_the_top_level_are_found() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(found(r#" { "id" : 7 , "to":"b\u00fc\"x" } "#), (some("7"), some("bü\"x")));
        assert_eq!(found(r#"{"a":{"id":1,"x":["}"]},"id":-1.50e3,"to":true}"#), (some("-1.50e3"), some("true")));
        assert_eq!(found(r#"{"id":12345678901234567890123,"to":null}"#), (some("12345678901234567890123"), None));
        assert_eq!(found(r#"{"id":[1],"to":{}}"#), (None, None));
        assert_eq!(found(r#"{"\u0069d":"x"}"#), (some("x"), None));
    }

    #[test]
    fn the_last_of_several_counts() {
        assert_eq!(found(r#"{"id":1,"id":2}"#).0.as_deref(), Some("2"));
        assert_eq!(found(r#"{"id":1,"id":[2]}"#).0, None);
    }

    #[test]
    fn json_that_is_no_object_has_no_members() {
        for body in ["", "[", r#"[{"id":1}]"#, "7", r#""id""#, r#"{id:1}"#, r#"{"id"=1}"#, r#"{"id":tru}"#] {
            assert_eq!(found(body), (None, None), "{body}");
        }
    }

    #[test]
    fn what_is_no_json_may_have_members_that_nobody_has_read() {
        for body in ["{id:1}", r#"{"a":'x',"id":1}"#, r#"{"a":1;"id":1}"#, r#"{"a"=1,"id":1}"#, "while(1);{\"id\":1}", ")]}',\n{\"id\":1}"]
        {
            let scanner = scan(body.as_bytes(), 1);
            assert_eq!((scanner.is_done(), scanner.is_cut()), (true, true), "{body}");
        }
        for body in ["{}", r#"{"a":1}"#, "[1]", "7", "null", r#""id""#] {
            assert!(!scan(body.as_bytes(), 1).is_cut(), "{body}");
        }
    }

    #[test]
    fn what_other_languages_write_as_json_hides_no_member_behind_it() {
        for body in [
            r#"{"avg":NaN,"id":7}"#,
            r#"{"avg":Infinity,"id":7}"#,
            r#"{"avg":-Infinity,"id":7}"#,
            r#"{"\ud800":1,"id":7}"#,
            r#"{"a":"\ud800","id":7}"#,
            "\u{feff}{\"id\":7}",
        ] {
            for frame in [1, usize::MAX] {
                let scanner = scan(body.as_bytes(), frame);
                assert_eq!((scanner.fields().get("id"), scanner.is_cut()), (Some("7"), false), "{body}");
            }
        }
        assert_eq!(found(r#"{"id":7,"\ud800":8}"#).0.as_deref(), Some("7"), "an unreadable name is no other member's");
        assert_eq!(found(r#"{"id":NaN}"#).0, None);
    }

    #[test]
    fn nothing_is_looked_at_beyond_the_limit() {
        let body = |padding: usize| format!(r#"{{"a":"{}","id":1}}"#, "x".repeat(padding));
        let near = scan(body(LIMIT - 20).as_bytes(), 1000);
        assert_eq!((near.fields().get("id"), near.is_done()), (Some("1"), true));
        let far = scan(body(LIMIT).as_bytes(), 1000);
        assert_eq!((far.fields().get("id"), far.is_done(), far.is_cut()), (None, true, true));
    }

    #[test]
    fn a_very_long_value_names_nothing() {
        let scanner = scan(format!(r#"{{"id":"{}","to":1}}"#, "x".repeat(MAX_VALUE + 1)).as_bytes(), 1000);
        let fields = scanner.fields();
        assert_eq!((fields.get("id"), fields.is_too_long("id"), fields.is_too_long("to")), (None, true, false));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\{}\\[\\]]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let name = prop_oneof![Just("id".to_owned()), Just("to".to_owned()), "[a-z\"\\\\]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..4).prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_parser_finds_however_the_body_is_cut(value in json(), pretty in any::<bool>(), frame in 1_usize..9) {
            let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let scanner = scan(body.as_bytes(), frame);
            for name in ["id", "to"] {
                let expected = match &value[name] {
                    Value::String(text) => Some(text.clone()),
                    plain @ (Value::Number(_) | Value::Bool(_)) => Some(plain.to_string()),
                    _ => None,
                };
                prop_assert_eq!(scanner.fields().get(name), expected.as_deref());
            }
            prop_assert!(scanner.is_done());
        }

        #[test]
        fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..64), frame in 1_usize..9) {
            scan(&body, frame);
        }
    }
}
