//! The fields of a stored response in little memory.
//!
//! Responses of one API have the same field names, and most of their values too; as a map of its own each head would take twenty times
//! its text. So a store can put many heads over one shared [`Shape`], and each keeps only the values that are its own:
//!
//! ```text
//! shape (shared)   content-type: application/json   date: Fri, 20 Nov …   etag: "a1"   age:   x-cache:   cache-status:
//! own (bits)                    0                            1                 1          0        0           0
//! block            [29 0]Sat, 21 Nov … [4 0]"b7"
//! ```
//!
//! A head that a response is assembled into stands alone: its shape is its own lines. [`StoredFields::over`] puts it over another one's; which
//! one that is, the store decides (`larder_store::entry`), because a table of shapes is state.
//!
//! A store can put what belongs to the entry behind the values, so that all of it is one allocation ([`StoredFields::packed`]).
//!
//! Making the map of an answer is one clone of the shape's, and one slice for each own value.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::fields::written_anew;
use super::shape_text::ShapeText;

/// Bits in [`StoredFields::own`]; a head with more lines stands alone.
const MAX_FIELDS: usize = 63;

/// In [`StoredFields::own`]: the shape is this head's own.
const ALONE: u64 = 1 << MAX_FIELDS;

/// A field line.
pub type Line = (HeaderName, HeaderValue);

/// Field lines in order; repeated names stand together. Those that many heads share are a map as well, which their answers are clones of.
#[derive(Debug)]
pub struct Shape {
    lines: Vec<Line>,
    shared: Option<Shared>,
}

/// What is made once of lines that many heads share.
#[derive(Debug)]
struct Shared {
    map: HeaderMap,
    text: ShapeText,
}

impl Shape {
    /// A shape that heads may share.
    pub fn shared(lines: Vec<Line>) -> Self {
        let shared = Shared { map: map_of(lines.iter().cloned()), text: ShapeText::of(&lines) };
        Self { lines, shared: Some(shared) }
    }

    /// The lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// Field lines in order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoredFields {
    shape: Arc<Shape>,
    /// Which lines of the shape have another value here; or [`ALONE`].
    own: u64,
    /// Begins with those values, each after its length in two bytes.
    block: Bytes,
}

impl StoredFields {
    /// These lines, standing alone; repeated names stand together. Values are as they came: what keeps them copies them.
    pub fn alone(lines: Vec<Line>) -> Self {
        Self { shape: Arc::new(Shape { lines, shared: None }), own: ALONE, block: Bytes::new() }
    }

    /// Whether the shape is this head's own, and no other head has it.
    pub fn stands_alone(&self) -> bool {
        self.own & ALONE != 0
    }

    /// The lines, of which those that are not its own are read.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// These fields, which stand alone, over another head's shape, with `behind` behind their values as in [`Self::packed`]. `None` where the
    /// names differ, where there are more than 63 lines, or where a value that differs is secret, or where
    /// those that differ take 64 KiB or more together.
    pub fn over<'b>(&self, shape: &Arc<Shape>, behind: impl Iterator<Item = &'b [u8]> + Clone) -> Option<Self> {
        let (lines, common) = (&self.shape.lines, &shape.lines);
        if !self.stands_alone() || lines.len() > MAX_FIELDS || lines.len() != common.len() {
            return None;
        }
        let (mut own, mut length) = (0, 0);
        let mut differing = SmallVec::<[&[u8]; 16]>::new();
        for (index, ((name, value), (common_name, common))) in lines.iter().zip(common).enumerate() {
            if name != common_name || value.is_sensitive() {
                return None;
            }
            if value.as_bytes() != common.as_bytes() {
                own |= 1 << index;
                length += size_of::<u16>() + value.len();
                differing.push(value.as_bytes());
            }
        }
        // What is packed behind them is found by an offset of 16 bits.
        u16::try_from(length).ok()?;
        let mut block = Vec::with_capacity(length + behind.clone().map(<[u8]>::len).sum::<usize>());
        for value in differing {
            block.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
            block.extend_from_slice(value);
        }
        behind.for_each(|part| block.extend_from_slice(part));
        Some(Self { own, block: block.into(), shape: Arc::clone(shape) })
    }

    /// All fields as a map, in two allocations.
    pub fn to_map(&self) -> HeaderMap {
        let shared = self.shape.shared.as_ref().map(|shared| shared.map.clone());
        let mut map = shared.unwrap_or_else(|| map_of(self.shape.lines.iter().cloned()));
        let mut own = self.own & !ALONE;
        let mut values = self.own_values();
        for value in map.values_mut() {
            if own == 0 {
                break;
            }
            if own & 1 == 1
                && let Some(mine) = values.next()
            {
                *value = mine;
            }
            own >>= 1;
        }
        map
    }

    /// The first value of a field.
    pub fn get(&self, name: &HeaderName) -> Option<HeaderValue> {
        let (index, (_, common)) = self.shape.lines.iter().enumerate().find(|(_, (key, _))| key == name)?;
        if index >= MAX_FIELDS || self.own >> index & 1 == 0 {
            return Some(common.clone());
        }
        self.own_values().nth((self.own & ((1 << index) - 1)).count_ones() as usize)
    }

    /// All lines in order: name and value, as [`Self::to_map`] has them. Allocates nothing.
    pub fn lines(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        let mut own = self.own & !ALONE;
        let mut ranges = self.own_ranges();
        self.shape.lines.iter().map(move |(name, common)| {
            let is_own = own & 1 == 1;
            own >>= 1;
            let value = if is_own { ranges.next().map(|range| &self.block[range]) } else { None };
            (name, value.unwrap_or(common.as_bytes()))
        })
    }

    /// Appends all lines in the form of HTTP/1.1 (RFC 9112 §5) where the shape is a shared one: runs of lines that are the shape's are copied at
    /// once. An empty value is written as `slot` has it. Returns whether a `Content-Length` is among them; `None` where the shape is not shared.
    pub fn put_lines<'s>(&self, out: &mut Vec<u8>, slot: impl Fn(&HeaderName) -> &'s [u8]) -> Option<bool> {
        let text = &self.shape.shared.as_ref()?.text;
        let (mut own, mut ranges) = (self.own & !ALONE, self.own_ranges());
        let (mut written, mut begin) = (0, 0);
        for ((name, common), end) in self.shape.lines.iter().zip(&text.ends) {
            let value = if own & 1 == 1 { ranges.next().map(|range| &self.block[range]) } else { None };
            own >>= 1;
            let is_empty = value.map_or(common.is_empty(), <[u8]>::is_empty);
            if let Some(value) = if is_empty { Some(slot(name)) } else { value } {
                out.extend_from_slice(&text.bytes[written..begin + name.as_str().len() + 2]);
                out.extend_from_slice(value);
                written = *end as usize - 2;
            }
            begin = *end as usize;
        }
        out.extend_from_slice(&text.bytes[written..]);
        Some(text.tells_length)
    }

    /// Whether `Age`, `X-Cache` and `Cache-Status` are there once each, and empty, so that an answer only has to fill them in.
    pub fn has_slots(&self) -> bool {
        if let Some(shared) = &self.shape.shared
            && shared.text.slots.count_ones() == 3
            && self.own & shared.text.slots == 0
        {
            return true;
        }
        self.lines().filter(|(name, value)| value.is_empty() && written_anew(name)).count() == 3
    }

    /// Where in the block each of the own values stands.
    fn own_ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let mut rest = 0;
        let count = (self.own & !ALONE).count_ones();
        (0..count).map_while(move |_| {
            let length = u16::from_le_bytes(*self.block.get(rest..)?.first_chunk()?);
            let start = rest + 2;
            rest = start + usize::from(length);
            Some(start..rest)
        })
    }

    fn own_values(&self) -> impl Iterator<Item = HeaderValue> {
        // Each was one when it was written.
        self.own_ranges().map_while(|range| HeaderValue::from_maybe_shared(self.block.slice(range)).ok())
    }

    /// The same fields with something else behind their values, in one allocation of exactly that size. Nothing that was behind them
    /// before goes along.
    #[must_use]
    pub fn packed<'b>(&self, behind: impl Iterator<Item = &'b [u8]> + Clone) -> Self {
        let values = &self.block[..self.values_end()];
        let mut block = Vec::with_capacity(values.len() + behind.clone().map(<[u8]>::len).sum::<usize>());
        block.extend_from_slice(values);
        behind.for_each(|part| block.extend_from_slice(part));
        Self { shape: Arc::clone(&self.shape), own: self.own, block: block.into() }
    }

    /// The bytes that the values are part of; they end, and what [`Self::packed`] put behind them begins, at [`Self::values_end`].
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// See [`Self::block`].
    pub fn values_end(&self) -> usize {
        self.own_ranges().last().map_or(0, |range| range.end)
    }
}

/// The lines as a map. A map that is full drops a field: they came out of a map of the same kind, so there is room.
fn map_of(lines: impl ExactSizeIterator<Item = Line>) -> HeaderMap {
    let mut map = HeaderMap::try_with_capacity(lines.len()).unwrap_or_default();
    for (name, value) in lines {
        let _ = map.try_append(name, value);
    }
    map
}

/// Standing alone.
impl From<&HeaderMap> for StoredFields {
    fn from(map: &HeaderMap) -> Self {
        Self::alone(map.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn lines(text: &[(&'static str, &'static str)]) -> Vec<(HeaderName, HeaderValue)> {
        text.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn over(shape: &StoredFields, lines: &[(HeaderName, HeaderValue)]) -> StoredFields {
        StoredFields::alone(lines.to_vec()).over(shape.shape(), iter::empty()).expect("the same names")
    }

    fn read(fields: &StoredFields) -> Vec<(String, String)> {
        fields.to_map().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn each_head_reads_as_it_was_written() {
        let first = lines(&[("etag", "\"1\""), ("x-shape-a", "same"), ("link", "<a>"), ("link", "<b>"), ("age", "")]);
        let second = lines(&[("etag", "\"22\""), ("x-shape-a", "same"), ("link", "<a>"), ("link", "<c>"), ("age", "")]);
        let one = StoredFields::alone(first.clone());
        let two = over(&one, &second);
        assert!(one.stands_alone() && !two.stands_alone());
        for (fields, lines) in [(one, first), (two, second)] {
            let written: Vec<_> = lines.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
            assert_eq!(read(&fields), written);
        }
    }

    #[test]
    fn a_field_is_found_whether_its_value_is_shared_or_not() {
        let first = StoredFields::alone(lines(&[("etag", "\"1\""), ("x-shape-b", "same"), ("date", "then")]));
        let fields = over(&first, &lines(&[("etag", "\"2\""), ("x-shape-b", "same"), ("date", "now")]));
        for (name, value) in [("etag", Some("\"2\"")), ("x-shape-b", Some("same")), ("date", Some("now")), ("server", None)] {
            let found = fields.get(&HeaderName::from_static(name));
            assert_eq!(found.as_ref().map(|found| found.to_str().unwrap()), value, "{name}");
        }
    }

    #[test]
    fn a_head_that_does_not_fit_a_shape_stands_alone() {
        let long = HeaderValue::from_str(&"x".repeat(70_000)).unwrap();
        let fields = StoredFields::alone(vec![(HeaderName::from_static("x-shape-c"), long.clone())]);
        let short = StoredFields::alone(lines(&[("x-shape-c", "short")]));
        assert!(fields.over(short.shape(), iter::empty()).is_none(), "its length does not fit into two bytes");
        let two = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            StoredFields::alone(["x-shape-c", "x-shape-d"].map(|name| (HeaderName::from_static(name), value.clone())).to_vec())
        };
        assert!(two(&"x".repeat(40_000)).over(two("y").shape(), iter::empty()).is_none(), "where they end does not fit into two bytes");
        assert!(two(&"x".repeat(32_765)).over(two("y").shape(), iter::empty()).is_some_and(|fields| fields.values_end() == 65_534));
        assert!(short.over(fields.shape(), iter::empty()).is_some_and(|fields| read(&fields) == read(&short)));
        for other in [&lines(&[("x-other", "short")])[..], &lines(&[("x-shape-c", "short"), ("x-other", "")])] {
            assert!(short.over(StoredFields::alone(other.to_vec()).shape(), iter::empty()).is_none(), "other names");
        }
        assert_eq!(fields.get(&HeaderName::from_static("x-shape-c")), Some(long));
        let many: Vec<_> = (0..100).map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from(n))).collect();
        let fields = StoredFields::alone(many.clone());
        assert!(fields.over(fields.shape(), iter::empty()).is_none(), "there are more lines than bits");
        assert_eq!(fields.to_map().len(), 100);
        assert_eq!(fields.get(&HeaderName::from_static("x-99")), Some(HeaderValue::from(99)));
    }

    #[test]
    fn lines_are_those_of_the_map() {
        let many: Vec<_> = (0..100).map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from(n))).collect();
        let first = lines(&[("etag", "\"1\""), ("x-shape-e", "same"), ("link", "<a>"), ("link", "<b>"), ("age", "")]);
        let second = lines(&[("etag", "\"2\""), ("x-shape-e", "same"), ("link", "<a>"), ("link", "<c>"), ("age", "")]);
        let shape = StoredFields::alone(first.clone());
        for (fields, lines) in [(StoredFields::alone(many.clone()), many), (over(&shape, &second), second), (shape, first)] {
            let map = fields.to_map();
            assert_eq!(map.len(), lines.len());
            assert!(fields.lines().eq(map.iter().map(|(name, value)| (name, value.as_bytes()))));
        }
    }

    #[test]
    fn lines_of_a_shared_shape_are_written_as_they_are_read() {
        let text = [
            ("etag", "\"1\""),
            ("content-length", "7"),
            ("link", "<a>"),
            ("link", "<b>"),
            ("age", ""),
            ("x-cache", ""),
            ("cache-status", ""),
        ];
        let shape = Shape::shared(lines(&text));
        let slot = |name: &HeaderName| if name == "age" { &b"42"[..] } else { b"x" };
        for (index, value) in (0..text.len()).flat_map(|index| ["", "another", "12345678"].map(|value| (index, value))) {
            let mut text = text;
            text[index].1 = value;
            let fields = StoredFields::alone(lines(&text)).over(&Arc::new(Shape::shared(lines(&text))), iter::empty());
            let other = StoredFields::alone(lines(&text)).over(&Arc::new(Shape::shared(shape.lines().to_vec())), iter::empty());
            let wanted: String = text
                .iter()
                .map(|(name, value)| {
                    (name, if value.is_empty() { str::from_utf8(slot(&HeaderName::from_static(name))).unwrap() } else { value })
                })
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            for fields in [fields, other].map(|fields| fields.expect("the same names")) {
                let mut out = b"begin ".to_vec();
                assert_eq!(fields.put_lines(&mut out, slot), Some(true));
                assert_eq!(String::from_utf8(out).unwrap(), format!("begin {wanted}"));
                assert_eq!(fields.has_slots(), index < 4 || value.is_empty(), "{text:?}");
            }
        }
        assert_eq!(StoredFields::alone(lines(&text)).put_lines(&mut Vec::new(), slot), None);
    }

    #[test]
    fn bytes_packed_behind_the_values_are_in_one_block_with_them() {
        let first = lines(&[("etag", "\"1\""), ("x-shape-f", "same"), ("age", "")]);
        let second = lines(&[("etag", "\"22\""), ("x-shape-f", "same"), ("age", "")]);
        let alone = StoredFields::alone(first.clone());
        for fields in [over(&alone, &second), alone] {
            let packed = fields.packed([&b"gone"[..]].into_iter()).packed([&b"key"[..], b"", b"body"].into_iter());
            assert_eq!(read(&packed), read(&fields));
            assert_eq!(&packed.block()[packed.values_end()..], b"keybody");
        }
    }
}
