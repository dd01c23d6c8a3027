//! Instants as the caller saw them.

use http::HeaderValue;

/// Milliseconds since the Unix epoch. Whoever calls decides what "now" is; that is what makes simulation and exact tests possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds from `earlier` to `self`; 0 when `earlier` is later. Capped at 2^31 (RFC 9111 §1.2.2).
    pub fn seconds_since(self, earlier: Timestamp) -> u32 {
        let secs = self.0.saturating_sub(earlier.0) / 1000;
        u32::try_from(secs).unwrap_or(u32::MAX).min(1 << 31)
    }

    /// An HTTP-date in any of its three forms (RFC 9110 §5.6.7).
    pub fn parse_http_date(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self(u64::try_from(since.as_millis()).ok()?))
    }

    /// The IMF-fixdate form (RFC 9110 §5.6.7), for `Date`.
    pub fn to_http_date(self) -> HeaderValue {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.0);
        HeaderValue::from_str(&httpdate::fmt_http_date(time)).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
    }
}
