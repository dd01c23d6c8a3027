//! What was wrong with request heads as bytes, which nobody can tell from a request any more.

/// What is wrong with the heads of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// A head had both `Content-Length` and `Transfer-Encoding`.
    pub(crate) ambiguous: bool,
    /// Some line of a head ended in a bare LF.
    pub(crate) bare_lf: bool,
    /// A head had a length that is not written in the plain way, or two that differ: nobody but hyper knows how it is read.
    pub(crate) odd_length: bool,
}
