//! The readers of values from Redis, as functions of bytes: for the fuzz targets in `fuzz/`, and no part of the library's interface.

use bytes::Bytes;
use larder_redis_options::{SealKey, SealKeys};
use redis::Value;

use crate::entry::read_failure;
use crate::journal::{decode, encode, within};
use crate::log::{Entry, Registry};
use crate::value::{Note, holder, is_sealed, open, unpack};

/// The largest body that [`values`] announces, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// Bytes of a log entry that [`log_entries`] allows.
const MAX_ENTRY: usize = 64;

/// Fields of an entry: two bytes that announce a length, and a value that is read as each of them in turn.
pub fn values(data: &[u8]) {
    let Some((length, value)) = data.split_first_chunk::<2>() else { return };
    let length = u64::from(u16::from_le_bytes(*length)).min(MAX_LENGTH);
    if let Some(note) = Note::parse(value) {
        assert_eq!(Note::parse(note.to_text().as_bytes()), Some(note));
    }
    if let Some(segments) = unpack(&[Bytes::copy_from_slice(value)], length) {
        assert_eq!(segments.iter().map(|segment| segment.len() as u64).sum::<u64>(), length);
    }
    let _ = (holder(value), read_failure(value));
    let key = SealKey::parse(&"00".repeat(32)).expect("32 bytes");
    let opened = open(Some(&SealKeys { key, old_keys: Vec::new() }), "place", Bytes::copy_from_slice(value));
    assert!(opened.is_none() || is_sealed(value));
}

/// Entries of the log, and the registry beside it: lines of identifier, invalidation and messages, as `XREAD` answers and one by one.
pub fn log_entries(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').take(48).collect();
    let bulk = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
    let entries = lines.chunks(3).map(|lines| {
        let [id, invalidation, messages] = [0, 1, 2].map(|at| lines.get(at).copied().unwrap_or_default());
        let read = decode(invalidation);
        assert_eq!(decode(&encode(&read)), read);
        assert!(encode(&within(read, MAX_ENTRY)).len() <= MAX_ENTRY, "an entry stays too long");
        let _ = Entry::read(id, invalidation, messages);
        Value::Array(vec![bulk(id), Value::Array(vec![bulk(b"i"), bulk(invalidation), bulk(b"m"), bulk(messages)])])
    });
    let stream = Value::Array(vec![Value::Array(vec![bulk(b"s"), Value::Array(entries.collect())])]);
    assert!(Entry::of_stream(stream, 0).iter().all(|entry| entry.number <= 1 << 36));
    let fields: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let registry = Registry::read(9_000, &fields);
    let tally = registry.tally(7, "a", 7, &Registry::default(), 60_000);
    assert!(tally.applied <= tally.replicas && tally.unknown < tally.replicas);
}
