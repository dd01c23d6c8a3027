//! The fields of a stored response in little memory.
//!
//! Responses of one API have the same field names, and most of their values too; as a map of its own each head would take twenty times
//! its text. So a store can put many heads over one shared map, their shape, and each keeps only the values that are its own:
//!
//! ```text
//! shape (shared)   content-type: application/json   date: Fri, 20 Nov …   etag: "a1"   age:   x-cache:   cache-status:
//! own (bits)                    0                            1                 1          0        0           0
//! block            [29 0]Sat, 21 Nov … [4 0]"b7"
//! ```
//!
//! A head that a response is assembled into stands alone: its shape is its own map. [`StoredFields::over`] puts it over another one's; which
//! one that is, the store decides (`larder_store::entry`), because a table of shapes is state.
//!
//! A store can put what belongs to the entry behind the values, so that all of it is one allocation ([`StoredFields::packed`]).
//!
//! Making the map of an answer is one clone of the shape's, and one slice for each own value.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Bits in [`StoredFields::own`]; a head with more lines stands alone.
const MAX_FIELDS: usize = 63;

/// In [`StoredFields::own`]: the shape is this head's own map.
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

impl StoredFields {
    /// These lines, standing alone; repeated names stand together. Values are as they came: what keeps them copies them.
    pub(crate) fn new(lines: impl IntoIterator<Item = (HeaderName, HeaderValue), IntoIter: ExactSizeIterator>) -> Self {
        let lines = lines.into_iter();
        let mut map = HeaderMap::try_with_capacity(lines.len()).unwrap_or_default();
        for (name, value) in lines {
            // A map that is full drops the field: it came out of a map of the same kind, so there is room.
            let _ = map.try_append(name, value);
        }
        Self::from(map)
    }

    /// Whether the shape is this head's own map, and no other head has it.
    pub fn stands_alone(&self) -> bool {
        self.own & ALONE != 0
    }

    /// The map that the lines which are not its own are read from.
    pub fn shape(&self) -> &Arc<HeaderMap> {
        &self.shape
    }

    /// The same fields over another head's shape, with `behind` behind their values as in [`Self::packed`]. `None` where the names differ, where
    /// there are more than 63 lines, or where a value that differs is 64 KiB or longer.
    pub fn over<'b>(&self, shape: &Arc<HeaderMap>, behind: impl Iterator<Item = &'b [u8]> + Clone) -> Option<Self> {
        let fits = shape.len() <= MAX_FIELDS && shape.len() == self.shape.len();
        if !fits || !self.shape.iter().map(|(name, _)| name).eq(shape.iter().map(|(name, _)| name)) {
            return None;
        }
        let differing = || self.lines().zip(shape.values()).enumerate().filter(|(_, ((_, value), common))| *value != common.as_bytes());
        let mut own = 0;
        let mut length = behind.clone().map(<[u8]>::len).sum();
        for (place, ((_, value), _)) in differing() {
            own |= 1 << place;
            length += size_of::<u16>() + value.len();
        }
        let mut block = Vec::with_capacity(length);
        for (_, ((_, value), _)) in differing() {
            block.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
            block.extend_from_slice(value);
        }
        behind.for_each(|part| block.extend_from_slice(part));
        Some(Self { own, block: block.into(), shape: Arc::clone(shape) })
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

    /// The bytes that the values are part of; they end, and what [`Self::packed`] put behind them begins, at [`Self::values_end`].
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// See [`Self::block`].
    pub fn values_end(&self) -> usize {
        self.own_places().last().map_or(0, |place| place.end)
    }
}

/// Standing alone.
impl From<HeaderMap> for StoredFields {
    fn from(map: HeaderMap) -> Self {
        Self { shape: Arc::new(map), own: ALONE, block: Bytes::new() }
    }
}

impl From<&HeaderMap> for StoredFields {
    fn from(map: &HeaderMap) -> Self {
        Self::from(map.clone())
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
        StoredFields::new(lines.to_vec()).over(shape.shape(), iter::empty()).expect("the same names")
    }

    fn read(fields: &StoredFields) -> Vec<(String, String)> {
        fields.to_map().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn each_head_reads_as_it_was_written() {
        let first = lines(&[("etag", "\"1\""), ("x-shape-a", "same"), ("link", "<a>"), ("link", "<b>"), ("age", "")]);
        let second = lines(&[("etag", "\"22\""), ("x-shape-a", "same"), ("link", "<a>"), ("link", "<c>"), ("age", "")]);
        let one = StoredFields::new(first.clone());
        let two = over(&one, &second);
        assert!(one.stands_alone() && !two.stands_alone());
        for (fields, lines) in [(one, first), (two, second)] {
            let written: Vec<_> = lines.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
            assert_eq!(read(&fields), written);
        }
    }

    #[test]
    fn a_field_is_found_whether_its_value_is_shared_or_not() {
        let first = StoredFields::new(lines(&[("etag", "\"1\""), ("x-shape-b", "same"), ("date", "then")]));
        let fields = over(&first, &lines(&[("etag", "\"2\""), ("x-shape-b", "same"), ("date", "now")]));
        for (name, value) in [("etag", Some("\"2\"")), ("x-shape-b", Some("same")), ("date", Some("now")), ("server", None)] {
            let found = fields.get(&HeaderName::from_static(name));
            assert_eq!(found.as_ref().map(|found| found.to_str().unwrap()), value, "{name}");
        }
    }

    #[test]
    fn a_head_that_does_not_fit_a_shape_stands_alone() {
        let long = HeaderValue::from_str(&"x".repeat(70_000)).unwrap();
        let fields = StoredFields::new([(HeaderName::from_static("x-shape-c"), long.clone())]);
        let short = StoredFields::new(lines(&[("x-shape-c", "short")]));
        assert!(fields.over(short.shape(), iter::empty()).is_none(), "its length does not fit into two bytes");
        assert!(short.over(fields.shape(), iter::empty()).is_some_and(|fields| read(&fields) == read(&short)));
        for other in [&lines(&[("x-other", "short")])[..], &lines(&[("x-shape-c", "short"), ("x-other", "")])] {
            assert!(short.over(StoredFields::new(other.to_vec()).shape(), iter::empty()).is_none(), "other names");
        }
        assert_eq!(fields.get(&HeaderName::from_static("x-shape-c")), Some(long));
        let many: Vec<_> = (0..100).map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from(n))).collect();
        let fields = StoredFields::new(many.clone());
        assert!(fields.over(fields.shape(), iter::empty()).is_none(), "there are more lines than bits");
        assert_eq!(fields.to_map().len(), 100);
        assert_eq!(fields.get(&HeaderName::from_static("x-99")), Some(HeaderValue::from(99)));
    }

    #[test]
    fn lines_are_those_of_the_map() {
        let many: Vec<_> = (0..100).map(|n| (HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(), HeaderValue::from(n))).collect();
        let first = lines(&[("etag", "\"1\""), ("x-shape-e", "same"), ("link", "<a>"), ("link", "<b>"), ("age", "")]);
        let second = lines(&[("etag", "\"2\""), ("x-shape-e", "same"), ("link", "<a>"), ("link", "<c>"), ("age", "")]);
        let shape = StoredFields::new(first.clone());
        for (fields, lines) in [(StoredFields::new(many.clone()), many), (over(&shape, &second), second), (shape, first)] {
            let map = fields.to_map();
            assert_eq!(map.len(), lines.len());
            assert!(fields.lines().eq(map.iter().map(|(name, value)| (name, value.as_bytes()))));
        }
    }

    #[test]
    fn bytes_packed_behind_the_values_are_in_one_block_with_them() {
        let first = lines(&[("etag", "\"1\""), ("x-shape-f", "same"), ("age", "")]);
        let second = lines(&[("etag", "\"22\""), ("x-shape-f", "same"), ("age", "")]);
        let alone = StoredFields::new(first.clone());
        for fields in [over(&alone, &second), alone] {
            let packed = fields.packed([&b"gone"[..]].into_iter()).packed([&b"key"[..], b"", b"body"].into_iter());
            assert_eq!(read(&packed), read(&fields));
            assert_eq!(&packed.block()[packed.values_end()..], b"keybody");
        }
    }
}
