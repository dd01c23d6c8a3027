//! One piece of a body that one replica fetches and others read while it arrives, proven good by itself.
//!
//! ```text
//! u8  format (1)                    u8  kind: 3 a piece
//! u64 relay · u32 number of the piece, from 0
//! u8  0: bytes content              1, the end: u64 body length · u8 has trailers, then fields
//! u32 CRC-32 of all before it
//! ```
//!
//! Neither length nor checksum of the body is known while it arrives. So each piece names the relay that it belongs to and its place there, and the
//! last one says how long the body is: pieces of two bodies never make up a third one, and none is missing.

use bytes::Bytes;
use http::HeaderMap;

use super::frame::{Reader, Writer};
use super::{FORMAT, Unreadable, head};

const PIECE: u8 = 3;
const CONTENT: u8 = 0;
const END: u8 = 1;

/// The content of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayPiece {
    /// The next bytes of the body.
    Content(Bytes),
    /// The proven end.
    End {
        /// The length of the body, in bytes.
        length: u64,
        /// The trailer fields, if there are any (RFC 9110 §6.5).
        trailers: Option<HeaderMap>,
    },
}

/// The frame of this piece of a relay.
pub fn encode_piece(relay: u64, number: u32, piece: &RelayPiece) -> Vec<u8> {
    let mut out = Writer::new(FORMAT, PIECE);
    out.u64(relay);
    out.u32(number);
    match piece {
        RelayPiece::Content(content) => {
            out.u8(CONTENT);
            out.bytes(content);
        }
        RelayPiece::End { length, trailers } => {
            out.u8(END);
            out.u64(*length);
            out.u8(u8::from(trailers.is_some()));
            trailers.iter().for_each(|trailers| head::write_fields(&mut out, trailers));
        }
    }
    out.finish()
}

/// Reads the frame of this piece of this relay.
pub fn decode_piece(frame: Bytes, relay: u64, number: u32) -> Result<RelayPiece, Unreadable> {
    let mut reader = Reader::new(frame, FORMAT)?;
    if reader.u8()? != PIECE {
        return Err(Unreadable::Damaged);
    }
    if (reader.u64()?, reader.u32()?) != (relay, number) {
        return Err(Unreadable::OtherKey);
    }
    let piece = match reader.u8()? {
        CONTENT => RelayPiece::Content(reader.bytes()?),
        END => {
            let length = reader.u64()?;
            let trailers = match reader.u8()? {
                0 => None,
                1 => Some(head::read_fields(&mut reader)?),
                _ => return Err(Unreadable::Damaged),
            };
            RelayPiece::End { length, trailers }
        }
        _ => return Err(Unreadable::OtherFormat),
    };
    reader.end().map(|()| piece)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn pieces() -> [RelayPiece; 3] {
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"))]);
        [
            RelayPiece::Content(Bytes::from_static(b"hello")),
            RelayPiece::End { length: 5, trailers: None },
            RelayPiece::End { length: 5, trailers: Some(trailers) },
        ]
    }

    /// Bytes that a released version has written.
    #[test]
    fn golden_bytes_of_pieces() {
        let hex = |frame: Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let written: Vec<String> = (0..).zip(pieces()).map(|(number, piece)| hex(encode_piece(0x0102_0304, number, &piece))).collect();
        assert_eq!(written.join("\n"), include_str!("golden/pieces-1.hex").trim());
    }

    #[test]
    fn a_piece_comes_back_as_it_was_and_stands_for_no_other() {
        for piece in pieces() {
            let frame = encode_piece(7, 3, &piece);
            assert_eq!(decode_piece(frame.clone().into(), 7, 3), Ok(piece));
            assert_eq!(decode_piece(frame.clone().into(), 7, 4), Err(Unreadable::OtherKey));
            assert_eq!(decode_piece(frame.clone().into(), 8, 3), Err(Unreadable::OtherKey));
            for at in 0..frame.len() {
                let mut damaged = frame.clone();
                damaged[at] ^= 0x10;
                assert!(decode_piece(damaged.into(), 7, 3).is_err(), "byte {at}");
                assert!(decode_piece(frame[..at].to_vec().into(), 7, 3).is_err(), "cut off at {at}");
            }
        }
    }

    proptest! {
        /// A writer of the store can also write a checksum.
        #[test]
        fn a_hostile_piece_never_panics(which in 0_usize..3, at in 0_usize..40, with in any::<[u8; 4]>(), cut in 0_usize..40) {
            let mut frame = encode_piece(7, 0, &pieces()[which]);
            let at = at % (frame.len() - 8);
            frame[at..at + 4].copy_from_slice(&with);
            frame.truncate(frame.len() - 4 - cut % 10);
            frame.extend_from_slice(&crc32fast::hash(&frame).to_le_bytes());
            let _ = decode_piece(frame.into(), 7, 0);
        }
    }
}
