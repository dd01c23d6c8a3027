//! The reader of HTTP/1.1 responses, as a function of bytes: for the fuzz targets in `fuzz/`, and no part of the library's interface.

pub use crate::http1::{ReadResponse, read_response};
