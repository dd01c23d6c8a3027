//! `[store]`, and in it `[store.memory]`.

use super::mistake::Mistakes;
use super::model::MemoryStore;
use super::overrides::Overrides;
use super::reader::Table;
use super::redis;
use larder_redis_options::RedisOptions;

/// `[store]`, with the servers of the environment over those of the file.
pub(super) fn store(root: &mut Table<'_>, overrides: &Overrides) -> (MemoryStore, Option<RedisOptions>) {
    let Some(mut table) = root.table("store") else { return (MemoryStore::default(), from_outside(overrides, root.mistakes())) };
    let mut memory = MemoryStore::default();
    if let Some(mut table) = table.table("memory") {
        if let Some(capacity) = table.bytes("capacity", 1 << 20..=1 << 44) {
            memory.capacity = capacity.into_inner();
        }
        table.finish();
    }
    let redis = match table.table("redis") {
        Some(table) => redis::read(table, overrides),
        None => from_outside(overrides, table.mistakes()),
    };
    table.finish();
    (memory, redis)
}

/// Redis where only the environment names it: everything else is as by default.
pub(super) fn from_outside(overrides: &Overrides, mistakes: &Mistakes) -> Option<RedisOptions> {
    redis::from_environment(overrides, mistakes)
}
