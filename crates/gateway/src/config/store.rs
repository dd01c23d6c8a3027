//! `[store.memory]` and `[store.redis]`.

use larder_redis::{RedisUrl, WriteMode};

use super::mistake::{Mistake, Mistakes, Place};
use super::model::{MemoryStore, RedisStore};
use super::overrides::{Overrides, REDIS_URL};
use super::reader::Table;
use super::upstreams::positive;

const URL_FORM: &str = "a URL in quotes, like \"redis://127.0.0.1:6379/0\"";
const URL_HINT: &str = "like redis://127.0.0.1:6379/0; rediss:// is for TLS, redis+unix:///PATH for a socket";

/// `[store]`, with the URL of the environment over that of the file.
pub(super) fn store(root: &mut Table<'_>, overrides: &Overrides) -> (MemoryStore, Option<RedisStore>) {
    let mistakes = root.mistakes();
    let Some(mut table) = root.table("store") else { return (MemoryStore::default(), from_outside(overrides, mistakes)) };
    let mut memory = MemoryStore::default();
    if let Some(mut table) = table.table("memory") {
        if let Some(capacity) = table.bytes("capacity", 1 << 20..=1 << 44) {
            memory.capacity = capacity.into_inner();
        }
        table.finish();
    }
    let outside = from_outside(overrides, mistakes);
    let redis = match table.table("redis") {
        Some(table) => redis(table, outside),
        None => outside,
    };
    table.finish();
    (memory, redis)
}

/// Redis where only the environment names it: everything else is as by default.
pub(super) fn from_outside(overrides: &Overrides, mistakes: &Mistakes) -> Option<RedisStore> {
    let url = parse_url(overrides.redis_url()?).map_err(|mistake| mistakes.error(Place::Elsewhere, mistake.within(REDIS_URL)));
    url.ok().map(RedisStore::new)
}

fn redis(mut table: Table<'_>, outside: Option<RedisStore>) -> Option<RedisStore> {
    let url = table.parse("url", URL_FORM, parse_url).map(|url| url.into_inner());
    if outside.is_none() {
        table.require("url", &format!("like url = \"redis://127.0.0.1:6379/0\", or set {REDIS_URL}"));
    }
    let later = "leave it out; it comes with a later version";
    let mut store = outside.or_else(|| url.map(RedisStore::new));
    // Read in any case, so that all mistakes are told at once.
    let mut unused = RedisStore::new(RedisUrl::parse("redis://localhost").ok()?);
    read_limits(&mut table, store.as_mut().unwrap_or(&mut unused));
    table.not_yet("mode", "`mode` is not known: this version speaks to a single Redis server", later);
    table.not_yet("sentinel", "`sentinel` is not known: this version speaks to a single Redis server", later);
    table.not_yet("compress", "`compress` is not known: this version stores bodies in Redis as they are", later);
    table.not_yet("encrypt", "`encrypt` is not known: this version stores responses in Redis as they are", later);
    table.finish();
    store
}

fn read_limits(table: &mut Table<'_>, store: &mut RedisStore) {
    if let Some(timeout) = positive(table, "timeout") {
        store.timeout = timeout;
    }
    if let Some(timeout) = positive(table, "connect_timeout") {
        store.connect_timeout = timeout;
    }
    if let Some(write) = table.one_of("write", &[("behind", WriteMode::Behind), ("through", WriteMode::Through)]) {
        store.write = write.into_inner();
    }
    if let Some(most) = table.bytes("max_object", 1..=512 << 20) {
        store.max_object = most.into_inner();
    }
    if let Some(max_lag) = positive(table, "max_lag") {
        store.max_lag = max_lag;
    }
    if let Some(validate) = table.one_of("when_cut_off", &[("validate", true), ("serve", false)]) {
        store.validate_when_cut_off = validate.into_inner();
    }
    let Some(mut breaker) = table.table("breaker") else { return };
    if let Some(failures) = breaker.integer("failures", 1..=1000).and_then(|failures| u32::try_from(failures).ok()) {
        store.breaker_failures = failures;
    }
    if let Some(open) = positive(&mut breaker, "open") {
        store.breaker_open = open;
    }
    breaker.finish();
}

fn parse_url(text: &str) -> Result<RedisUrl, Mistake> {
    // The text may hold a password in a form that no mask knows.
    RedisUrl::parse(text).map_err(|_| Mistake::new("this is not the URL of a Redis server").hint(URL_HINT))
}
