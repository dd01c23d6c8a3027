//! The interface of a tier behind the memory, whether it is Redis or a disk.
//!
//! Nothing here may harm a request: every error is a miss, and a write that fails is one response stored less.

mod arriving;
mod body;
mod lease;
mod log;
mod operation;
mod relay;
mod store;

pub use arriving::{Arriving, Chunks};
pub use body::{NewRemoteBody, RemoteBody, RemoteBodyWriter};
pub use lease::{FetchFailure, HeldLease, Lease, LeaseEnd, LeaseHolder, LeaseTerms, Remembered};
pub use log::{AppliedBy, InvalidationLog, Published};
pub use operation::{RemoteError, StoreFuture};
pub use relay::{Offered, Piece, Pieces, Relayed};
pub use store::{LoadRequest, Loaded, RemoteStore, Write};
