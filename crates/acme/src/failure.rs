//! Why there is no certificate.

use larder_tls::PairError;

use crate::store::StoreError;

/// Why an order came to nothing. Its message is for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The authority cannot be reached, or refuses.
    #[error("{}", told(.0))]
    Authority(#[from] instant_acme::Error),
    /// It did not find the proof that it asked for.
    #[error("the authority refuses the proof by {challenge}: {reason}")]
    Refused {
        /// What was to prove it.
        challenge: &'static str,
        /// In the authority's words.
        reason: String,
    },
    /// It takes no proof of a kind that is configured.
    #[error("the authority does not offer {0}")]
    NotOffered(&'static str),
    /// It takes too long.
    #[error("it has not been done in time")]
    Late,
    /// TLS to the authority cannot be set up.
    #[error("TLS to the authority cannot be set up: {0}")]
    Setup(String),
    /// No key or request could be made.
    #[error("no key could be made: {0}")]
    Key(#[from] rcgen::Error),
    /// It has sent what is none.
    #[error("the authority's certificate cannot be used: {0}")]
    Certificate(#[from] PairError),
    /// It has sent one for others.
    #[error("the authority's certificate is for another name")]
    OtherName,
    /// The next order would follow at once, and so on.
    #[error("the certificate that was issued is due for renewal already: is the clock of this machine right?")]
    DueAtOnce,
    /// Account or challenge could not be kept.
    #[error("it cannot be stored: {0}")]
    Store(#[from] StoreError),
    /// Another process makes the account now.
    #[error("another process makes the account")]
    AccountBusy,
}

impl Failure {
    /// The kind of problem that the authority names (RFC 8555 §6.7), without its common beginning.
    fn kind(&self) -> Option<&str> {
        match self {
            Self::Authority(instant_acme::Error::Api(problem)) => problem.r#type.as_deref()?.strip_prefix("urn:ietf:params:acme:error:"),
            _ => None,
        }
    }

    /// The authority has had enough for now.
    pub(crate) fn is_rate_limit(&self) -> bool {
        self.kind() == Some("rateLimited")
    }

    /// None of the nonces that were tried was good any more (RFC 8555 §6.5): nothing is wrong but the time.
    pub(crate) fn is_bad_nonce(&self) -> bool {
        self.kind() == Some("badNonce")
    }

    /// The account is known no more.
    pub(crate) fn is_unknown_account(&self) -> bool {
        matches!(self.kind(), Some("accountDoesNotExist" | "unauthorized"))
    }
}

/// An error with its causes: those of connections say nothing without them.
fn told(error: &instant_acme::Error) -> String {
    if let instant_acme::Error::Api(problem) = error {
        return match &problem.detail {
            Some(detail) => format!("the authority refuses: {detail}"),
            None => format!("the authority refuses: {problem}"),
        };
    }
    let mut told = format!("the authority cannot be asked: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.ends_with(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        cause = error.source();
    }
    told
}
