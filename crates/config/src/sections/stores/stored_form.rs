//! `compress` and `encrypt` of `[store.redis]` and `[store.disk]`, the former of `[store.memory]` too: in which form responses are stored.

use larder_redis_options::{Compression, SealKey, SealKeys};
use toml::Spanned;

use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::secret;

const KEY_FORM: &str = "where the key is, in quotes: \"env:LARDER_STORE_KEY\" or \"file:/run/secrets/key\"";
const KEY_HINT: &str = "32 bytes in hexadecimal or base64: openssl rand -hex 32";

/// zstd's own default.
const LEVEL: u64 = 3;

/// `compress = { min = "1KiB", level = 3 }`.
pub(crate) fn compress(store: &mut Table<'_>) -> Option<Compression> {
    let mut table = store.table("compress")?;
    let min = table.bytes("min", 0..=1 << 30).map_or(1 << 10, Spanned::into_inner);
    let level = table.integer("level", 1..=19).unwrap_or(LEVEL);
    table.finish();
    Some(Compression { min, level: i32::try_from(level).ok()? })
}

/// `encrypt = { key = "env:LARDER_STORE_KEY" }`.
pub(crate) fn encrypt(store: &mut Table<'_>) -> Option<SealKeys> {
    let mut table = store.table("encrypt")?;
    table.require("key", "like key = \"env:LARDER_STORE_KEY\"");
    let current = table.parse("key", KEY_FORM, key);
    let old_keys = table.list("old_keys", KEY_FORM, key).map(Spanned::into_inner).unwrap_or_default();
    table.finish();
    Some(SealKeys { key: current?.into_inner(), old_keys: old_keys.into_iter().map(Spanned::into_inner).collect() })
}

/// A key, from where it stands.
fn key(text: &str) -> Result<SealKey, Mistake> {
    let secret = secret::read(text, KEY_HINT)?
        .ok_or_else(|| Mistake::new("a key does not stand in the configuration itself").hint(format!("say {KEY_FORM}")))?;
    SealKey::parse(&secret).map_err(|error| Mistake::new(format!("{error}")).hint(KEY_HINT))
}
