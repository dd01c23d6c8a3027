//! The readers of DER, as functions of bytes: for the fuzz targets in `fuzz/`, and no part of the library's interface.

pub use crate::facts::subject;
pub use crate::revocations::end_of_list;
