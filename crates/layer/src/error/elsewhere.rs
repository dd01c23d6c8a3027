//! Failures of other replicas' fetches.

use super::{FetchError, FetchErrorKind};

/// Another replica's fetch failed after this request had waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the fetch of another replica failed: {0}")]
pub struct FailedElsewhere(Box<str>);

impl FailedElsewhere {
    /// The word that [`Tiers::failure_words`](crate::Tiers::failure_words) has for it.
    pub fn word(&self) -> &str {
        &self.0
    }
}

impl FetchError {
    /// The failure of another replica, under the word that this one chose for it.
    pub(crate) fn elsewhere(word: Box<str>) -> Self {
        Self::new(FetchErrorKind::of_word(&word), FailedElsewhere(word))
    }

    /// The word for other replicas, as far as the kind tells: `None` for what says nothing of the origin.
    pub(crate) fn word(&self) -> Option<&'static str> {
        FetchErrorKind::SHARED.contains(&self.kind()).then(|| self.kind().proxy_error())
    }
}

impl FetchErrorKind {
    /// A failure that concerns all requests, whichever replica they came to.
    const SHARED: [Self; 4] = [Self::Connect, Self::Timeout, Self::Terminated, Self::Protocol];

    fn of_word(word: &str) -> Self {
        Self::SHARED.into_iter().find(|kind| kind.proxy_error() == word).unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_of_the_same_kind_elsewhere_and_one_that_says_nothing_of_the_origin_is_not_told() {
        for kind in FetchErrorKind::SHARED {
            let word = FetchError::new(kind, "it failed").word().expect("told");
            assert_eq!(FetchError::elsewhere(word.into()).kind(), kind);
        }
        for kind in [FetchErrorKind::Overloaded, FetchErrorKind::Lost, FetchErrorKind::Other] {
            assert_eq!(FetchError::new(kind, "it failed").word(), None, "{kind:?}");
        }
        assert_eq!(FetchError::elsewhere("dns_error".into()).kind(), FetchErrorKind::Other, "a gateway's own word");
    }
}
