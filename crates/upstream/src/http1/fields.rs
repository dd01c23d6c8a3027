//! Field lines of a head or a trailer section (RFC 9112 §5), as a map.

use bytes::Bytes;
use http::header::{IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{Error, Header};

use super::Malformed;

/// The most fields of a head or a trailer section (what hyper takes).
pub(super) const MAX_FIELDS: usize = 100;

/// Room for the fields that the cache adds, so that a map does not grow for them.
const SPARE: usize = 5;

/// Names that no response has, at the end of a shape's map: a clone has room for its entries and no more, and a map that grows is copied. They
/// are taken out of it, and their room stays: for `Via`, `X-Cache` and `Cache-Status`.
const PLACES: [HeaderName; 3] = [IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE];

const EMPTY: HeaderValue = HeaderValue::from_static("");

/// The field names of the last head. An origin's responses mostly have the same ones in the same order, and then neither the names nor
/// their places in a map have to be worked out again.
#[derive(Debug, Default)]
pub(super) struct Shape {
    names: Vec<HeaderName>,
    /// A map of these names, without values; made when they come a second time, if each of them is there once.
    map: Option<HeaderMap>,
}

impl Shape {
    /// The map of field lines that lie in `text`. The values are slices of one copy of it, so that none of them keeps more alive than a
    /// head.
    pub(super) fn map(
        &mut self,
        lines: &[Header<'_>],
        text: &[u8],
        mut see: impl FnMut(&HeaderName, &HeaderValue),
    ) -> Result<HeaderMap, Malformed> {
        let is_same = self.is_of(lines);
        if !is_same {
            let names = lines.iter().map(|line| HeaderName::from_bytes(line.name.as_bytes()));
            *self = Self { names: names.collect::<Result<_, _>>().map_err(|_| Malformed::Head(Error::HeaderName))?, map: None };
        }
        let copy = Bytes::copy_from_slice(text);
        let mut value = |name: &HeaderName, line: &Header<'_>| {
            let start = line.value.as_ptr() as usize - text.as_ptr() as usize;
            let value = HeaderValue::from_maybe_shared(copy.slice(start..start + line.value.len()));
            let value = value.map_err(|_| Malformed::Head(Error::HeaderValue))?;
            see(name, &value);
            Ok(value)
        };
        if let Some(map) = &self.map {
            let mut map = map.clone();
            PLACES.iter().rev().for_each(|name| _ = map.remove(name));
            for ((slot, name), line) in map.values_mut().zip(&self.names).zip(lines) {
                *slot = value(name, line)?;
            }
            return Ok(map);
        }
        let mut map = HeaderMap::with_capacity(lines.len() + SPARE);
        for (name, line) in self.names.iter().zip(lines) {
            map.append(name.clone(), value(name, line)?);
        }
        if is_same && map.keys_len() == lines.len() && !PLACES.iter().any(|name| map.contains_key(name)) {
            let mut shape = map.clone();
            shape.values_mut().for_each(|value| *value = EMPTY);
            PLACES.iter().for_each(|name| _ = shape.insert(name.clone(), EMPTY));
            self.map = Some(shape);
        }
        Ok(map)
    }

    fn is_of(&self, lines: &[Header<'_>]) -> bool {
        let same = |(name, line): (&HeaderName, &Header<'_>)| name.as_str().eq_ignore_ascii_case(line.name);
        self.names.len() == lines.len() && self.names.iter().zip(lines).all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(shape: &mut Shape, text: &'static str) -> Vec<(String, String)> {
        let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let parsed = httparse::parse_headers(text.as_bytes(), &mut lines).expect("fields").unwrap();
        let mut seen = Vec::new();
        let pair = |name: &HeaderName, value: &HeaderValue| (name.to_string(), value.to_str().expect("text").to_owned());
        let map = shape.map(parsed.1, text.as_bytes(), |name, value| seen.push(pair(name, value))).expect("a map");
        let pairs: Vec<_> = map.iter().map(|(name, value)| pair(name, value)).collect();
        assert_eq!(seen, pairs, "every field is seen, in its order");
        pairs
    }

    #[test]
    fn a_head_of_the_same_shape_has_its_own_values() {
        let mut shape = Shape::default();
        for text in
            ["A: 1\r\nx-b: 2\r\n\r\n", "a: 3\r\nX-B: 4\r\n\r\n", "a: 5\r\nx-b: 6\r\n\r\n", "x-b: 7\r\na: 8\r\n\r\n", "a: 9\r\n\r\n", "\r\n"]
        {
            assert_eq!(mapped(&mut shape, text), mapped(&mut Shape::default(), text), "{text}");
        }
    }

    #[test]
    fn names_that_keep_room_in_a_shape_are_in_no_map_unless_the_origin_sent_them() {
        let mut shape = Shape::default();
        for (text, has_one) in [("a: 1\r\nb: 2\r\n\r\n", false), ("a: 7\r\nif-match: *\r\n\r\n", true)] {
            for _ in 0..4 {
                let lines = mapped(&mut shape, text);
                assert_eq!((lines.len(), lines.iter().any(|(name, _)| name == "if-match")), (2, has_one), "{lines:?}");
            }
        }
    }

    #[test]
    fn a_name_that_comes_twice_keeps_both_values_every_time() {
        let mut shape = Shape::default();
        for text in ["a: 1\r\na: 2\r\n\r\n", "a: 3\r\na: 4\r\n\r\n", "a: 5\r\na: 6\r\n\r\n"] {
            assert_eq!(mapped(&mut shape, text).len(), 2, "{text}");
        }
    }

    #[test]
    fn a_field_that_one_head_lacks_is_not_left_from_the_one_before() {
        let mut shape = Shape::default();
        for _ in 0..3 {
            mapped(&mut shape, "set-cookie: a\r\netag: \"1\"\r\n\r\n");
        }
        assert_eq!(mapped(&mut shape, "etag: \"2\"\r\n\r\n"), [("etag".to_owned(), "\"2\"".to_owned())]);
    }
}
