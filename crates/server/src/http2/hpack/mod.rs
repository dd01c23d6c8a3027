//! HPACK (RFC 7541): the form of fields in HTTP/2.
//!
//! - [`decode`]: a client's blocks of fields. Its encoder's table belongs to the connection, so each block is decoded, in order.
//! - [`encode`]: blocks without a dynamic table, so that no other encoder on the connection has to know of them.
//! - [`fields`]: the fields of one block, between the two.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod fields;
mod huffman;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
