//! The tables of fields (RFC 7541 §2.3): the static one, and the dynamic one of a decoder.

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::*;

/// A field's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    Field(HeaderName),
    /// Another pseudo-field, or no valid name.
    Other(Bytes),
}

impl Name {
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            name => HeaderName::from_lowercase(name).map_or_else(|_| Self::Other(Bytes::copy_from_slice(name)), Self::Field),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Method => b":method",
            Self::Scheme => b":scheme",
            Self::Authority => b":authority",
            Self::Path => b":path",
            Self::Field(name) => name.as_str().as_bytes(),
            Self::Other(name) => name,
        }
    }
}

const STATUS: Name = Name::Other(Bytes::from_static(b":status"));

const fn field(name: HeaderName) -> (Name, &'static [u8]) {
    (Name::Field(name), b"")
}

/// Appendix A. Its first entry has the index 1.
static STATIC: [(Name, &[u8]); 61] = [
    (Name::Authority, b""),
    (Name::Method, b"GET"),
    (Name::Method, b"POST"),
    (Name::Path, b"/"),
    (Name::Path, b"/index.html"),
    (Name::Scheme, b"http"),
    (Name::Scheme, b"https"),
    (STATUS, b"200"),
    (STATUS, b"204"),
    (STATUS, b"206"),
    (STATUS, b"304"),
    (STATUS, b"400"),
    (STATUS, b"404"),
    (STATUS, b"500"),
    field(ACCEPT_CHARSET),
    (Name::Field(ACCEPT_ENCODING), b"gzip, deflate"),
    field(ACCEPT_LANGUAGE),
    field(ACCEPT_RANGES),
    field(ACCEPT),
    field(ACCESS_CONTROL_ALLOW_ORIGIN),
    field(AGE),
    field(ALLOW),
    field(AUTHORIZATION),
    field(CACHE_CONTROL),
    field(CONTENT_DISPOSITION),
    field(CONTENT_ENCODING),
    field(CONTENT_LANGUAGE),
    field(CONTENT_LENGTH),
    field(CONTENT_LOCATION),
    field(CONTENT_RANGE),
    field(CONTENT_TYPE),
    field(COOKIE),
    field(DATE),
    field(ETAG),
    field(EXPECT),
    field(EXPIRES),
    field(FROM),
    field(HOST),
    field(IF_MATCH),
    field(IF_MODIFIED_SINCE),
    field(IF_NONE_MATCH),
    field(IF_RANGE),
    field(IF_UNMODIFIED_SINCE),
    field(LAST_MODIFIED),
    field(LINK),
    field(LOCATION),
    field(MAX_FORWARDS),
    field(PROXY_AUTHENTICATE),
    field(PROXY_AUTHORIZATION),
    field(RANGE),
    field(REFERER),
    field(REFRESH),
    field(RETRY_AFTER),
    field(SERVER),
    field(SET_COOKIE),
    field(STRICT_TRANSPORT_SECURITY),
    field(TRANSFER_ENCODING),
    field(USER_AGENT),
    field(VARY),
    field(VIA),
    field(WWW_AUTHENTICATE),
];

/// The index of the first entry of the static table with this name; 0 where there is none. Compared by length first, which is all that it
/// takes for most names.
pub(super) fn static_index(name: &[u8]) -> usize {
    match name {
        b":authority" => 1,
        b":method" => 2,
        b":path" => 4,
        b":scheme" => 6,
        b":status" => 8,
        b"accept-charset" => 15,
        b"accept-encoding" => 16,
        b"accept-language" => 17,
        b"accept-ranges" => 18,
        b"accept" => 19,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expires" => 36,
        b"host" => 38,
        b"if-modified-since" => 40,
        b"if-none-match" => 41,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"range" => 50,
        b"referer" => 51,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"user-agent" => 58,
        b"vary" => 59,
        b"via" => 60,
        _ => 0,
    }
}

/// Bytes that an entry counts besides its name and value (§4.1).
const OVERHEAD: usize = 32;

/// The dynamic table: the newest entry first, and no more of them than its size allows.
#[derive(Debug)]
pub(super) struct DynamicTable {
    // Copies: a slice would keep the whole block that it came in.
    entries: VecDeque<(Name, Box<[u8]>)>,
    size: usize,
    max: usize,
}

impl DynamicTable {
    pub(super) fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, max }
    }

    /// §4.4. An entry that is larger than the table leaves it empty.
    pub(super) fn insert(&mut self, name: Name, value: &[u8]) {
        let size = entry_size(&name, value);
        self.evict_to(self.max.saturating_sub(size));
        if size <= self.max {
            self.size += size;
            self.entries.push_front((name, value.into()));
        }
    }

    /// §4.3.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict_to(max);
    }

    fn evict_to(&mut self, max: usize) {
        while self.size > max
            && let Some((name, value)) = self.entries.pop_back()
        {
            self.size -= entry_size(&name, &value);
        }
    }

    /// The entry with this index, in the static table or in this one (§2.3.3).
    pub(super) fn get(&self, index: usize) -> Option<(&Name, &[u8])> {
        let index = index.checked_sub(1)?;
        match STATIC.get(index) {
            Some((name, value)) => Some((name, value)),
            None => self.entries.get(index - STATIC.len()).map(|(name, value)| (name, &**value)),
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

/// Bytes of a field as tables and limits count them (RFC 7541 §4.1, RFC 9113 §6.5.2).
pub(super) fn entry_size(name: &Name, value: &[u8]) -> usize {
    name.as_bytes().len() + value.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_index_of_its_first_entry() {
        for (place, (name, _)) in STATIC.iter().enumerate() {
            let first = STATIC.iter().position(|(known, _)| known == name).expect("itself") + 1;
            let index = static_index(name.as_bytes());
            assert!(index == first || index == 0, "{name:?}, {place}");
        }
        assert_eq!(static_index(b"x-cache"), 0);
    }
}
