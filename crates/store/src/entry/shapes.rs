//! The maps that the fields of stored heads share (see [`StoredFields`]): one for each set of field names that origins answer with.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use http::HeaderValue;
use larder_semantics::{Line, Shape, StoredFields};

/// Shapes that are remembered. More different sets of names than an API has; past it, heads stand alone.
const MAX_SHAPES: usize = 512;

/// Lines, and bytes of all values together, of a shape: heads beyond have none. Keeps the shapes below 6 MiB.
const MAX_LINES: usize = 63;
const MAX_TEXT: usize = 8 * 1024;

/// By a hash of the names; a shape is used only after a look at each name. One table for the process, because routes and caches of one process
/// keep answers of the same origins.
static SHAPES: Mutex<Option<HashMap<u64, Arc<Shape>>>> = Mutex::new(None);

/// Shapes that each thread has at hand.
const AT_HAND: usize = 16;

thread_local! {
    /// The last shapes that this thread used, by the length of their names together: most heads need neither a hash nor the lock.
    static RECENT: RefCell<[Option<Arc<Shape>>; AT_HAND]> = const { RefCell::new([const { None }; AT_HAND]) };
}

/// The fields of a head that is kept, with `behind` behind their values ([`StoredFields::packed`]): over the shape that has their names, or
/// standing alone where they fit none.
pub(crate) fn kept<'b>(fields: &StoredFields, behind: impl Iterator<Item = &'b [u8]> + Clone) -> StoredFields {
    if !fields.stands_alone() {
        return fields.packed(behind);
    }
    let lines = fields.shape().lines();
    let slot = lines.iter().map(|(name, _)| name.as_str().len()).sum::<usize>() % AT_HAND;
    RECENT.with_borrow_mut(|recent| {
        let recent = &mut recent[slot];
        if let Some(over) = recent.as_ref().and_then(|shape| fields.over(shape, behind.clone())) {
            return over;
        }
        let shape = if may_share(lines) { shape_of(lines) } else { None };
        let over = shape.as_ref().and_then(|shape| fields.over(shape, behind.clone()));
        if shape.is_some() {
            *recent = shape;
        }
        over.unwrap_or_else(|| StoredFields::alone(copied(lines)).packed(behind))
    })
}

fn may_share(lines: &[Line]) -> bool {
    let text: usize = lines.iter().map(|(_, value)| value.len()).sum();
    lines.len() <= MAX_LINES && text <= MAX_TEXT && !lines.iter().any(|(_, value)| value.is_sensitive())
}

/// Lines with values of their own: those of a parsed message are slices of the connection's read buffer, and one of them kept alive would
/// keep all of it.
fn copied(lines: &[Line]) -> Vec<Line> {
    let mut text = BytesMut::with_capacity(lines.iter().map(|(_, value)| value.len()).sum());
    lines.iter().for_each(|(_, value)| text.extend_from_slice(value.as_bytes()));
    let mut text = text.freeze();
    let mut copy = |value: &HeaderValue| {
        let mut copy = match value.len() {
            0 => HeaderValue::from_static(""),
            length => HeaderValue::from_maybe_shared(text.split_to(length)).unwrap_or_else(|_| value.clone()),
        };
        copy.set_sensitive(value.is_sensitive());
        copy
    };
    lines.iter().map(|(name, value)| (name.clone(), copy(value))).collect()
}

/// The shape with these names, with the values of the first head that had them. `None` where there are too many shapes already.
fn shape_of(lines: &[Line]) -> Option<Arc<Shape>> {
    let hash = lines.iter().fold(0, |hash, (name, _)| hash_on(hash, name.as_str().as_bytes()));
    let mut guard = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    let shapes = guard.get_or_insert_default();
    if let Some(shape) = shapes.get(&hash)
        && shape.lines().iter().map(|(name, _)| name).eq(lines.iter().map(|(name, _)| name))
    {
        return Some(Arc::clone(shape));
    }
    if shapes.len() >= MAX_SHAPES {
        shapes.retain(|_, shape| Arc::strong_count(shape) > 1);
    }
    (shapes.len() < MAX_SHAPES).then(|| Arc::clone(shapes.entry(hash).insert_entry(Arc::new(Shape::shared(copied(lines)))).get()))
}

/// A quick hash: the names are an origin's, and a shape that is found by it is compared with each of them.
fn hash_on(hash: u64, name: &[u8]) -> u64 {
    let words = name.chunks(8).map(|chunk| chunk.iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte)));
    words.fold(hash ^ name.len() as u64, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95))
}

/// Bytes of memory that all shapes take, about.
pub fn shapes_weight() -> u64 {
    /// Bytes that a shape takes for each line besides its text, which it has twice: in its map, and by itself.
    const LINE: usize = 96 + size_of::<Line>();
    let guard = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = guard.iter().flat_map(HashMap::values).flat_map(|shape| shape.lines());
    lines.map(|(name, value)| (LINE + 2 * (name.as_str().len() + value.len())) as u64).sum()
}

#[cfg(test)]
mod tests {
    use std::iter;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderName};

    use super::*;
    use crate::entry::fixtures::{NOW, head};
    use crate::weight;

    fn fields(lines: &[(&'static str, &str)]) -> StoredFields {
        let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        StoredFields::from(&lines.collect::<HeaderMap>())
    }

    fn shaped(fields: &StoredFields) -> StoredFields {
        kept(fields, iter::empty())
    }

    fn weight_of(fields: &StoredFields) -> usize {
        weight::head(&head(NOW, None).with_fields(shaped(fields)))
    }

    #[test]
    fn heads_with_the_same_names_share_a_shape_and_read_as_they_were_written() {
        let (first, second) = (fields(&[("etag", "\"1\""), ("x-shape-a", "same")]), fields(&[("etag", "\"22\""), ("x-shape-a", "same")]));
        let (one, two) = (shaped(&first), shaped(&second));
        assert!(Arc::ptr_eq(one.shape(), two.shape()));
        assert_eq!((one.to_map(), two.to_map()), (first.to_map(), second.to_map()));
        assert!(Arc::ptr_eq(shaped(&two).shape(), two.shape()));
    }

    #[test]
    fn shared_names_weigh_nothing() {
        let first = fields(&[("etag", "\"1\""), ("x-shape-d", "a value that all have in common")]);
        assert_eq!((weight_of(&first), weight_of(&first.clone())), (0, 0));
    }

    #[test]
    fn weight_grows_with_what_is_kept() {
        let weight = |value: &str| weight_of(&fields(&[("cache-control", "max-age=60"), ("x-weighed", value)]));
        let (first, same, other) = (weight("y"), weight("y"), weight(&"x".repeat(1000)));
        assert_eq!(first, same, "what responses have in common is not theirs alone");
        assert!((1000..1100).contains(&(other - same)), "{same} {other}");
        assert!(weight(&"x".repeat(20_000)) > 20_000);
    }

    #[test]
    fn a_secret_value_is_in_no_shape() {
        let mut map = HeaderMap::new();
        let mut secret = HeaderValue::from_static("secret");
        secret.set_sensitive(true);
        map.insert("x-shape-s", secret);
        assert!(shaped(&StoredFields::from(&map)).stands_alone());
    }

    #[test]
    fn a_kept_head_holds_no_read_buffer() {
        for length in [8, 2 * MAX_TEXT] {
            let buffer = Bytes::from(vec![b'x'; length]);
            let map =
                HeaderMap::from_iter([(HeaderName::from_static("x-shape-r"), HeaderValue::from_maybe_shared(buffer.clone()).unwrap())]);
            let fields = shaped(&StoredFields::from(&map));
            drop(map);
            assert!(fields.to_map()["x-shape-r"] == *buffer && buffer.is_unique(), "{length}");
        }
    }

    #[test]
    fn values_kept_with_fields_that_stand_alone_are_behind_them() {
        let fields = kept(&fields(&[("x-shape-g", &"x".repeat(70_000))]), [&b"key"[..], b"body"].into_iter());
        assert!(fields.stands_alone());
        assert_eq!(&fields.block()[fields.values_end()..], b"keybody");
    }
}
