//! `[store]`, and in it `[store.memory]`.

use crate::model::MemoryStore;
use crate::parse::mistake::Mistakes;
use crate::parse::reader::Table;
use crate::sections::overrides::Overrides;
use crate::sections::stores::redis;
use larder_redis_options::RedisOptions;

/// `[store]`, with the servers of the environment over those of the file.
pub(crate) fn store(root: &mut Table<'_>, overrides: &Overrides) -> (MemoryStore, Option<RedisOptions>) {
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
pub(crate) fn from_outside(overrides: &Overrides, mistakes: &Mistakes) -> Option<RedisOptions> {
    redis::from_environment(overrides, mistakes)
}
