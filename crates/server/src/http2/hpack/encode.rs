//! Fields as literals without indexing, under names of the static table where it has them (RFC 7541 §6.2.2). Nothing is Huffman-coded: it
//! would cost more than the bytes that it saves.

use bytes::{BufMut, BytesMut};

use super::fields::Field;
use super::tables::static_index;

/// Literals that are not put into a table, and those that must never be (§6.2.3).
const WITHOUT_INDEXING: u8 = 0x00;
const NEVER_INDEXED: u8 = 0x10;

/// Statuses of the static table, from its index 8 on.
const STATUSES: [&[u8]; 7] = [b"200", b"204", b"206", b"304", b"400", b"404", b"500"];
const FIRST_STATUS: u8 = 8;

/// `:status`, three digits.
pub(crate) fn put_status(out: &mut BytesMut, status: &[u8]) {
    match STATUSES.iter().position(|known| *known == status) {
        Some(place) => out.put_u8(0x80 | (FIRST_STATUS + place as u8)),
        None => {
            out.put_u8(WITHOUT_INDEXING | FIRST_STATUS);
            put_string(out, status);
        }
    }
}

/// One field.
#[inline]
pub(crate) fn put_field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    put_literal(out, WITHOUT_INDEXING, name, value);
}

/// A field that was received, as it may be handed on: one that must not be put into a table stays so.
pub(crate) fn put_again(out: &mut BytesMut, field: Field<'_>) {
    let form = if field.is_sensitive { NEVER_INDEXED } else { WITHOUT_INDEXING };
    put_literal(out, form, field.name.as_bytes(), field.value);
}

#[inline]
fn put_literal(out: &mut BytesMut, form: u8, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 16);
    match static_index(name) {
        0 => {
            out.put_u8(form);
            put_string(out, name);
        }
        index => put_integer(out, form, 4, index),
    }
    put_string(out, value);
}

#[inline]
fn put_string(out: &mut BytesMut, string: &[u8]) {
    put_integer(out, 0, 7, string.len());
    out.extend_from_slice(string);
}

/// §5.1.
#[inline]
fn put_integer(out: &mut BytesMut, form: u8, prefix: u32, value: usize) {
    let max = (1_usize << prefix) - 1;
    if value < max {
        out.put_u8(form | value as u8);
        return;
    }
    out.put_u8(form | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.put_u8(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}
