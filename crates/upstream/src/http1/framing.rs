//! The end of a response's body (RFC 9112 §6.3).

use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};

use super::Malformed;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks, the last of them empty.
    Chunked,
    /// The connection ends.
    UntilClose,
}

/// A head's fields about its body and its connection, gathered while they are read.
#[derive(Debug, Default)]
pub(super) struct Framed {
    length: Option<Result<u64, Malformed>>,
    coded: bool,
    /// Whether `chunked` is the last transfer coding.
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Framed {
    /// Looks at a field.
    pub(super) fn see(&mut self, name: &HeaderName, value: &HeaderValue) {
        if name == header::CONTENT_LENGTH {
            self.see_length(value);
        } else if name == header::TRANSFER_ENCODING {
            self.coded = true;
            self.chunked = members(value).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        } else if name == header::CONNECTION {
            self.close |= members(value).any(|option| option.eq_ignore_ascii_case(b"close"));
            self.keep_alive |= members(value).any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
        }
    }

    /// "If the message is received without Transfer-Encoding and with an invalid Content-Length header field, then the message framing is
    /// invalid [...] unless the field value can be successfully parsed as a comma-separated list, all values in the list are valid, and
    /// all values in the list are the same" (§6.3).
    fn see_length(&mut self, value: &HeaderValue) {
        for member in members(value) {
            let length = decimal(member).ok_or(Malformed::ContentLength);
            self.length = match self.length {
                Some(known) if known != length => Some(Err(Malformed::ContentLength)),
                _ => Some(length),
            };
        }
    }

    /// In the order of §6.3.
    pub(super) fn framing(&self, method: &Method, status: StatusCode, version: Version) -> Result<Framing, Malformed> {
        // "1. Any response to a HEAD request and any response with a 1xx (Informational), 204 (No Content), or 304 (Not Modified) status
        // code is always terminated by the first empty line after the header fields". "2. Any 2xx (Successful) response to a CONNECT
        // request implies that the connection will become a tunnel".
        if method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || (method == Method::CONNECT && status.is_success())
        {
            return Ok(Framing::Length(0));
        }
        // "3. If a message is received with both a Transfer-Encoding and a Content-Length header field, the Transfer-Encoding overrides the
        // Content-Length". "4. If a Transfer-Encoding header field is present and the chunked transfer coding is the final encoding, the
        // message body length is determined by reading and decoding the chunked data [...]. If a Transfer-Encoding header field is present
        // in a response and the chunked transfer coding is not the final encoding, the message body length is determined by reading the
        // connection until it is closed by the server".
        if self.coded {
            return match version {
                Version::HTTP_10 => Err(Malformed::TransferEncoding),
                _ if self.chunked => Ok(Framing::Chunked),
                _ => Ok(Framing::UntilClose),
            };
        }
        // "6. If a valid Content-Length header field is present without Transfer-Encoding, its decimal value defines the expected message
        // body length in octets". "8. Otherwise, this is a response message without a declared message body length".
        self.length.map_or(Ok(Framing::UntilClose), |length| length.map(Framing::Length))
    }

    /// Whether the connection is meant to go on after this response (§9.3). One that both codes and measures its body does not know its
    /// own ends (§6.1, "the server MUST close the connection after responding").
    pub(super) fn persists(&self, method: &Method, version: Version) -> bool {
        !self.close
            && (version == Version::HTTP_11 || self.keep_alive)
            && !(self.coded && self.length.is_some())
            && method != Method::CONNECT
    }
}

/// The members of a list field's line, without those that are empty.
fn members(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits only: `parse` would take a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(lines: &[(&'static str, &'static str)]) -> Framed {
        let mut framed = Framed::default();
        for (name, value) in lines {
            framed.see(&HeaderName::from_static(name), &HeaderValue::from_static(value));
        }
        framed
    }

    fn framing(method: Method, status: u16, version: Version, lines: &[(&'static str, &'static str)]) -> Result<Framing, Malformed> {
        framed(lines).framing(&method, StatusCode::from_u16(status).expect("status"), version)
    }

    fn of_get(lines: &[(&'static str, &'static str)]) -> Result<Framing, Malformed> {
        framing(Method::GET, 200, Version::HTTP_11, lines)
    }

    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";

    #[test]
    fn rfc9112_6_3_1_head_204_and_304_have_no_body_whatever_their_fields_say() {
        for lines in [&[(LENGTH, "7")], &[(CODING, "chunked")], &[(LENGTH, "x")]] {
            assert_eq!(framing(Method::HEAD, 200, Version::HTTP_11, lines), Ok(Framing::Length(0)));
            assert_eq!(framing(Method::GET, 204, Version::HTTP_11, lines), Ok(Framing::Length(0)));
            assert_eq!(framing(Method::GET, 304, Version::HTTP_11, lines), Ok(Framing::Length(0)));
        }
    }

    #[test]
    fn rfc9112_6_3_3_transfer_encoding_overrides_content_length_and_ends_the_connection() {
        let both = [(LENGTH, "7"), (CODING, "chunked")];
        assert_eq!(of_get(&both), Ok(Framing::Chunked));
        assert!(!framed(&both).persists(&Method::GET, Version::HTTP_11));
        assert!(framed(&both[1..]).persists(&Method::GET, Version::HTTP_11));
    }

    #[test]
    fn rfc9112_6_3_4_only_chunked_as_the_last_coding_has_an_end_of_its_own() {
        assert_eq!(of_get(&[(CODING, "gzip, Chunked")]), Ok(Framing::Chunked));
        assert_eq!(of_get(&[(CODING, "gzip"), (CODING, "chunked")]), Ok(Framing::Chunked));
        assert_eq!(of_get(&[(CODING, "chunked, gzip")]), Ok(Framing::UntilClose));
        assert_eq!(of_get(&[(CODING, "")]), Ok(Framing::UntilClose));
    }

    #[test]
    fn rfc9112_6_1_an_http_1_0_response_has_no_transfer_encoding() {
        assert_eq!(framing(Method::GET, 200, Version::HTTP_10, &[(CODING, "chunked")]), Err(Malformed::TransferEncoding));
    }

    #[test]
    fn rfc9112_6_3_5_lengths_are_one_number() {
        assert_eq!(of_get(&[(LENGTH, "7")]), Ok(Framing::Length(7)));
        assert_eq!(of_get(&[(LENGTH, "7, 7"), (LENGTH, "7")]), Ok(Framing::Length(7)));
        for invalid in ["", "+7", "-7", "7 7", "0x7", "7, 8", "7,", "99999999999999999999", "7;"] {
            assert_eq!(of_get(&[(LENGTH, invalid)]), Err(Malformed::ContentLength), "{invalid}");
        }
        assert_eq!(of_get(&[(LENGTH, "7"), (LENGTH, "8")]), Err(Malformed::ContentLength));
        assert_eq!(of_get(&[(LENGTH, "7"), (LENGTH, "x"), (LENGTH, "7")]), Err(Malformed::ContentLength));
    }

    #[test]
    fn rfc9112_6_3_8_without_a_length_the_connection_ends_the_body() {
        assert_eq!(of_get(&[]), Ok(Framing::UntilClose));
    }

    #[test]
    fn rfc9112_9_3_which_connections_persist() {
        let persists = |version, options: &'static str| framed(&[("connection", options)]).persists(&Method::GET, version);
        assert!(framed(&[]).persists(&Method::GET, Version::HTTP_11));
        assert!(!framed(&[]).persists(&Method::GET, Version::HTTP_10));
        assert!(persists(Version::HTTP_10, "x, Keep-Alive"));
        assert!(!persists(Version::HTTP_11, "x, Close"));
        assert!(!persists(Version::HTTP_10, "keep-alive, close"), "close counts");
    }
}
