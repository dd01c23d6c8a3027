//! What things weigh: bytes of memory as the allocator keeps them, so that a budget of bytes is one.

/// What the allocator keeps for a piece of so many bytes: with the 8 before it, in steps of 16, and never less than 32 (glibc's malloc).
pub const fn allocated(bytes: usize) -> usize {
    let piece = (bytes + 8).next_multiple_of(16);
    if piece < 32 { 32 } else { piece }
}

/// What so many bytes take as `bytes::Bytes` that were cloned: the piece, and another for what its clones have in common. Nothing where there
/// are none.
pub const fn shared(bytes: usize) -> usize {
    /// The buffer, its capacity, and how many share it.
    const COMMON: usize = 24;
    if bytes == 0 { 0 } else { allocated(bytes) + allocated(COMMON) }
}
