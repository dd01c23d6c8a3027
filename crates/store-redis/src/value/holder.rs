//! The value of a lease's key: who holds it.

use larder_store::Position;

/// The holder of a lease, as its key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) token: u64,
    pub(crate) position: Position,
    /// `None` where it is of an earlier version, which shows no sign of life.
    pub(crate) replica: Option<u64>,
    /// Whether its answer can be read while it arrives.
    pub(crate) relays: bool,
}

/// The holder of a lease: `TOKEN NUMBER REPLICA`, and `r` where its answer is relayed. One that says nothing of its position, as earlier versions wrote it, is taken to be current.
pub(crate) fn holder(value: &[u8]) -> Option<Holder> {
    let mut words = std::str::from_utf8(value).ok()?.split(' ');
    let token = words.next()?.parse().ok()?;
    let position = words.next().map_or(Some(Position(u64::MAX)), |number| number.parse().ok().map(Position::of_log))?;
    let replica = words.next().map(str::parse).transpose().ok()?;
    Some(Holder { token, position, replica, relays: words.next() == Some("r") })
}
