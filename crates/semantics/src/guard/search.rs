//! Several values, looked for in a text in one pass.
//!
//! 1. `Search::new`: a table of short pieces of the values, by their hash.
//! 2. `Search::first_in`: the text is looked at once in so many bytes that no value fits in between, and compared with the values where the piece there
//!    is one of theirs.
//!
//! 3. [`first_of`]: as many such searches as there are values for, and one for each value where a text and the values are so alike that it would be compared
//!    all the time.
//!
//! An automaton for all values (Aho-Corasick) costs more to build than the search of most bodies does, and a search for each value reads the body as often
//! as there are values.

use memchr::memmem;

/// Bytes of a piece.
const PIECE: usize = 4;

/// The most bytes from one look at the text to the next: more would take more pieces of each value than they save of looks at a short text.
const MAX_STEP: usize = 8;

/// Buckets of the table, as a power of two.
const BUCKETS_LOG: u32 = 12;

/// Pieces of a table: their numbers fit into a byte, and 0 is none.
const MAX_PIECES: usize = 255;

/// How often a text is compared with values: so many times, and once more for so many bytes. A client could make more of it by fields full of spaces.
const MIN_COMPARISONS: usize = 256;
const BYTES_A_COMPARISON: usize = 4;

/// A text and values that have too many pieces in common.
struct TooAlike;

/// Values of at least [`PIECE`] bytes, as far as one table takes them.
struct Search<'v> {
    values: &'v [&'v [u8]],
    step: usize,
    /// The first piece of each bucket, from 1 on.
    buckets: [u8; 1 << BUCKETS_LOG],
    /// The first one stands for none.
    pieces: [Piece; MAX_PIECES + 1],
}

/// Some bytes of a value.
#[derive(Clone, Copy, Default)]
struct Piece {
    bytes: [u8; PIECE],
    value: u8,
    /// Where in the value it stands.
    offset: u8,
    /// The next one of the same bucket.
    next: u8,
}

impl<'v> Search<'v> {
    /// A search for as many of the first of these values as one table takes.
    #[inline]
    fn new(values: &'v [&'v [u8]]) -> Self {
        let shortest = values.iter().map(|value| value.len()).min().unwrap_or(PIECE);
        debug_assert!(shortest >= PIECE, "a value without a piece is not found");
        // Of so many looks in a row, one is at a whole piece of the value, wherever that begins.
        let step = (shortest + 1).saturating_sub(PIECE).clamp(1, MAX_STEP);
        let values = &values[..values.len().min(MAX_PIECES / step)];
        let mut search = Self { values, step, buckets: [0; 1 << BUCKETS_LOG], pieces: [Piece::default(); MAX_PIECES + 1] };
        let mut number = 0;
        for (value, text) in (0..).zip(values) {
            for (offset, bytes) in (0..step as u8).zip(text.array_windows()) {
                number += 1;
                let next = std::mem::replace(&mut search.buckets[bucket(*bytes)], number);
                search.pieces[usize::from(number)] = Piece { bytes: *bytes, value, offset, next };
            }
        }
        search
    }

    /// The place of the first value, in the order of the values, that stands in one of the texts and is wanted. Each value is asked about once at most.
    ///
    /// # Errors
    /// [`TooAlike`] where texts have so many pieces of the values that a search for each value costs less.
    fn first_in(&self, texts: &[&[u8]], is_wanted: impl Fn(usize) -> bool) -> Result<Option<usize>, TooAlike> {
        let mut first = self.values.len();
        let mut comparisons = MIN_COMPARISONS + texts.iter().map(|text| text.len()).sum::<usize>() / BYTES_A_COMPARISON;
        let mut unwanted = [false; MAX_PIECES + 1];
        for text in texts {
            let mut at = 0;
            while let Some((found, bytes)) = self.next_piece(text, at) {
                at = found;
                let mut next = self.buckets[bucket(bytes)];
                while next > 0 {
                    let piece = &self.pieces[usize::from(next)];
                    next = piece.next;
                    comparisons = comparisons.checked_sub(1).ok_or(TooAlike)?;
                    let value = usize::from(piece.value);
                    if piece.bytes != bytes || value >= first || unwanted[value] {
                        continue;
                    }
                    let begin = at.checked_sub(usize::from(piece.offset));
                    if begin.is_some_and(|begin| text[begin..].starts_with(self.values[value])) {
                        match is_wanted(value) {
                            true => first = value,
                            false => unwanted[value] = true,
                        }
                    }
                }
                at += self.step;
            }
        }
        Ok(Some(first).filter(|first| *first < self.values.len()))
    }

    /// From a place on, the next place that is looked at and has bytes of a bucket that is not empty.
    fn next_piece(&self, text: &[u8], from: usize) -> Option<(usize, [u8; PIECE])> {
        // With a step that the compiler knows, a look takes two thirds of the time.
        match self.step {
            1 => self.next_at::<1>(text, from),
            2 => self.next_at::<2>(text, from),
            3 => self.next_at::<3>(text, from),
            4 => self.next_at::<4>(text, from),
            5 => self.next_at::<5>(text, from),
            6 => self.next_at::<6>(text, from),
            7 => self.next_at::<7>(text, from),
            _ => self.next_at::<MAX_STEP>(text, from),
        }
    }

    fn next_at<const STEP: usize>(&self, text: &[u8], from: usize) -> Option<(usize, [u8; PIECE])> {
        let end = text.len().checked_sub(PIECE)?;
        let mut at = from;
        // Most looks find nothing: four of them have one branch.
        while let Some(four) = text.get(at..at + 3 * STEP + PIECE) {
            let first = |look: usize| self.buckets[bucket(piece(&four[look * STEP..]))];
            if first(0) | first(1) | first(2) | first(3) > 0 {
                break;
            }
            at += 4 * STEP;
        }
        while at <= end {
            let bytes = piece(&text[at..]);
            if self.buckets[bucket(bytes)] > 0 {
                return Some((at, bytes));
            }
            at += STEP;
        }
        None
    }
}

fn piece(text: &[u8]) -> [u8; PIECE] {
    [text[0], text[1], text[2], text[3]]
}

fn bucket(bytes: [u8; PIECE]) -> usize {
    // Fibonacci hashing: the upper bits of the product depend on all of the factor's.
    (u32::from_le_bytes(bytes).wrapping_mul(0x9e37_79b1) >> (u32::BITS - BUCKETS_LOG)) as usize
}

/// The place of the first of all values, in their order, that stands in one of the texts and is wanted.
pub(super) fn first_of(values: &[&[u8]], texts: &[&[u8]], is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
    let mut done = 0;
    while done < values.len() {
        let search = Search::new(&values[done..]);
        let first = match search.first_in(texts, |value| is_wanted(done + value)) {
            Ok(first) => first,
            Err(TooAlike) => first_one_by_one(search.values, texts, |value| is_wanted(done + value)),
        };
        if let Some(first) = first {
            return Some(done + first);
        }
        done += search.values.len();
    }
    None
}

fn first_one_by_one(values: &[&[u8]], texts: &[&[u8]], is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
    (0..values.len()).find(|&value| texts.iter().any(|text| holds(text, values[value])) && is_wanted(value))
}

/// Whether a text has a value in it. Of a long one the beginning is looked for, and the rest compared where that stands: the search for more bytes at once
/// needs tables, which cost more than the search of a short text.
pub(super) fn holds(text: &[u8], value: &[u8]) -> bool {
    const AT_ONCE: usize = 32;
    match value.split_at_checked(AT_ONCE) {
        Some((beginning, rest)) if !rest.is_empty() => memmem::find_iter(text, beginning).any(|at| text[at + AT_ONCE..].starts_with(rest)),
        _ => memmem::find(text, value).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the search stands for: one after the other.
    fn naive(values: &[&[u8]], texts: &[&[u8]], is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let stands = |value: &[u8]| texts.iter().any(|text| memmem::find(text, value).is_some());
        values.iter().enumerate().position(|(index, value)| stands(value) && is_wanted(index))
    }

    proptest! {
        /// Few letters, so that values stand in each other, in texts, and share pieces.
        #[test]
        fn it_finds_what_a_search_for_each_value_finds(
            values in proptest::collection::vec("[ab]{4,14}|[a-c]{20,40}", 0..70),
            texts in proptest::collection::vec("[abc]{0,60}", 0..4),
            planted in any::<(u8, u8)>(),
            unwanted in any::<u64>(),
        ) {
            let mut texts = texts;
            if let (Some(value), Some(text)) = (values.get(usize::from(planted.0) % values.len().max(1)), texts.first_mut()) {
                text.insert_str(usize::from(planted.1) % (text.len() + 1), value);
            }
            let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            let texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
            let is_wanted = |value: usize| value >= 64 || unwanted >> value & 1 == 0;
            prop_assert_eq!(first_of(&values, &texts, is_wanted), naive(&values, &texts, is_wanted));
        }
    }

    #[test]
    fn a_value_is_found_wherever_it_begins_and_whatever_its_length() {
        for length in PIECE..30 {
            let value: Vec<u8> = (b'A'..).take(length).collect();
            for begin in 0..20 {
                let text = [vec![b'.'; begin], value.clone()].concat();
                assert_eq!(first_of(&[&value], &[&text], |_| true), Some(0), "{length} bytes at {begin}");
                assert_eq!(first_of(&[&value], &[&text[..text.len() - 1]], |_| true), None, "its last byte is not there");
            }
        }
    }

    /// Values that begin alike, in a text of nothing else, would be compared at each of its bytes.
    #[test]
    fn a_text_that_is_like_all_values_is_searched_for_each_of_them() {
        let text = [b' '; 64 * 1024];
        let values: Vec<Vec<u8>> = (0..30_u8).map(|last| [&[b' '; 40], &[b'a' + last][..]].concat()).collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        assert!(Search::new(&values).first_in(&[&text], |_| true).is_err());
        assert_eq!(first_of(&values, &[&text], |_| true), None);
        assert_eq!(first_of(&values, &[&text, b"..", values[7]], |_| true), Some(7));
    }

    #[test]
    fn a_long_value_is_found_whole_and_not_by_its_beginning() {
        let (long, text) = ("https://shop.example/products?page=2&sort=price", "..https://shop.example/products?page=2&sort=price..");
        assert!(holds(text.as_bytes(), long.as_bytes()) && holds(long.as_bytes(), long.as_bytes()));
        assert!(!holds(b"https://shop.example/products?page=2&sort=name", long.as_bytes()));
        let twice = format!("{}{long}", &long[..40]);
        assert!(holds(twice.as_bytes(), long.as_bytes()), "it begins once without going on");
    }

    #[test]
    fn each_value_is_asked_about_once_however_often_it_stands_there() {
        let text = "shop.example/ ".repeat(50);
        let asked = std::cell::Cell::new(0);
        let is_wanted = |_| {
            asked.set(asked.get() + 1);
            false
        };
        assert_eq!(first_of(&[b"shop.example"], &[text.as_bytes()], is_wanted), None);
        assert_eq!(asked.get(), 1);
    }
}
