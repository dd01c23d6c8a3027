//! The note beside a body in Redis that says how it is stored: no note for an uncompressed body, `zstd LENGTH` with the bytes of the stored form, or
//! `chunks LENGTH…` with the bytes of each chunk's value. The note belongs to the body, so a 304, which replaces the head, need not know it.

/// How a body is stored, unless it is one uncompressed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Compressed by zstd, with the bytes of the stored form.
    Zstd { length: u64 },
    /// In chunks, with the bytes of each chunk's value.
    Chunks { lengths: Vec<u64> },
}

impl Note {
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Zstd { length } => format!("zstd {length}"),
            Self::Chunks { lengths } => lengths.iter().fold("chunks".to_owned(), |text, length| text + " " + &length.to_string()),
        }
    }

    /// Reads a note; `None` if its form is not known.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split(' ');
        let form = words.next()?;
        let lengths = words.map(|word| word.parse().ok()).collect::<Option<Vec<u64>>>()?;
        match (form, &lengths[..]) {
            ("zstd", [length]) => Some(Self::Zstd { length: *length }),
            ("chunks", [_, ..]) => Some(Self::Chunks { lengths }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_written_and_unknown_notes_do_not() {
        for (text, note) in [("zstd 29", Note::Zstd { length: 29 }), ("chunks 262180 31", Note::Chunks { lengths: vec![262_180, 31] })] {
            assert_eq!((Note::parse(text.as_bytes()), note.to_text().as_str()), (Some(note.clone()), text));
        }
        for other in ["br 28", "zstd", "zstd 1 2", "zstd x", "chunks", "chunks ", "chunks 1  2", "chunks 1 -2"] {
            assert_eq!(Note::parse(other.as_bytes()), None, "{other}");
        }
    }
}
