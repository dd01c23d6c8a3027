//! The decoder of HTTP/2's fields, and what is written again of them.

use bytes::BytesMut;

use crate::http2::hpack::decode::Decoder;
use crate::http2::hpack::encode::put_again;
use crate::http2::hpack::fields::FieldList;

/// Bytes of one list of fields.
const MAX_FIELDS: usize = 16 * 1024;

/// A field: its name, its value, and whether it may never be put into a table.
pub type DecodedField = (Vec<u8>, Vec<u8>, bool);

/// The fields of these blocks, which come on one connection one after the other, and each block as it goes on. Ends with the first that cannot be
/// decoded.
pub fn blocks(blocks: &[&[u8]]) -> Vec<(Vec<DecodedField>, Vec<u8>)> {
    let (mut decoder, mut fields) = (Decoder::default(), FieldList::new(MAX_FIELDS));
    let mut decoded = Vec::new();
    for block in blocks {
        if decoder.decode(block, &mut fields).is_err() {
            break;
        }
        let mut again = BytesMut::new();
        fields.iter().for_each(|field| put_again(&mut again, field));
        let list = fields.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec(), field.is_sensitive));
        decoded.push((list.collect(), again.to_vec()));
    }
    decoded
}
