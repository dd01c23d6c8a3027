//! The file `wear`: how much has been written to the directory since it was first used, by whatever process. Flash bears so many bytes and no more.
//!
//! ```text
//! seconds since 1970 of the first use · bytes written · of these, bytes that were written on from reclaimed segments      (text, in one line)
//! ```
//!
//! It is brought up to date whenever a segment is begun, so a process that is killed leaves out the bytes of one segment.

use std::io;

use crate::volume::Volume;

/// Its name.
pub(crate) const FILE: &str = "wear";

/// See the module's page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wear {
    /// In seconds since 1970.
    pub(crate) since: u32,
    pub(crate) written: u64,
    pub(crate) moved: u64,
}

impl Wear {
    /// As earlier processes left it. One that cannot be read begins anew.
    pub(super) fn read(volume: &dyn Volume, now: u32) -> Self {
        let known = volume.get(FILE).ok().flatten().and_then(|bytes| Self::parse(&bytes));
        known.unwrap_or(Self { since: now, ..Self::default() })
    }

    /// With what this process has written.
    pub(super) fn with(self, written: u64, moved: u64) -> Self {
        Self { written: self.written.saturating_add(written), moved: self.moved.saturating_add(moved), ..self }
    }

    pub(super) fn write(&self, volume: &dyn Volume) -> io::Result<()> {
        volume.put(FILE, format!("{} {} {}\n", self.since, self.written, self.moved).as_bytes())
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut numbers = std::str::from_utf8(bytes).ok()?.split_ascii_whitespace();
        let since = numbers.next()?.parse().ok()?;
        let (written, moved) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        Some(Self { since, written, moved }).filter(|wear: &Self| wear.moved <= wear.written && numbers.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wear_is_read_as_it_was_written_and_rubbish_is_none() {
        let wear = Wear { since: 5, written: u64::MAX, moved: 7 }.with(3, 1);
        assert_eq!(Wear::parse(b"5 18446744073709551615 8\n"), Some(wear));
        for rubbish in ["", "5", "5 7", "5 7 8", "5 9 8 1", "x 9 8", "5 -9 8"] {
            assert_eq!(Wear::parse(rubbish.as_bytes()), None, "{rubbish}");
        }
    }
}
