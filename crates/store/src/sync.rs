//! The locks and atomics of the ledger. `tests/model.rs` builds it on those of a model checker.

pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::{RwLock, RwLockWriteGuard};
