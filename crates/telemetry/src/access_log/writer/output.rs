//! The output of a log, which may take a part of what it is given: a disk that fills up does.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

/// Until an outage has a line among the events again: a disk that is nearly full fails many times.
const QUIET: Duration = Duration::from_secs(60);

pub(super) struct Output<W> {
    inner: W,
    /// Whether it ends within a line.
    is_torn: bool,
    outage: Outage,
}

impl<W: Write> Output<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, is_torn: false, outage: Outage::default() }
    }

    /// Writes lines, and tells of failures among the events. Returns how many of these `count` lines were not written whole.
    pub(super) fn write(&mut self, lines: &[u8], count: u64, now: Instant) -> u64 {
        let mut taken = 0;
        let written = self.put(lines, &mut taken);
        let (told, lost) = match &written {
            Ok(()) => (self.outage.ends(), 0),
            // What was taken may be lost in a buffer.
            Err(_) if taken == lines.len() => (self.outage.begins(now), count),
            Err(_) => (self.outage.begins(now), count.saturating_sub(memchr::memchr_iter(b'\n', &lines[..taken]).count() as u64)),
        };
        match written {
            Ok(()) if told => {
                tracing::info!("the access log can be written again; larder_access_log_dropped_total has how many lines are missing")
            }
            Err(error) if told => tracing::error!("the access log cannot be written, and its lines are dropped meanwhile: {error}"),
            _ => {}
        }
        lost
    }

    fn put(&mut self, lines: &[u8], taken: &mut usize) -> io::Result<()> {
        if self.is_torn {
            // The next line must not be lost in the rest of another.
            self.inner.write_all(b"\n")?;
            self.is_torn = false;
        }
        while *taken < lines.len() {
            match self.inner.write(&lines[*taken..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(more) => {
                    *taken += more;
                    self.is_torn = lines[..*taken].last() != Some(&b'\n');
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.inner.flush()
    }
}

/// Whether the output fails, as far as it was told.
#[derive(Debug, Default)]
struct Outage {
    is_told: bool,
    told_at: Option<Instant>,
}

impl Outage {
    /// Whether a failure is to be told.
    fn begins(&mut self, now: Instant) -> bool {
        let was_told_lately = self.told_at.is_some_and(|at| now.saturating_duration_since(at) < QUIET);
        if self.is_told || was_told_lately {
            return false;
        }
        (self.is_told, self.told_at) = (true, Some(now));
        true
    }

    /// Whether its end is to be told.
    fn ends(&mut self) -> bool {
        std::mem::take(&mut self.is_told)
    }
}

#[cfg(test)]
mod tests {
    use larder_tower::clock::monotonic;

    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_has_torn_does_not_take_the_next_one_with_it() {
        let now = monotonic();
        for (room, lost, expected) in
            [(0, 3, "dd\n"), (2, 2, "a\ndd\n"), (4, 2, "a\nbb\ndd\n"), (5, 1, "a\nbb\ndd\n"), (9, 0, "a\nbb\ncc\ndd\n")]
        {
            let mut output = Output::new(Disk { bytes: Vec::new(), room });
            assert_eq!(output.write(b"a\nbb\ncc\n", 3, now), lost, "{room}");
            output.inner.room = 0;
            assert_eq!(output.write(b"x\n", 1, now), 1);
            output.inner.room = 9;
            assert_eq!(output.write(b"dd\n", 1, now), 0);
            assert_eq!(String::from_utf8_lossy(&output.inner.bytes), expected, "{room}");
        }
    }

    #[test]
    fn an_outage_is_told_once_with_its_end_and_no_more_than_once_a_minute() {
        let (mut outage, start) = (Outage::default(), monotonic());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(
            [outage.begins(at(0)), outage.begins(at(1)), outage.begins(at(99)), outage.ends(), outage.ends()],
            [true, false, false, true, false]
        );
        assert!(outage.begins(at(100)) && outage.ends());
        assert_eq!([outage.begins(at(101)), outage.ends()], [false, false], "it comes and goes");
        assert!(outage.begins(at(161)));
    }
}
