//! `[store.memory]`, `[store.disk]` and `[store.redis]`.

mod breaker;
mod disk;
mod redis;
pub(crate) mod store;
mod stored_form;
