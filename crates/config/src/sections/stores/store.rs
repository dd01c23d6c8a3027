//! `[store]`, and in it `[store.memory]`.

use crate::model::MemoryStore;
use crate::parse::mistake::Mistakes;
use crate::parse::reader::Table;
use crate::sections::overrides::Overrides;
use crate::sections::stores::{disk, redis, stored_form};
use larder_disk_options::DiskOptions;
use larder_redis_options::RedisOptions;

/// `[store]`: what each of its sections says.
pub(crate) struct Stores {
    pub(crate) memory: MemoryStore,
    pub(crate) disk: Option<DiskOptions>,
    pub(crate) redis: Option<RedisOptions>,
}

/// `[store]`, with the servers of the environment over those of the file.
pub(crate) fn store(root: &mut Table<'_>, overrides: &Overrides) -> Stores {
    let mut memory = MemoryStore::default();
    let Some(mut table) = root.table("store") else {
        return Stores { memory, disk: None, redis: from_outside(overrides, root.mistakes()) };
    };
    if let Some(mut table) = table.table("memory") {
        if let Some(capacity) = table.bytes("capacity", 1 << 20..=1 << 44) {
            memory.capacity = capacity.into_inner();
        }
        if let Some(max_object) = table.bytes("max_object", 1..=memory.capacity) {
            memory.max_object = Some(max_object.into_inner());
        }
        memory.compress = stored_form::compress(&mut table);
        table.finish();
    }
    let disk = table.table("disk").and_then(disk::read);
    let redis = match table.table("redis") {
        Some(table) => redis::read(table, overrides),
        None => from_outside(overrides, table.mistakes()),
    };
    table.finish();
    Stores { memory, disk, redis }
}

/// Redis where only the environment names it: everything else is as by default.
pub(crate) fn from_outside(overrides: &Overrides, mistakes: &Mistakes) -> Option<RedisOptions> {
    redis::from_environment(overrides, mistakes)
}
