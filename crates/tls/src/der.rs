//! As much of DER (ITU-T X.690) as certificates need to be asked for their names and times. rustls checks the rest.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;

/// The tag `[number]` of a constructed value (X.690 §8.14).
pub(crate) const fn context(number: u8) -> u8 {
    0xA0 | number
}

/// Values one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

/// One value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
}

impl<'a> Der<'a> {
    /// The next value. `None` at the end, and where the bytes are no DER.
    pub(crate) fn next(&mut self) -> Option<Value<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some(Value { tag, content })
    }

    /// The next value, which has to have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    /// The next value if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Value<'a>> {
        let mut ahead = *self;
        let value = ahead.expect(tag)?;
        *self = ahead;
        Some(value)
    }
}

impl<'a> Value<'a> {
    /// The values inside.
    pub(crate) fn inside(self) -> Der<'a> {
        Der(self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_tag_a_length_and_content() {
        let mut der = Der(&[0x02, 0x01, 0x05, 0x04, 0x81, 0x02, 0xAA, 0xBB]);
        let number = der.expect(INTEGER).unwrap();
        assert_eq!(number.content, [5]);
        assert!(der.optional(INTEGER).is_none());
        assert_eq!(der.expect(OCTET_STRING).unwrap().content, [0xAA, 0xBB]);
        assert!(der.next().is_none());
    }

    #[test]
    fn bytes_that_are_cut_off_are_no_value() {
        for bytes in [&[0x02][..], &[0x02, 0x02, 0x05], &[0x02, 0x82, 0x01], &[0x02, 0x80, 0, 0], &[0x02, 0x85, 0, 0, 0, 0, 0]] {
            assert!(Der(bytes).next().is_none(), "{bytes:?}");
        }
    }
}
