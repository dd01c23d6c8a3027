//! The `Cache-Status` field (RFC 9211).

use std::fmt::Write as _;

use http::HeaderValue;

use crate::reason::Reason;

/// The name this cache goes by in `Cache-Status` (RFC 9211 §2: "identifies the cache").
pub const CACHE_NAME: &str = "larder";

/// Why a request was forwarded (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardReason {
    /// The cache is set not to handle it.
    Bypass,
    /// The method has to go through.
    Method,
    /// Nothing under this URI.
    UriMiss,
    /// Something under this URI, but no variant for this request.
    VaryMiss,
    /// Not told apart.
    Miss,
    /// The request's directives forbade it.
    Request,
    /// It was stale.
    Stale,
    /// It was partial.
    Partial,
}

impl ForwardReason {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl Reason {
    /// The RFC 9211 `fwd` token for this reason.
    pub const fn forward(self) -> ForwardReason {
        match self {
            Self::BypassParameter | Self::RouteNotCached | Self::Upgrade | Self::RequestBody => ForwardReason::Bypass,
            Self::BodyNotKeyed => ForwardReason::Request,
            Self::Method => ForwardReason::Method,
            Self::Absent | Self::Evicted | Self::Expired | Self::Purged => ForwardReason::UriMiss,
            Self::VaryMiss => ForwardReason::VaryMiss,
            Self::RequestNoCache
            | Self::RequestMaxAge
            | Self::RequestMinFresh
            | Self::RequestNoStore
            | Self::OnlyIfCached
            | Self::OriginPrecondition
            | Self::Authorization
            | Self::Cookie => ForwardReason::Request,
            Self::Stale
            | Self::MustRevalidate
            | Self::ResponseNoCache
            | Self::Validated
            | Self::StaleIfError
            | Self::Slow
            | Self::Overloaded
            | Self::ValidatorMismatch => ForwardReason::Stale,
            Self::Partial | Self::Range | Self::PartialContent => ForwardReason::Partial,
            _ => ForwardReason::Miss,
        }
    }
}

/// One member of `Cache-Status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// `hit`: the response came from the store without going forward (§2.1).
    pub hit: bool,
    /// `fwd` (§2.2); "MUST NOT appear with hit", so `hit` wins.
    pub fwd: Option<ForwardReason>,
    /// `fwd-status` (§2.3): the status that the next hop sent. Written only with `fwd`.
    pub fwd_status: Option<u16>,
    /// `ttl` (§2.4), negative when stale.
    pub ttl: Option<i64>,
    /// `stored` (§2.5). Written only with `fwd`.
    pub stored: bool,
    /// `collapsed` (§2.6). Written only with `fwd`.
    pub collapsed: bool,
    /// `detail` (§2.8): a [`Reason`]'s word.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Appends the member to `out`.
    pub fn write(&self, out: &mut String) {
        out.push_str(CACHE_NAME);
        if self.hit {
            out.push_str("; hit");
        } else if let Some(reason) = self.fwd {
            out.push_str("; fwd=");
            out.push_str(reason.as_str());
            if let Some(status) = self.fwd_status {
                // Writing to a String cannot fail.
                let _ = write!(out, "; fwd-status={status}");
            }
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(out, "; ttl={ttl}");
        }
        if !self.hit && self.fwd.is_some() {
            out.push_str(if self.stored { "; stored" } else { "" });
            out.push_str(if self.collapsed { "; collapsed" } else { "" });
        }
        if let Some(detail) = self.detail {
            out.push_str("; detail=");
            out.push_str(detail);
        }
    }

    /// The whole field: this member behind those of caches nearer to the origin. "The first member represents the cache closest to the
    /// origin server, and the last member represents the cache closest to the user" (§2). `scratch` is overwritten.
    pub fn to_value(&self, upstream: Option<&HeaderValue>, scratch: &mut String) -> HeaderValue {
        scratch.clear();
        if let Some(text) = upstream.and_then(|value| value.to_str().ok()).filter(|text| !text.trim().is_empty()) {
            scratch.push_str(text);
            scratch.push_str(", ");
        }
        self.write(scratch);
        HeaderValue::from_str(scratch).unwrap_or(HeaderValue::from_static(CACHE_NAME))
    }
}

/// The same field with `key` (§2.7), as a String, on its last member: the one of the cache closest to the user. Parameters have no order
/// that means anything, so it may come after the others.
pub fn with_key(field: &HeaderValue, key: &str) -> HeaderValue {
    let Ok(text) = field.to_str() else { return field.clone() };
    let mut text = format!("{text}; key=");
    write_string(&mut text, key);
    HeaderValue::try_from(text).unwrap_or_else(|_| field.clone())
}

/// A structured-field String (RFC 8941 §3.3.3); what it cannot hold becomes `?`.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => out.push('?'),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: &CacheStatus) -> String {
        let mut out = String::new();
        status.write(&mut out);
        let parsed: sfv::List = sfv::Parser::new(&out).parse().unwrap();
        assert_eq!(parsed.len(), 1);
        out
    }

    #[test]
    fn rfc9211_hits_and_stale_hits() {
        let hit = CacheStatus { hit: true, ttl: Some(30), detail: Some(Reason::Fresh.as_str()), ..CacheStatus::default() };
        assert_eq!(text(&hit), "larder; hit; ttl=30; detail=fresh");
        let stale = CacheStatus { hit: true, ttl: Some(-412), fwd: Some(ForwardReason::Stale), stored: true, ..CacheStatus::default() };
        assert_eq!(text(&stale), "larder; hit; ttl=-412");
    }

    #[test]
    fn rfc9211_forwarded_requests() {
        let miss = CacheStatus {
            fwd: Some(ForwardReason::UriMiss),
            fwd_status: Some(200),
            stored: true,
            collapsed: true,
            detail: Some(Reason::Absent.as_str()),
            ..CacheStatus::default()
        };
        assert_eq!(text(&miss), "larder; fwd=uri-miss; fwd-status=200; stored; collapsed; detail=absent");
    }

    #[test]
    fn rfc9211_2_7_a_key_is_a_string_whatever_is_in_it() {
        let field = with_key(&HeaderValue::from_static("inner; fwd=miss, larder; hit"), "a\"b\\c\u{e9}");
        assert_eq!(field, r#"inner; fwd=miss, larder; hit; key="a\"b\\c?""#);
        assert_eq!(sfv::Parser::new(field.as_bytes()).parse::<sfv::List>().ok().map(|list| list.len()), Some(2));
    }

    #[test]
    fn rfc9211_2_members_of_caches_nearer_to_the_origin_come_first() {
        let own = CacheStatus { hit: true, ..CacheStatus::default() };
        let mut scratch = String::new();
        let upstream = HeaderValue::from_static("origin-cache; fwd=miss");
        assert_eq!(own.to_value(Some(&upstream), &mut scratch), "origin-cache; fwd=miss, larder; hit");
        assert_eq!(own.to_value(None, &mut scratch), "larder; hit");
    }

    #[test]
    fn every_reason_writes_a_structured_field() {
        for reason in Reason::ALL {
            let status = CacheStatus { fwd: Some(reason.forward()), detail: Some(reason.as_str()), ..CacheStatus::default() };
            text(&status);
        }
    }
}
