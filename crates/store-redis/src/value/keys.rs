//! Names of keys in Redis.
//!
//! Everything about one primary key has the same hash tag, so that a Cluster keeps it in one slot and a script may touch all of it.
//! The digest only places: the key's full text stands in every head and is compared.
//!
//! ```text
//! PREFIX:{digest}               the entry, or the selecting fields of a resource with variants; after its removal for a while the mark of that
//! PREFIX:NAME:{digest}          the same, where it has a name for people (NAME begins with none of the braces below)
//! …:v:digest                    a variant
//! …:l                           the lease of one of these
//! …:f                           how the fetch under such a lease failed
//! …:r:token                     a relay: what this fetch brings, while it arrives
//! …:k:fetch:n                   chunk n of the body that this fetch brought
//! …:c:fetch:n                   a slice of such a body as it was stored before chunks were proven each by itself
//! PREFIX:{turn:digest}:t        there while a replica has its turn at something
//! PREFIX:{turn:digest}:w        the word that came of it
//! PREFIX:{vault:digest}:v       a value that is no response, such as a certificate
//! PREFIX:{vault:digest}:l       there while one replica has it to itself
//! PREFIX:{limit:digest}:name:a  what a client has used under the shared limit of this name, by this algorithm
//! PREFIX:{alive}:replica        counts on while this replica holds leases; one hash tag, so that one command reads several
//! …:w                           the tokens of those of its leases that others wait for
//! ```

use std::time::Duration;

use larder_semantics::PrimaryKey;
use larder_store::Variant;

/// The key of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryKey(String);

impl EntryKey {
    pub(crate) fn primary(prefix: &str, name: Option<&str>, key: &PrimaryKey) -> Self {
        let digest = digest(key.text());
        Self(match name {
            Some(name) => format!("{prefix}:{name}:{{{digest}}}"),
            None => format!("{prefix}:{{{digest}}}"),
        })
    }

    pub(crate) fn variant(self, variant: &Variant) -> Self {
        Self(format!("{}:v:{}", self.0, digest(variant.secondary.text())))
    }

    /// The entry of this name, as it was found in Redis.
    pub(crate) fn found(name: String) -> Self {
        Self(name)
    }

    pub(crate) fn entry(&self) -> &str {
        &self.0
    }

    /// Where the head lies: what seals it knows it by this.
    pub(crate) fn head(&self) -> String {
        format!("{} m", self.0)
    }

    /// Where a body lies that is not in chunks.
    pub(crate) fn body(&self) -> String {
        format!("{} b", self.0)
    }

    pub(crate) fn lease(&self) -> String {
        format!("{}:l", self.0)
    }

    /// Where the failure of a fetch stands whose lease has this key.
    pub(crate) fn failure(lease: &str) -> String {
        format!("{}:f", lease.strip_suffix(":l").unwrap_or(lease))
    }

    pub(crate) fn chunk(&self, body_fetch: u64, number: u32) -> String {
        format!("{}:k:{body_fetch:x}:{number}", self.0)
    }

    pub(crate) fn slice(&self, body_fetch: u64, index: u64) -> String {
        format!("{}:c:{body_fetch:x}:{index}", self.0)
    }
}

/// The key of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelayKey(String);

impl RelayKey {
    /// Of the fetch whose lease has this key and this token.
    pub(crate) fn new(lease: &str, token: u64) -> Self {
        Self(format!("{}:r:{token:016x}", lease.strip_suffix(":l").unwrap_or(lease)))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Where its parts lie: what seals them knows them by this.
    pub(crate) fn head(&self) -> String {
        format!("{} h", self.0)
    }

    pub(crate) fn selecting(&self) -> String {
        format!("{} v", self.0)
    }

    pub(crate) fn piece(&self, number: u32) -> String {
        format!("{} {number}", self.0)
    }
}

/// The keys of something that replicas do in turn. Both have one hash tag, so that one command may touch both.
pub(crate) struct TurnKey(String);

impl TurnKey {
    pub(crate) fn new(prefix: &str, name: &str) -> Self {
        Self(format!("{prefix}:{{turn:{}}}", digest(name)))
    }

    pub(crate) fn turn(&self) -> String {
        format!("{}:t", self.0)
    }

    pub(crate) fn word(&self) -> String {
        format!("{}:w", self.0)
    }
}

/// The keys of a value that is no response.
pub(crate) struct VaultKey {
    value: String,
    lock: String,
}

impl VaultKey {
    pub(crate) fn new(prefix: &str, name: &str) -> Self {
        let digest = digest(name);
        Self { value: format!("{prefix}:{{vault:{digest}}}:v"), lock: format!("{prefix}:{{vault:{digest}}}:l") }
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    pub(crate) fn lock(&self) -> &str {
        &self.lock
    }
}

/// Where the usage of a client stands under shared limits. All of one client's limits have one hash tag.
pub(crate) struct LimitKey(String);

impl LimitKey {
    pub(crate) fn new(prefix: &str, limit: &str, client: &str) -> Self {
        Self(format!("{prefix}:{{limit:{}}}:{limit}", digest(client)))
    }

    pub(crate) fn of_algorithm(&self, word: &str) -> String {
        format!("{}:{word}", self.0)
    }
}

/// Where a replica counts on while it holds leases.
pub(crate) fn alive(prefix: &str, replica: u64) -> String {
    format!("{prefix}:{{alive}}:{replica:016x}")
}

/// Where the tokens of those of its leases stand that others wait for.
pub(crate) fn wanted(prefix: &str, replica: u64) -> String {
    format!("{}:w", alive(prefix, replica))
}

/// A fetch number as text that compares as the number does.
pub(crate) fn ordered(fetch: u64) -> String {
    format!("{fetch:016x}")
}

/// A duration as Redis takes it: whole milliseconds, one at least.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 2)
}

fn digest(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes());
    hash.as_bytes()[..16].iter().fold(String::with_capacity(32), |mut hex, byte| {
        hex.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
        hex.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        hex
    })
}
