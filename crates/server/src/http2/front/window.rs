//! The client's window of the connection (RFC 9113 §6.9.1), shared between the library and the answers written past it.
//!
//! The library is told of a part of it only, so both together never send more than the client takes. The part that is kept here is at most half,
//! and the library gets it as soon as it runs short: a client may wait with its next WINDOW_UPDATE until everything is used up.

/// The window with which a connection begins, and the highest there is (§6.9.1, §6.9.2).
const FIRST: i64 = 65_535;
const MAX: i64 = (1 << 31) - 1;
/// Below that the library gets everything.
const LOW: i64 = 16 * 1024;

/// What is left of the window.
#[derive(Debug)]
pub(super) struct Windows {
    /// As the library reckons it.
    library: i64,
    ours: i64,
}

/// An update that takes the window over its limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl Windows {
    pub(super) fn new() -> Self {
        Self { library: FIRST, ours: 0 }
    }

    /// Bytes that may be sent past the library.
    pub(super) fn ours(&self) -> i64 {
        self.ours
    }

    /// So many bytes were sent past the library.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.ours -= bytes as i64;
    }

    /// The client takes so many bytes more. The part of it that the library is to be told of.
    pub(super) fn update(&mut self, increment: u32) -> Result<u32, Overflow> {
        let increment = i64::from(increment);
        let whole = self.library + self.ours + increment;
        if whole > MAX {
            return Err(Overflow);
        }
        let kept = (whole / 2 - self.ours).clamp(0, increment);
        let kept = kept.min((self.library + increment - LOW).max(0));
        self.ours += kept;
        self.library += increment - kept;
        Ok((increment - kept) as u32)
    }

    /// The library has sent so many bytes. What it is to be told of in return, which is nothing as long as it has enough.
    pub(super) fn sent_by_library(&mut self, bytes: u32) -> u32 {
        self.library -= i64::from(bytes);
        if self.library >= LOW || self.ours == 0 {
            return 0;
        }
        let given = std::mem::take(&mut self.ours);
        self.library += given;
        given as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_of_what_a_client_adds_is_kept() {
        let mut windows = Windows::new();
        assert_eq!(windows.update((1 << 20) - 65_535), Ok((1 << 19) - 65_535));
        assert_eq!((windows.ours(), windows.library), (1 << 19, 1 << 19));
        windows.sent(1000);
        assert_eq!(windows.update(1000), Ok(0), "it gives back what was sent here");
        assert_eq!(windows.sent_by_library(1000), 0);
        assert_eq!(windows.update(1000), Ok(1000), "or what the library has sent");
    }

    #[test]
    fn a_library_that_runs_short_gets_everything() {
        let mut windows = Windows::new();
        assert_eq!(windows.update(65_535), Ok(0));
        assert_eq!(windows.sent_by_library(40_000), 0);
        assert_eq!(windows.sent_by_library(10_000), 65_535);
        assert_eq!((windows.ours(), windows.library), (0, 65_535 * 2 - 50_000));
    }

    #[test]
    fn rfc9113_6_9_1_no_window_is_over_2_to_the_31_minus_1() {
        let mut windows = Windows::new();
        assert_eq!(windows.update(u32::MAX >> 1), Err(Overflow));
        assert!(windows.update((u32::MAX >> 1) - 65_535).is_ok());
        assert_eq!(windows.update(1), Err(Overflow));
    }

    proptest! {
        /// Whatever is sent and added: nothing is lost, nothing made up, and nothing kept while the library is short.
        #[test]
        fn both_parts_are_the_clients_window(steps in prop::collection::vec((0..3_u8, 1..200_000_u32), 0..100)) {
            let (mut windows, mut window, mut library) = (Windows::new(), FIRST, FIRST);
            for (step, bytes) in steps {
                let bytes = i64::from(bytes);
                match step {
                    0 => {
                        let told = windows.update(bytes as u32).expect("small ones");
                        (window, library) = (window + bytes, library + i64::from(told));
                    }
                    1 => {
                        let sent = bytes.min(library);
                        let told = windows.sent_by_library(sent as u32);
                        (window, library) = (window - sent, library - sent + i64::from(told));
                    }
                    _ => {
                        let sent = bytes.min(windows.ours());
                        windows.sent(sent as usize);
                        window -= sent;
                    }
                }
                prop_assert_eq!(windows.library, library);
                prop_assert_eq!(windows.ours() + library, window);
                prop_assert!(windows.ours() >= 0 && (windows.ours() == 0 || library >= LOW));
            }
        }
    }
}
