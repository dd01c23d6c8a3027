//! `verify`: whether what is served is what the origin would say.

use http::HeaderName;
use http::header::CONTENT_TYPE;
use serde_json_path::JsonPath;

/// `verify` of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Verify {
    /// The share of hits that is compared, from 0 to 1.
    pub sample: f64,
    /// Whether anything is served from the cache at all.
    pub mode: VerifyMode,
    /// Fields of answers that are compared, besides status and content.
    pub fields: Vec<HeaderName>,
    /// Members of JSON that may differ (RFC 9535).
    pub ignore: Vec<JsonPath>,
    /// What happens once answers turn out to differ by who asks.
    pub on_leak: OnLeak,
}

/// Whether anything is served from the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyMode {
    /// Hits are served, and compared afterwards.
    #[default]
    Check,
    /// Nothing is: what would be served is compared with the answer that the client gets from the origin.
    Shadow,
}

impl VerifyMode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Shadow => "shadow",
        }
    }
}

/// What happens to a route whose answers differ by who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLeak {
    /// It is told.
    #[default]
    Report,
    /// And nothing of it is cached any more, until a person says so.
    Stop,
}

impl Default for Verify {
    fn default() -> Self {
        Self { sample: 0.01, mode: VerifyMode::Check, fields: vec![CONTENT_TYPE], ignore: Vec::new(), on_leak: OnLeak::Report }
    }
}
