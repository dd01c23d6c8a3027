//! Watches a connection's raw bytes for heads that somebody else might read in another way: with both `Content-Length` and
//! `Transfer-Encoding`, or with a line that ends in a bare LF.
//!
//! A request with both fields is refused (RFC 9112 §6.1: it may be an attempt at request smuggling), but hyper drops the `Content-Length` before
//! anyone sees it. So the raw lines are looked at on their way in. Bodies are looked at like heads, which is cheaper than telling
//! them apart and errs on the side of refusing: an embedded message with both fields is enough, but only a request that has
//! `Transfer-Encoding` itself is refused for it.
//!
//! A bare LF may be recognized as the end of a line (RFC 9112 §2.2), and hyper does; whoever does not sees one field where this
//! gateway sees two. Content is full of them, so only heads are looked at for it: up to the first request with content, from where on
//! heads and content cannot be told apart here.

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
/// As much of a line as can decide which field it is, colon included.
const LINE_START: usize = TRANSFER_ENCODING.len() + 1;

/// What is wrong with the heads of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspicion {
    /// Some block of lines without an empty line in it had both `Content-Length` and `Transfer-Encoding`.
    pub(super) ambiguous: bool,
    /// Some line of a head ended in a bare LF.
    pub(super) bare_lf: bool,
}

/// What has been seen on one connection so far.
#[derive(Debug, Default)]
pub(super) struct FramingWatch {
    /// The start of the line that the bytes seen so far end in.
    line: [u8; LINE_START],
    filled: usize,
    has_length: bool,
    has_coding: bool,
    suspicion: Suspicion,
    /// Some request on this connection had content.
    has_content: bool,
    /// The byte before those that come next.
    last: u8,
}

impl FramingWatch {
    /// Looks at the next bytes. They may be cut anywhere.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let wanted = rest.len().min(LINE_START - self.filled);
            match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    self.collect(&rest[..end.min(wanted)]);
                    let before = end.checked_sub(1).map_or(self.last, |before| rest[before]);
                    self.suspicion.bare_lf |= before != b'\r' && !self.has_content;
                    self.end_line();
                    self.last = b'\n';
                    rest = &rest[end + 1..];
                }
                None => {
                    self.collect(&rest[..wanted]);
                    self.last = rest.last().copied().unwrap_or(self.last);
                    return;
                }
            }
        }
    }

    /// What is wrong so far.
    pub(super) fn suspicion(&self) -> Suspicion {
        self.suspicion
    }

    fn collect(&mut self, start: &[u8]) {
        self.line[self.filled..self.filled + start.len()].copy_from_slice(start);
        self.filled += start.len();
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.filled];
        if line.is_empty() || line == b"\r" {
            self.has_content |= self.has_length || self.has_coding;
            (self.has_length, self.has_coding) = (false, false);
        } else {
            self.has_length |= is_field(line, CONTENT_LENGTH);
            self.has_coding |= is_field(line, TRANSFER_ENCODING);
            self.suspicion.ambiguous |= self.has_length && self.has_coding;
        }
        self.filled = 0;
    }
}

fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.len() > name.len() && line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambiguous(text: &str) -> bool {
        let whole = {
            let mut watch = FramingWatch::default();
            watch.see(text.as_bytes());
            watch.suspicion().ambiguous
        };
        let cut = {
            let mut watch = FramingWatch::default();
            text.as_bytes().iter().for_each(|byte| watch.see(&[*byte]));
            watch.suspicion().ambiguous
        };
        assert_eq!(whole, cut, "the verdict depends on where the bytes are cut");
        whole
    }

    #[test]
    fn rfc9112_6_1_both_fields_in_one_head_are_seen_in_either_order() {
        assert!(ambiguous("POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(ambiguous("POST / HTTP/1.1\nTRANSFER-ENCODING:chunked\nhost: a\ncontent-length:3\n\n"));
        assert!(ambiguous("GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"));
    }

    #[test]
    fn fields_of_different_heads_do_not_count_together() {
        assert!(!ambiguous("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!ambiguous("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4d\r\n--b\r\nContent-Length: 3\r\n\r\nabc"));
    }

    fn bare_lf(text: &str) -> bool {
        let mut watch = FramingWatch::default();
        // Cut everywhere, so that the byte before an LF may be in another piece.
        text.as_bytes().chunks(3).for_each(|piece| watch.see(piece));
        let mut whole = FramingWatch::default();
        whole.see(text.as_bytes());
        assert_eq!(watch.suspicion().bare_lf, whole.suspicion().bare_lf, "the verdict depends on where the bytes are cut");
        whole.suspicion().bare_lf
    }

    #[test]
    fn rfc9112_2_2_a_bare_lf_in_a_head_is_seen() {
        assert!(bare_lf("GET / HTTP/1.1\nHost: a\r\n\r\n"));
        assert!(bare_lf("GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n"));
        assert!(bare_lf("GET / HTTP/1.1\r\nHost: a\r\n\n"));
        assert!(bare_lf("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n"));
        assert!(!bare_lf("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    #[test]
    fn a_bare_lf_in_content_is_none_of_the_heads() {
        assert!(!bare_lf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na\nb\n"));
    }

    #[test]
    fn other_fields_with_such_words_do_not_count() {
        assert!(!ambiguous("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-Content-Length: 3\r\n\r\n"));
        assert!(!ambiguous("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Lengthy: 3\r\n\r\n"));
        assert!(!ambiguous("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Transfer-Encoding: binary\r\n\r\n"));
    }
}
