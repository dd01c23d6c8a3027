//! What the ledger is built on. `tests/model.rs` builds it on the same things of a model checker.

pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::{RwLock, RwLockWriteGuard};
