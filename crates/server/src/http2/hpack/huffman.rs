//! The Huffman code of HPACK (RFC 7541 §5.2, appendix B).
//!
//! It is a canonical one: codes of one length follow each other in the order of their symbols, behind those that are shorter. So lengths tell
//! everything. Symbols of up to eight bits, which text is made of, are found by one look at the next byte.

use bytes::{BufMut, BytesMut};

use super::decode::Broken;

/// Symbols: bytes, and the end of the string, which is never written.
const SYMBOLS: usize = 257;
const MAX_LENGTH: usize = 30;
/// Bits of a symbol that one look finds.
const SHORT: usize = 8;

/// The length of each symbol's code, in bits.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10,
    10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6,
    7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23,
    21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22,
    22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26,
    26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
    27, 27, 27, 26, 30,
];

/// How symbols are found by their codes.
struct Code {
    /// By the next eight bits: the length of a short symbol's code, then the symbol; 0 where the code is longer.
    short: [u16; 1 << SHORT],
    /// Symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
    /// Of each length: the first code, how many there are, and the place of the first in `symbols`.
    first: [u32; MAX_LENGTH + 1],
    count: [u32; MAX_LENGTH + 1],
    place: [u32; MAX_LENGTH + 1],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        short: [0; 1 << SHORT],
        symbols: [0; SYMBOLS],
        first: [0; MAX_LENGTH + 1],
        count: [0; MAX_LENGTH + 1],
        place: [0; MAX_LENGTH + 1],
    };
    let (mut length, mut next, mut place) = (1, 0, 0);
    while length <= MAX_LENGTH {
        next <<= 1;
        (code.first[length], code.place[length]) = (next, place);
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                code.symbols[place as usize] = symbol as u16;
                if length <= SHORT {
                    let (mut bits, shift) = ((next as usize) << (SHORT - length), SHORT - length);
                    let end = bits + (1 << shift);
                    while bits < end {
                        code.short[bits] = (length as u16) << 8 | symbol as u16;
                        bits += 1;
                    }
                }
                (next, place) = (next + 1, place + 1);
            }
            symbol += 1;
        }
        code.count[length] = place - code.place[length];
        length += 1;
    }
    code
}

/// Appends the string that these bytes stand for.
///
/// # Errors
/// If the end is written, or if they are padded with more than seven bits or with others than ones (§5.2).
pub(super) fn decode(bytes: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
    // No code is shorter than five bits.
    out.reserve(bytes.len() * 8 / 5 + 1);
    let (mut bits, mut filled, mut rest) = (0_u64, 0_u32, bytes.iter());
    loop {
        while filled <= 56
            && let Some(byte) = rest.next()
        {
            bits |= u64::from(*byte) << (56 - filled);
            filled += 8;
        }
        let found = CODE.short[(bits >> 56) as usize];
        let (length, symbol) = if found == 0 { long(bits)? } else { (u32::from(found >> 8), found & 0xff) };
        if length > filled {
            break;
        }
        // The table has only bytes, but for the end.
        let Ok(symbol) = u8::try_from(symbol) else { return Err(Broken) };
        out.put_u8(symbol);
        bits <<= length;
        filled -= length;
    }
    let is_padding = filled < 8 && bits.leading_ones() >= filled;
    if is_padding { Ok(()) } else { Err(Broken) }
}

/// The length and the symbol of a code of more than eight bits.
fn long(bits: u64) -> Result<(u32, u16), Broken> {
    for length in SHORT + 1..=MAX_LENGTH {
        let offset = ((bits >> (64 - length)) as u32).wrapping_sub(CODE.first[length]);
        if offset < CODE.count[length] {
            return Ok((length as u32, CODE.symbols[(CODE.place[length] + offset) as usize]));
        }
    }
    Err(Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u16 = 256;

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = BytesMut::new();
        decode(bytes, &mut out).ok().map(|()| out.to_vec())
    }

    /// The bytes that stand for this string, by the code's definition.
    fn encoded(string: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for &byte in string {
            let length = usize::from(LENGTHS[usize::from(byte)]);
            let place = CODE.symbols[CODE.place[length] as usize..].iter().position(|symbol| *symbol == u16::from(byte)).expect("a symbol");
            let code = CODE.first[length] as usize + place;
            bits.push_str(&format!("{code:0length$b}"));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes().chunks(8).map(|byte| u8::from_str_radix(str::from_utf8(byte).expect("digits"), 2).expect("a byte")).collect()
    }

    #[test]
    fn rfc7541_appendix_b_has_these_codes() {
        for (symbol, code, length) in [(b'0', 0x0, 5), (b'a', 0x3, 5), (b'~', 0x1ffd, 13), (b'\n', 0x3fff_fffc, 30), (249, 0x0fff_fffe, 28)]
        {
            assert_eq!(usize::from(LENGTHS[usize::from(symbol)]), length);
            let place = CODE.symbols[CODE.place[length] as usize..].iter().position(|known| *known == u16::from(symbol)).expect("a symbol");
            assert_eq!(CODE.first[length] as usize + place, code, "{symbol}");
        }
        assert_eq!(CODE.symbols[SYMBOLS - 1], END);
        assert_eq!(CODE.first[MAX_LENGTH] + CODE.count[MAX_LENGTH] - 1, 0x3fff_ffff, "the code is complete");
    }

    #[test]
    fn every_byte_is_decoded_in_every_place() {
        for byte in 0..=255_u8 {
            for before in [&b""[..], b"0", b"a/", b"~~~", b"\n0"] {
                let string = [before, &[byte, byte], before].concat();
                assert_eq!(decoded(&encoded(&string)), Some(string));
            }
        }
    }

    #[test]
    fn rfc7541_5_2_padding_is_the_beginning_of_the_end() {
        assert_eq!(decoded(b""), Some(vec![]));
        assert_eq!(decoded(&[0b0000_0111]), Some(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), None, "padding of another bit than ones");
        assert_eq!(decoded(&[0b0000_0111, 0xff]), None, "more than seven bits of padding");
        assert_eq!(decoded(&[0xff]), None);
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None, "the end itself");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), None, "the end, and two bits behind it");
    }
}
