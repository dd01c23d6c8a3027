//! `[store.memory]` and `[store.redis]`.

mod redis;
pub(crate) mod store;
mod stored_form;
