//! The client's SETTINGS (RFC 9113 §6.5), as far as answers written past the library depend on them.

use std::collections::VecDeque;

/// Settings (RFC 9113 §6.5.2).
const HEADER_TABLE_SIZE: u16 = 0x1;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
/// Bytes of one.
const SETTING: usize = 6;

const FIRST_TABLE: u32 = 4096;
const FIRST_WINDOW: u32 = 65_535;
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// "The values in the SETTINGS frame MUST be processed in the order they appear […]. Once all values have been processed, the recipient MUST
/// immediately emit a SETTINGS frame with the ACK flag set. Upon receiving a SETTINGS frame with the ACK flag set, the sender of the altered
/// settings can rely on the values" (§6.5.3). The library acknowledges, some time after a frame was seen here. Until then the client may hold to
/// either value.
#[derive(Debug)]
pub(super) struct PeerSettings {
    /// As acknowledged.
    window: u32,
    /// Of frames that the library has not acknowledged yet.
    unacknowledged: VecDeque<Received>,
    /// The client's decoder has the table that it last said.
    table: u32,
    /// Frames so far.
    is_begun: bool,
    /// The client has made its decoder's table smaller. The first block of fields behind the acknowledgement has to begin by saying so (RFC 7541
    /// §4.2), which the library's does.
    waits_for_block: bool,
}

#[derive(Clone, Copy, Debug)]
struct Received {
    window: Option<u32>,
    shrinks_table: bool,
}

impl PeerSettings {
    pub(super) fn new() -> Self {
        Self { window: FIRST_WINDOW, unacknowledged: VecDeque::new(), table: FIRST_TABLE, is_begun: false, waits_for_block: false }
    }

    /// A frame with these settings. Whether the library takes it.
    pub(super) fn received(&mut self, payload: &[u8]) -> bool {
        let mut received = Received { window: None, shrinks_table: false };
        for setting in payload.chunks_exact(SETTING) {
            let &[a, b, c, d, e, f] = setting else { continue };
            let value = u32::from_be_bytes([c, d, e, f]);
            match u16::from_be_bytes([a, b]) {
                INITIAL_WINDOW_SIZE if value > MAX_WINDOW => return false,
                INITIAL_WINDOW_SIZE => received.window = Some(value),
                HEADER_TABLE_SIZE => {
                    received.shrinks_table |= value < self.table;
                    self.table = value;
                }
                _ => {}
            }
        }
        self.is_begun = true;
        self.waits_for_block |= received.shrinks_table;
        self.unacknowledged.push_back(received);
        true
    }

    /// The library has acknowledged a frame.
    pub(super) fn acknowledged(&mut self) {
        let Some(received) = self.unacknowledged.pop_front() else { return };
        self.window = received.window.unwrap_or(self.window);
    }

    /// The library has sent a block of fields.
    pub(super) fn block_sent(&mut self) {
        self.waits_for_block &= self.unacknowledged.iter().any(|received| received.shrinks_table);
    }

    /// Whether a block of fields may be sent that does not speak of the table's size.
    pub(super) fn allow_block(&self) -> bool {
        self.is_begun && !self.waits_for_block
    }

    /// Bytes that a new stream may send, whichever value the client holds to.
    pub(super) fn window(&self) -> u32 {
        let received = self.unacknowledged.iter().filter_map(|received| received.window);
        received.fold(self.window, u32::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(settings: &[(u16, u32)]) -> Vec<u8> {
        settings.iter().flat_map(|(number, value)| [&number.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
    }

    #[test]
    fn rfc9113_6_5_3_a_larger_window_counts_once_it_is_acknowledged_and_a_smaller_one_at_once() {
        let mut settings = PeerSettings::new();
        assert!(settings.received(&frame(&[(4, 1 << 20)])));
        assert_eq!(settings.window(), FIRST_WINDOW);
        settings.acknowledged();
        assert_eq!(settings.window(), 1 << 20);
        assert!(settings.received(&frame(&[(4, 100)])) && settings.received(&frame(&[(4, 200), (4, 300)])));
        assert_eq!(settings.window(), 100);
        settings.acknowledged();
        assert_eq!(settings.window(), 100);
        settings.acknowledged();
        assert_eq!(settings.window(), 300, "the last value of a frame");
        assert!(!settings.received(&frame(&[(4, 1 << 31)])));
    }

    #[test]
    fn rfc7541_4_2_a_smaller_table_waits_for_the_librarys_block() {
        let mut settings = PeerSettings::new();
        assert!(!settings.allow_block(), "a connection begins with settings");
        assert!(settings.received(&frame(&[(1, 65_536)])) && settings.allow_block());
        assert!(settings.received(&frame(&[(1, 0), (1, 65_536)])), "the smallest of them has to be said");
        assert!(!settings.allow_block());
        settings.acknowledged();
        settings.block_sent();
        assert!(!settings.allow_block(), "a block before the acknowledgement does not say it");
        settings.acknowledged();
        assert!(!settings.allow_block());
        settings.block_sent();
        assert!(settings.allow_block());
    }
}
