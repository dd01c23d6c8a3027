//! A client's bytes, cut into the commands that they are.

/// Commands that have come so far, and the beginning of the next.
#[derive(Default)]
pub(super) struct Commands(Vec<u8>);

/// One command as it was sent.
pub(super) struct Command {
    pub(super) bytes: Vec<u8>,
    words: Vec<Vec<u8>>,
}

impl Command {
    /// Whether it is of this name and its key ends so.
    pub(super) fn is(&self, name: &str, key_end: &str) -> bool {
        matches!(&self.words[..], [own, key, ..] if own == name.as_bytes() && key.ends_with(key_end.as_bytes()))
    }
}

impl Commands {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next command that is there whole. What is none goes through as it came.
    pub(super) fn next(&mut self) -> Option<Command> {
        let (words, length) = match self.0.first()? {
            b'*' => words(&self.0)?,
            _ => (Vec::new(), self.0.len()),
        };
        let bytes = self.0.drain(..length).collect();
        Some(Command { bytes, words })
    }
}

/// The words of an array of bulk strings, and the bytes it takes.
fn words(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (count, mut at) = number(bytes, 1)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, start) = number(bytes, at + 1)?;
        words.push(bytes.get(start..start + length)?.to_vec());
        at = start + length + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

/// The number that begins here, and where the line after it does.
fn number(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(start..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?, start + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_out_whole_however_their_bytes_come_in() {
        let sent = b"*2\r\n$3\r\nGET\r\n$4\r\na:k1\r\n*1\r\n$4\r\nPING\r\n";
        let mut commands = Commands::default();
        let mut seen = Vec::new();
        for byte in sent {
            commands.push(&[*byte]);
            seen.extend(commands.next());
        }
        assert_eq!(seen.iter().map(|command| command.is("GET", ":k1")).collect::<Vec<_>>(), [true, false]);
        assert_eq!(seen.iter().flat_map(|command| command.bytes.clone()).collect::<Vec<_>>(), sent);
    }
}
