//! `application/x-www-form-urlencoded` (WHATWG URL §5.1) for keys.

use super::pointer::Pointer;
use super::put;

/// The fields, sorted by name; those of one name in their order.
#[derive(Debug, PartialEq)]
pub(super) struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// `None` where something is no percent-encoding: readers differ about it.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let fields = text.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
        let mut fields = fields
            .map(|field| {
                let equals = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
                Some((decoded(&field[..equals])?, decoded(field.get(equals + 1..).unwrap_or_default())?))
            })
            .collect::<Option<Vec<_>>>()?;
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        Some(Self(fields))
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// Without the fields that `drop` names, and where `only` names some, only those. A field is named as a member of JSON would be: `/name`.
    /// `None` where `only` names a member of a member, which no form has: without its fields every form would have the same key.
    pub(super) fn select(mut self, drop: &[Pointer], only: &[Pointer]) -> Option<Self> {
        if only.iter().any(|pointer| pointer.tokens().len() != 1) {
            return None;
        }
        let names = |pointer: &Pointer, name: &[u8]| matches!(pointer.tokens(), [token] if token.as_bytes() == name);
        self.0.retain(|(name, _)| !drop.iter().any(|pointer| names(pointer, name)));
        self.0.retain(|(name, _)| only.is_empty() || only.iter().any(|pointer| names(pointer, name)));
        Some(self)
    }

    pub(super) fn hash(&self, hash: &mut blake3::Hasher) {
        for (name, value) in &self.0 {
            put(hash, name);
            put(hash, value);
        }
    }
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|byte| char::from(*byte).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}
