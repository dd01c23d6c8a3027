//! What Larder keeps: stored responses and their bodies, the memory tier, what a tier behind it has to do, the form in which responses
//! leave the process, and the ledger of invalidations.

pub mod body;
pub mod breaker;
pub mod codec;
pub mod ledger;
pub mod memory;
pub mod partial;
pub mod remote;
pub mod response;
mod shapes;
pub mod slot;
mod sync;
mod vary_index;
mod weight;

pub use body::{BodyBuilder, SEGMENT, StoredBody};
pub use breaker::{Breaker, BreakerState, Pass};
pub use ledger::{
    Folds, Invalidation, InvalidationTarget, Ledger, LedgerStats, NamedTag, Position, Regex, Subject, Tag, TagList, Tags, Validity,
};
pub use memory::{Evictions, Lookup, MemoryStats, MemoryStore, Placed};
pub use partial::StoredPart;
pub use remote::{
    AppliedBy, Arriving, Chunks, HeldLease, InvalidationLog, Lease, LeaseEnd, LeaseHolder, LeaseTerms, LoadRequest, Loaded, Published,
    RemoteError, RemoteStore, StoreFuture, Write,
};
pub use response::{StoredResponse, Variant};
pub use shapes::shapes_weight;
pub use slot::{HitForMiss, KeyHash, Slot, SlotKey};
pub use vary_index::{MAX_VARIANTS, VaryIndex};
