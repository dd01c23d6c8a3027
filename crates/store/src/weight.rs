//! Weights: bytes of memory as the allocator keeps them, so that the configured capacity is the memory that is used.

use larder_semantics::{Line, OriginControl, StoredFields, StoredHead};

/// Bytes that the allocator keeps for a piece of so many: with the 8 before it, in steps of 16, and never less than 32 (glibc's malloc).
pub(crate) const fn allocated(bytes: usize) -> usize {
    let piece = (bytes + 8).next_multiple_of(16);
    if piece < 32 { 32 } else { piece }
}

/// Bytes of memory that a cloned `bytes::Bytes` of so many takes: the piece, and another for what its clones share. 0 for an empty one.
pub(crate) const fn shared(bytes: usize) -> usize {
    /// The buffer, its capacity, and how many share it.
    const COMMON: usize = 24;
    if bytes == 0 { 0 } else { allocated(bytes) + allocated(COMMON) }
}

/// Bytes of memory that a head takes besides itself: the values that it shares with no other head, and what is in one block with them.
pub(crate) fn head(head: &StoredHead) -> usize {
    fields(&head.headers) + head.origin_control.as_deref().map_or(0, origin_control)
}

/// The block, and all lines where the fields stand alone: a shared shape is counted by [`crate::shapes_weight`].
fn fields(fields: &StoredFields) -> usize {
    let text = || fields.shape().lines().iter().map(|(name, value)| size_of::<Line>() + name.as_str().len() + value.len()).sum::<usize>();
    shared(fields.block().len()) + if fields.stands_alone() { text() } else { 0 }
}

fn origin_control(control: &OriginControl) -> usize {
    let values = [&control.cache_control, &control.expires].into_iter().flatten();
    allocated(size_of::<OriginControl>()) + values.map(|value| shared(value.len())).sum::<usize>()
}
