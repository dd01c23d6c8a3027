//! JSON (RFC 8259) read strictly, and its canonical form for keys. Not that of RFC 8785: a number stays as it is written, for `1`, `1.0` and an integer of
//! twenty digits are different things to many origins.

use std::borrow::Cow;

use super::pointer::Pointer;
use super::put;

/// Objects and arrays within each other at most. Parsers of origins have limits of their own, many of them lower.
const MAX_DEPTH: usize = 128;

/// A JSON value that borrows from its text.
#[derive(Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// `null`, `true`, `false`, or a number, as it is written.
    Plain(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    /// Sorted by name; no name twice.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Reads one whole text; `None` where it is not JSON in UTF-8, names a member twice or is nested too deeply.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let mut reader = Reader { text: std::str::from_utf8(text).ok()?, position: 0 };
        let value = reader.value(0)?;
        reader.skip_space();
        (reader.position == reader.text.len()).then_some(value)
    }

    /// Without the parts in `drop`; where `only` names some, an array of these, in which an empty array stands for a part that is not there.
    pub(super) fn select(mut self, drop: &[Pointer], only: &[Pointer]) -> Option<Self> {
        drop.iter().for_each(|pointer| self.remove(pointer.tokens()));
        if only.is_empty() {
            return Some(self);
        }
        let part = |pointer: &Pointer| Self::Array(self.find(pointer.tokens()).map(Self::copy).into_iter().collect());
        Some(Self::Array(only.iter().map(part).collect()))
    }

    fn find(&self, tokens: &[String]) -> Option<&Self> {
        let Some((first, rest)) = tokens.split_first() else { return Some(self) };
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == first)?.1.find(rest),
            Self::Array(items) => items.get(index(first)?)?.find(rest),
            Self::Plain(_) | Self::String(_) => None,
        }
    }

    fn remove(&mut self, tokens: &[String]) {
        match (self, tokens) {
            (Self::Object(members), [last]) => members.retain(|(name, _)| name != last),
            (Self::Object(members), [first, rest @ ..]) => {
                if let Some((_, value)) = members.iter_mut().find(|(name, _)| name == first) {
                    value.remove(rest);
                }
            }
            // The others keep their positions, for these say something too.
            (Self::Array(items), [last]) => {
                if let Some(item) = index(last).and_then(|index| items.get_mut(index)) {
                    *item = Self::Object(Vec::new());
                }
            }
            (Self::Array(items), [first, rest @ ..]) => {
                if let Some(item) = index(first).and_then(|index| items.get_mut(index)) {
                    item.remove(rest);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Plain(text) => Self::Plain(text),
            Self::String(text) => Self::String(text.clone()),
            Self::Array(items) => Self::Array(items.iter().map(Self::copy).collect()),
            Self::Object(members) => Self::Object(members.iter().map(|(name, value)| (name.clone(), value.copy())).collect()),
        }
    }

    /// Adds it in a form that no other value has.
    pub(super) fn hash(&self, hash: &mut blake3::Hasher) {
        let count = |mark: u8, count: usize, hash: &mut blake3::Hasher| {
            hash.update(&[mark]);
            hash.update(&(count as u64).to_le_bytes());
        };
        match self {
            Self::Plain(text) => {
                hash.update(b"p");
                put(hash, text.as_bytes());
            }
            Self::String(text) => {
                hash.update(b"s");
                put(hash, text.as_bytes());
            }
            Self::Array(items) => {
                count(b'a', items.len(), hash);
                items.iter().for_each(|item| item.hash(hash));
            }
            Self::Object(members) => {
                count(b'o', members.len(), hash);
                for (name, value) in members {
                    put(hash, name.as_bytes());
                    value.hash(hash);
                }
            }
        }
    }
}

/// "characters comprised of digits [...] MUST NOT have leading zeros" (RFC 6901 §4).
fn index(token: &str) -> Option<usize> {
    let is_index = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    is_index.then(|| token.parse().ok())?
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..=' ' if character != ' ' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::String),
            b'-' | b'0'..=b'9' => self.number().map(Value::Plain),
            _ => ["null", "true", "false"].into_iter().find_map(|word| {
                let found = self.text.get(self.position..self.position + word.len()).filter(|found| *found == word)?;
                self.position += word.len();
                Some(Value::Plain(found))
            }),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value<'a>> {
        let mut items = Vec::new();
        self.list(b'[', b']', |reader| {
            items.push(reader.value(depth + 1)?);
            Some(())
        })?;
        Some(Value::Array(items))
    }

    fn object(&mut self, depth: usize) -> Option<Value<'a>> {
        let mut members = Vec::new();
        self.list(b'{', b'}', |reader| {
            let name = reader.string()?;
            reader.skip_space();
            reader.take(b':')?;
            members.push((name, reader.value(depth + 1)?));
            Some(())
        })?;
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        // Which of two members with one name counts, every parser decides by itself (RFC 8259 §4).
        let is_unique = members.windows(2).all(|two| two[0].0 != two[1].0);
        is_unique.then_some(Value::Object(members))
    }

    /// A list with commas between its elements, none of them behind the last.
    fn list(&mut self, open: u8, close: u8, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(open)?;
        self.skip_space();
        if self.peek()? == close {
            return self.take(close);
        }
        loop {
            self.skip_space();
            element(self)?;
            self.skip_space();
            match self.next()? {
                b',' => {}
                byte => return (byte == close).then_some(()),
            }
        }
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.some_digits()?;
        }
        // A letter or a digit behind it (`01`, `1x`) ends the list or the text that it stands in.
        Some(&self.text[start..self.position])
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
    }

    fn some_digits(&mut self) -> Option<()> {
        let start = self.position;
        self.digits();
        (self.position > start).then_some(())
    }

    /// A string with its escapes resolved; borrowed where there are none.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let mut owned: Option<String> = None;
        let mut start = self.position;
        loop {
            match self.next()? {
                b'"' => {
                    let rest = &self.text[start..self.position - 1];
                    return Some(match owned {
                        None => Cow::Borrowed(rest),
                        Some(text) => Cow::Owned(text + rest),
                    });
                }
                b'\\' => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[start..self.position - 1]);
                    let character = self.escape()?;
                    owned.get_or_insert_default().push(character);
                    start = self.position;
                }
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return None,
        })
    }

    /// "a string containing only the G clef character (U+1D11E) may be represented as "\uD834\uDD1E"" (RFC 8259 §7). Half of a pair is no
    /// character, and parsers differ about it.
    fn code_point(&mut self) -> Option<char> {
        let first = self.unit()?;
        let point = match first {
            0xd800..=0xdbff => {
                self.take(b'\\')?;
                self.take(b'u')?;
                let second = self.unit().filter(|unit| (0xdc00..=0xdfff).contains(unit))?;
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            point => point,
        };
        char::from_u32(point)
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.position..self.position + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.position += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
