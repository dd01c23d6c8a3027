//! The form of an invalidation in the log and in the journal's file: JSON.

use larder_store::{Invalidation, InvalidationTarget};

/// The invalidation that everything is invalid by.
pub(super) fn everything() -> Invalidation {
    Invalidation::hard([InvalidationTarget::All])
}

/// An invalidation's form in the log.
pub(crate) fn encode(invalidation: &Invalidation) -> Vec<u8> {
    // Plain data always has a form; what had none would have to mean everything.
    serde_json::to_vec(invalidation).unwrap_or_default()
}

/// A form that cannot be read may have meant anything, so it means everything.
pub(crate) fn decode(bytes: &[u8]) -> Invalidation {
    serde_json::from_slice(bytes).unwrap_or_else(|_| everything())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalidation_is_read_as_it_was_written_or_as_everything() {
        let soft = Invalidation::soft([InvalidationTarget::Tag("a".to_owned()), InvalidationTarget::Prefix("/x".to_owned())]);
        assert_eq!(decode(&encode(&soft)), soft);
        for bytes in [&b""[..], b"12345678", br#"{"targets":[{"later":"x"}]}"#] {
            assert_eq!(decode(bytes), everything());
        }
    }
}
