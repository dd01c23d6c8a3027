//! Storage: stored responses and their bodies, the memory tier, what a tier behind it has to do, the form in which responses
//! leave the process, and the ledger of invalidations.
//!
//! ```text
//! tier ----> codec ----> entry ----> ledger      memory ----> entry, ledger
//! ```

pub mod breaker;
pub mod codec;
pub mod entry;
pub mod ledger;
pub mod memory;
mod sync;
pub mod tier;
mod weight;

pub use breaker::{Breaker, BreakerState, Pass};
pub use entry::{
    BodyBuilder, BodyCodec, BodyPacking, PackedBody, PackingStats, RecordedPiece, Recorder, Recording, SEGMENT, StoredBody, StoredPart,
    StoredResponse, Variant, shapes_weight,
};
pub use ledger::{
    Endless, Epoch, Folds, Invalidation, InvalidationTarget, Ledger, LedgerStats, LogPosition, NamedTag, Position, Regex, Subject, Tag,
    TagCascade, TagList, TagPattern, TagPiece, Tags, Validity,
};
pub use memory::{
    Departure, Evictions, HitForMiss, KeyHash, Lookup, MAX_VARIANTS, MemoryStats, MemoryStore, PassThroughHasher, Selection, Slot, SlotKey,
    VaryIndex,
};
pub use tier::{
    AppliedBy, Arriving, Chunks, FetchFailure, HeldLease, InvalidationLog, Lease, LeaseEnd, LeaseHolder, LeaseTerms, LoadRequest, Loaded,
    NewRemoteBody, Offered, Piece, Pieces, Published, Relayed, Remembered, RemoteBody, RemoteBodyWriter, RemoteError, RemoteStore,
    StoreFuture, Write,
};
