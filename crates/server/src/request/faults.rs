//! Faults in the bytes of request heads that a parsed request no longer shows.

/// Faults in the heads of one connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FramingFaults {
    /// A head had both `Content-Length` and `Transfer-Encoding`.
    pub(crate) ambiguous: bool,
    /// Some line of a head ended in a bare LF.
    pub(crate) bare_lf: bool,
    /// A head had a length that is not plain digits, or two that differ, so that servers may read it in different ways.
    pub(crate) odd_length: bool,
}
