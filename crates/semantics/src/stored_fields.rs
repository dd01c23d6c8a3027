//! The fields of a stored response in little memory.
//!
//! Responses of one API have the same field names, and most of their values too; as a map of its own each head would take twenty times
//! its text. So the map is shared, and an entry keeps only the values that are its own:
//!
//! ```text
//! shape (shared)   content-type: application/json   date: Fri, 20 Nov …   etag: "a1"   age:   x-cache:   cache-status:
//! own (bits)                    0                            1                 1          0        0           0
//! block            [29 0]Sat, 21 Nov … [4 0]"b7"
//! ```
//!
//! Whoever keeps more than the fields can have it behind their values, so that all of it is one allocation ([`StoredFields::packed`]).
//!
//! Making the map of an answer is one clone of the shape's, and one slice for each own value.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::weight::shared;

/// Shapes that are remembered. More different sets of names than an API has; past it, heads stand alone.
const MAX_SHAPES: usize = 512;

/// Bits in [`StoredFields::own`], and bytes of all values together: heads beyond stand alone. Keeps the shapes below 4 MiB.
const MAX_FIELDS: usize = 63;
const MAX_TEXT: usize = 8 * 1024;

/// In [`StoredFields::own`]: no other head has this shape.
const ALONE: u64 = 1 << MAX_FIELDS;

/// Field lines in order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoredFields {
    shape: Arc<HeaderMap>,
    /// Which lines of the shape have another value here; or [`ALONE`].
    own: u64,
    /// Begins with those values, each after its length in two bytes.
    block: Bytes,
}

/// By a hash of the names; a shape is used only after a look at each name.
static SHAPES: Mutex<Option<HashMap<u64, Arc<HeaderMap>>>> = Mutex::new(None);

impl StoredFields {
    /// Of these lines; repeated names stand together. Nothing of what the lines point to is kept alive.
    pub(crate) fn new(lines: &[(HeaderName, HeaderValue)]) -> Self {
        let text: usize = lines.iter().map(|(_, value)| value.len()).sum();
        if lines.len() > MAX_FIELDS || text > MAX_TEXT || lines.iter().any(|(_, value)| value.is_sensitive()) {
            return Self::alone(lines);
        }
        let Some(shape) = shape_for(lines) else { return Self::alone(lines) };
        let mut own = 0;
        let mut length = 0;
        let differing = || lines.iter().zip(shape.values()).enumerate().filter(|(_, ((_, value), common))| value != common);
        for (place, ((_, value), _)) in differing() {
            own |= 1 << place;
            length += 2 + value.len();
        }
        let mut values = BytesMut::with_capacity(length);
        for (_, ((_, value), _)) in differing() {
            values.extend_from_slice(&(value.len() as u16).to_le_bytes());
            values.extend_from_slice(value.as_bytes());
        }
        Self { own, block: values.freeze(), shape }
    }

    fn alone(lines: &[(HeaderName, HeaderValue)]) -> Self {
        Self { shape: Arc::new(copied(lines)), own: ALONE, block: Bytes::new() }
    }

    /// All fields as a map, in two allocations.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::clone(&self.shape);
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
        let place = self.shape.iter().position(|(key, _)| key == name)?;
        if place >= MAX_FIELDS || self.own >> place & 1 == 0 {
            return self.shape.get(name).cloned();
        }
        self.own_values().nth((self.own & ((1 << place) - 1)).count_ones() as usize)
    }

    /// All lines in order: name and value, as [`Self::to_map`] has them. Allocates nothing.
    pub fn lines(&self) -> impl Iterator<Item = (&HeaderName, &[u8])> {
        let mut own = self.own & !ALONE;
        let mut places = self.own_places();
        self.shape.iter().map(move |(name, common)| {
            let is_own = own & 1 == 1;
            own >>= 1;
            let value = if is_own { places.next().map(|place| &self.block[place]) } else { None };
            (name, value.unwrap_or(common.as_bytes()))
        })
    }

    /// Where in the block each of the own values stands.
    fn own_places(&self) -> impl Iterator<Item = Range<usize>> {
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
        self.own_places().map_while(|place| HeaderValue::from_maybe_shared(self.block.slice(place)).ok())
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

    /// What the values are part of; they end, and what [`Self::packed`] put behind them begins, at [`Self::values_end`].
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// See [`Self::block`].
    pub fn values_end(&self) -> usize {
        self.own_places().last().map_or(0, |place| place.end)
    }

    /// Bytes of memory this takes besides itself: its block, and the whole map where it stands alone.
    pub(crate) fn weight(&self) -> usize {
        /// An entry of `http::HeaderMap`: hash, links, name and value, and its part of the index.
        const ENTRY: usize = 112;
        let text = || self.shape.iter().map(|(name, value)| ENTRY + name.as_str().len() + value.len()).sum::<usize>();
        shared(self.block.len()) + if self.own & ALONE == 0 { 0 } else { text() }
    }
}

impl From<&HeaderMap> for StoredFields {
    fn from(map: &HeaderMap) -> Self {
        let lines: Vec<(HeaderName, HeaderValue)> = map.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self::new(&lines)
    }
}

/// A map with values of its own: those of a parsed message are slices of the connection's read buffer, and one of them kept alive would
/// keep all of it.
fn copied(lines: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let mut text = BytesMut::with_capacity(lines.iter().map(|(_, value)| value.len()).sum());
    lines.iter().for_each(|(_, value)| text.extend_from_slice(value.as_bytes()));
    let mut text = text.freeze();
    let mut map = HeaderMap::try_with_capacity(lines.len()).unwrap_or_default();
    for (name, value) in lines {
        let mut copy = match value.len() {
            0 => HeaderValue::from_static(""),
            length => HeaderValue::from_maybe_shared(text.split_to(length)).unwrap_or_else(|_| value.clone()),
        };
        copy.set_sensitive(value.is_sensitive());
        // A map that is full drops the field: it came out of a map of the same kind, so there is room.
        let _ = map.try_append(name.clone(), copy);
    }
    // A clone's entries are as many as its fields; the map just filled may have room for twice as many.
    map.clone()
}

/// A quick hash: the names are an origin's, and what they are found to be like is compared with each of them.
fn hash_on(hash: u64, name: &[u8]) -> u64 {
    let words = name.chunks(8).map(|chunk| chunk.iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte)));
    words.fold(hash ^ name.len() as u64, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95))
}

/// Bytes of memory that all shapes take, about.
pub fn shapes_weight() -> u64 {
    /// What a map takes for each line besides its text.
    const LINE: usize = 96;
    let guard = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = guard.iter().flat_map(HashMap::values).flat_map(|shape| shape.iter());
    lines.map(|(name, value)| (LINE + name.as_str().len() + value.len()) as u64).sum()
}

/// The shape with these names, with the values of whoever came first. `None` where there are too many shapes already.
fn shape_for(lines: &[(HeaderName, HeaderValue)]) -> Option<Arc<HeaderMap>> {
    let hash = lines.iter().fold(0, |hash, (name, _)| hash_on(hash, name.as_str().as_bytes()));
    let mut guard = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    let shapes = guard.get_or_insert_default();
    if let Some(shape) = shapes.get(&hash)
        && shape.iter().map(|(name, _)| name).eq(lines.iter().map(|(name, _)| name))
    {
        return Some(Arc::clone(shape));
    }
    if shapes.len() >= MAX_SHAPES {
        shapes.retain(|_, shape| Arc::strong_count(shape) > 1);
    }
    let shape = Arc::new(copied(lines));
    (shapes.len() < MAX_SHAPES).then(|| Arc::clone(shapes.entry(hash).insert_entry(shape).get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[(&'static str, &'static str)]) -> Vec<(HeaderName, HeaderValue)> {
        text.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn read(fields: &StoredFields) -> Vec<(String, String)> {
        fields.to_map().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn each_head_reads_as_it_was_written() {
        let first = lines(&[("etag", "\"1\""), ("x-shape-a", "same"), ("link", "<a>"), ("link", "<b>"), ("age", "")]);
        let second = lines(&[("etag", "\"22\""), ("x-shape-a", "same"), ("link", "<a>"), ("link", "<c>"), ("age", "")]);
        let (one, two) = (StoredFields::new(&first), StoredFields::new(&second));
        assert!(Arc::ptr_eq(&one.shape, &two.shape));
        for (fields, lines) in [(one, first), (two, second)] {
            let written: Vec<_> = lines.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
            assert_eq!(read(&fields), written);
        }
    }

    #[test]
    fn a_field_is_found_whether_its_value_is_shared_or_not() {
        let _first = StoredFields::new(&lines(&[("etag", "\"1\""), ("x-shape-b", "same"), ("date", "then")]));
        let fields = StoredFields::new(&lines(&[("etag", "\"2\""), ("x-shape-b", "same"), ("date", "now")]));
        for (name, value) in [("etag", Some("\"2\"")), ("x-shape-b", Some("same")), ("date", Some("now")), ("server", None)] {
            let found = fields.get(&HeaderName::from_static(name));
            assert_eq!(found.as_ref().map(|found| found.to_str().unwrap()), value, "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_a_shape_stands_alone() {
        let long = HeaderValue::from_str(&"x".repeat(70_000)).unwrap();
        let fields = StoredFields::new(&[(HeaderName::from_static("x-shape-c"), long.clone())]);
        assert_eq!(fields.get(&HeaderName::from_static("x-shape-c")), Some(long));
        let many: Vec<_> = (0..100).map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from(n))).collect();
        let fields = StoredFields::new(&many);
        assert_eq!(fields.to_map().len(), 100);
        assert_eq!(fields.get(&HeaderName::from_static("x-99")), Some(HeaderValue::from(99)));
    }

    #[test]
    fn lines_are_those_of_the_map() {
        let many: Vec<_> = (0..100).map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from(n))).collect();
        let first = lines(&[("etag", "\"1\""), ("x-shape-e", "same"), ("link", "<a>"), ("link", "<b>"), ("age", "")]);
        let second = lines(&[("etag", "\"2\""), ("x-shape-e", "same"), ("link", "<a>"), ("link", "<c>"), ("age", "")]);
        for lines in [many, first, second] {
            let fields = StoredFields::new(&lines);
            let map = fields.to_map();
            assert_eq!(map.len(), lines.len());
            assert!(fields.lines().eq(map.iter().map(|(name, value)| (name, value.as_bytes()))));
        }
    }

    #[test]
    fn what_is_packed_behind_the_values_is_in_one_block_with_them() {
        let first = lines(&[("etag", "\"1\""), ("x-shape-f", "same"), ("age", "")]);
        let second = lines(&[("etag", "\"22\""), ("x-shape-f", "same"), ("age", "")]);
        let alone = [(HeaderName::from_static("x-shape-f"), HeaderValue::from_str(&"x".repeat(70_000)).unwrap())];
        for lines in [&first[..], &second, &alone] {
            let fields = StoredFields::new(lines).packed([&b"gone"[..]].into_iter()).packed([&b"key"[..], b"", b"body"].into_iter());
            assert_eq!(read(&fields), read(&StoredFields::new(lines)));
            assert_eq!(&fields.block()[fields.values_end()..], b"keybody");
        }
    }

    #[test]
    fn what_is_shared_weighs_nothing() {
        let first = lines(&[("etag", "\"1\""), ("x-shape-d", "a value that all have in common")]);
        let (one, two) = (StoredFields::new(&first), StoredFields::new(&first));
        assert_eq!((one.weight(), two.weight()), (0, 0));
    }
}
