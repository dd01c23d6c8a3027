//! An entry of the log, as it is read.

use larder_store::Invalidation;
use redis::Value;

use crate::journal::decode;

/// The largest number of an entry: beyond, a position in the ledger has no room.
const MAX_NUMBER: u64 = (1 << 41) - 1;

/// How far numbers leap at most, years in milliseconds. What lies beyond is left to a look, which knows the server's time.
const MAX_LEAP: u64 = 1 << 36;

/// An entry of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) invalidation: Invalidation,
    /// The messages on the channel that it stands for.
    pub(crate) messages: Vec<u64>,
}

impl Entry {
    /// An invalidation that cannot be read may have meant anything, so it means everything. One without a number of the log is none: the gap will show.
    pub(crate) fn read(id: &[u8], invalidation: &[u8], messages: &[u8]) -> Option<Self> {
        let (number, sequence) = std::str::from_utf8(id).ok()?.split_once('-')?;
        let number = number.parse().ok().filter(|number| *number <= MAX_NUMBER && sequence == "0")?;
        let messages = messages.chunks_exact(size_of::<u64>()).filter_map(|mark| mark.try_into().ok().map(u64::from_le_bytes)).collect();
        Some(Self { number, invalidation: decode(invalidation), messages })
    }

    /// The entries of an answer to `XREAD` of one stream: `[[name, [[id, [field, value, …]], …]]]`, or nil; up to one that is not the
    /// log's own, if the last one before them was `applied`.
    pub(crate) fn of_stream(answer: Value, applied: u64) -> Vec<Self> {
        let stream = items(answer).into_iter().next().map(items).unwrap_or_default();
        let entries = stream.into_iter().nth(1).map(items).unwrap_or_default();
        let entry = |value| {
            let mut parts = items(value).into_iter();
            let id = text(parts.next()?)?;
            let fields: Vec<Vec<u8>> = parts.next().map(items).unwrap_or_default().into_iter().filter_map(text).collect();
            let field = |name: &[u8]| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_slice());
            Self::read(&id, field(b"i")?, field(b"m").unwrap_or_default()).filter(|entry| entry.number <= applied + MAX_LEAP)
        };
        entries.into_iter().map_while(entry).collect()
    }
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        // RESP3 answers with a map of streams.
        Value::Map(pairs) => pairs.into_iter().map(|(name, entries)| Value::Array(vec![name, entries])).collect(),
        _ => Vec::new(),
    }
}

fn text(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn stream(entries: &[(&str, &[&str])]) -> Value {
        let entry =
            |(id, fields): &(&str, &[&str])| Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())]);
        Value::Array(vec![Value::Array(vec![bulk("s"), Value::Array(entries.iter().map(entry).collect())])])
    }

    #[test]
    fn entries_are_read_up_to_one_that_is_not_the_logs_own() {
        let own: &[&str] = &["i", r#"{"targets":["all"]}"#];
        let numbers = |answer| Entry::of_stream(answer, 6).iter().map(|entry| entry.number).collect::<Vec<_>>();
        assert_eq!(numbers(stream(&[("7-0", own), ("8-0", own)])), [7, 8]);
        for strange in [("8-1", own), ("8-0", &["foo", "bar"]), ("68719476743-0", own), ("x-0", own), ("8", own)] {
            assert_eq!(numbers(stream(&[("7-0", own), strange, ("9-0", own)])), [7], "{strange:?}");
        }
        assert_eq!(numbers(Value::Nil), [0; 0]);
    }

    #[test]
    fn an_entry_says_which_messages_it_stands_for() {
        let read = |messages: &[u8]| Entry::read(b"7-0", b"{}", messages).map(|entry| entry.messages);
        assert_eq!(read(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]), Some(vec![1, 2]));
        assert_eq!(read(b""), Some(vec![]));
    }
}
