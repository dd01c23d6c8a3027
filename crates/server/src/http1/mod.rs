//! HTTP/1.1 on the bytes of a connection, before and beside hyper.

pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod plain;
pub(crate) mod refusal;
pub(crate) mod stream;
pub(crate) mod write;
