//! Content codings that a cache can pack and unpack (RFC 9110 §8.4), and what clients accept of them (§12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::vary::weight_of_coding;

/// A coding that can be packed and unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `zstd` (RFC 9659).
    Zstd,
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of this name, in any case; "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"" (§8.4.1.3).
    pub fn named(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name().as_bytes()))
    }

    /// Whether a client with these fields can take an answer in this coding. "If no Accept-Encoding header field is in the request, any content coding
    /// is considered acceptable by the user agent": but those that send none are mostly programs that unpack nothing, so here they accept none.
    pub fn is_accepted(self, request: &HeaderMap) -> bool {
        weight_of_coding(request.get_all(ACCEPT_ENCODING).iter(), self.name().as_bytes()).is_some_and(|weight| weight > 0)
    }
}

/// Whether a client with these fields refuses an answer without a coding: "the identity coding [...] is acceptable unless specifically excluded by the
/// Accept-Encoding header field stating either "identity;q=0" or "*;q=0" without a more specific entry for "identity"" (§12.5.3).
pub fn refuses_identity(request: &HeaderMap) -> bool {
    weight_of_coding(request.get_all(ACCEPT_ENCODING).iter(), b"identity") == Some(0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn request(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| _ = headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line)));
        headers
    }

    #[test]
    fn rfc9110_12_5_3_a_client_accepts_what_it_names_or_what_a_star_stands_for() {
        for (lines, zstd, brotli, gzip) in [
            (&["gzip, deflate, br, zstd"][..], true, true, true),
            (&["gzip, deflate", "BR"], false, true, true),
            (&["x-gzip;q=0.1"], false, false, true),
            (&["*"], true, true, true),
            (&["*, br;q=0"], true, false, true),
            (&["*;q=0, gzip"], false, false, true),
            (&["identity"], false, false, false),
            (&["gzip;q=0"], false, false, false),
            (&["gzip;q=x"], false, false, false),
            (&[""], false, false, false),
            (&[], false, false, false),
        ] {
            let accepted = Coding::ALL.map(|coding| coding.is_accepted(&request(lines)));
            assert_eq!(accepted, [zstd, brotli, gzip], "{lines:?}");
        }
    }

    #[test]
    fn rfc9110_12_5_3_identity_is_accepted_unless_it_is_refused() {
        for (lines, refused) in [
            (&["gzip, identity;q=0"][..], true),
            (&["gzip, *;q=0"], true),
            (&["identity;q=1, *;q=0"], false),
            (&["gzip"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(refuses_identity(&request(lines)), refused, "{lines:?}");
        }
    }
}
