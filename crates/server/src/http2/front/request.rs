//! A block of fields as the request that it is, if it is a plain one.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::http2::hpack::fields::FieldList;
use crate::http2::hpack::tables::Name;
use crate::request::cookies::join_cookies;

/// The request of the block that was decoded last.
#[derive(Debug)]
pub(super) struct PlainRequest {
    request: Request<()>,
    /// The last authority that was read. Most clients name the same one again and again.
    authority: Option<Authority>,
}

impl PlainRequest {
    pub(super) fn new() -> Self {
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        Self { request, authority: None }
    }

    /// The request, after [`Self::fill`].
    pub(super) fn get(&mut self) -> &mut Request<()> {
        &mut self.request
    }

    /// Releases the memory that it shares with the block.
    pub(super) fn release(&mut self) {
        self.request.headers_mut().clear();
        *self.request.uri_mut() = Uri::default();
    }

    /// Fills it in. `None` for everything that is not a plain GET or HEAD; what is not valid is among that, and the library's to refuse.
    pub(super) fn fill(&mut self, fields: &mut FieldList) -> Option<()> {
        if fields.is_over() {
            return None;
        }
        let headers = self.request.headers_mut();
        headers.clear();
        let (mut method, mut parts) = (None, Parts::default());
        for (name, value) in fields.share() {
            match name {
                Name::Field(name) => {
                    if is_unusual(name) {
                        return None;
                    }
                    headers.try_append(name.clone(), HeaderValue::from_maybe_shared(value).ok()?).ok()?;
                }
                // Pseudo-fields come before all others, once each (RFC 9113 §8.3).
                _ if !headers.is_empty() => return None,
                Name::Method if method.is_none() => method = Some(plain_method(&value)?),
                Name::Scheme if parts.scheme.is_none() => parts.scheme = Some(scheme(&value)?),
                Name::Authority if parts.authority.is_none() => parts.authority = Some(known_authority(&mut self.authority, value)?),
                Name::Path if parts.path_and_query.is_none() && value.starts_with(b"/") => {
                    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(value).ok()?);
                }
                _ => return None,
            }
        }
        join_cookies(headers);
        *self.request.method_mut() = method?;
        parts.authority.as_ref()?;
        *self.request.uri_mut() = Uri::from_parts(parts).ok()?;
        Some(())
    }
}

/// Fields that concern the connection or the content, and `Host`, which stands beside an authority only where something was translated.
fn is_unusual(name: &HeaderName) -> bool {
    matches!(*name, CONNECTION | CONTENT_LENGTH | EXPECT | HOST | TE | TRAILER | TRANSFER_ENCODING | UPGRADE)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn plain_method(value: &[u8]) -> Option<Method> {
    match value {
        b"GET" => Some(Method::GET),
        b"HEAD" => Some(Method::HEAD),
        _ => None,
    }
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    match value {
        b"http" => Some(Scheme::HTTP),
        b"https" => Some(Scheme::HTTPS),
        _ => None,
    }
}

fn known_authority(last: &mut Option<Authority>, value: Bytes) -> Option<Authority> {
    match last {
        Some(known) if known.as_str().as_bytes() == value => Some(known.clone()),
        _ => {
            // A copy, for a part of the block would keep all of it.
            let authority = Authority::try_from(&*value).ok()?;
            *last = Some(authority.clone());
            Some(authority)
        }
    }
}
