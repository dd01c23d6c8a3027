//! Sockets that somebody else has bound: systemd (socket activation, sd_listen_fds(3)), or the process that this one replaces.

use std::os::unix::net::UnixDatagram;

use listenfd::ListenFd;

use crate::server::ListeningSocket;

/// The message of a process to the one that replaces it: the keys of the sockets, one a line, in the order of their descriptors.
pub(crate) const SOCKETS: &str = "LARDER_SOCKETS";
/// The key of the socket over which the new process says that it serves.
pub(crate) const SUCCESSION: &str = "succession";
/// Those of systemd, parted by colons.
const NAMES: &str = "LISTEN_FDNAMES";

/// Sockets that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    sockets: Vec<(String, ListeningSocket)>,
    predecessor: Option<UnixDatagram>,
}

/// The key of a listener: its address, and which of those with the same address it is.
pub(crate) fn key(address: &str, occurrence: usize) -> String {
    format!("{address}#{occurrence}")
}

impl Inherited {
    /// From this process's environment. To be called before there are threads, which might read the environment meanwhile.
    pub(crate) fn from_env() -> Self {
        let mut descriptors = ListenFd::from_env();
        let of_larder = std::env::var(SOCKETS).ok().map(|keys| keys.lines().map(str::to_owned).collect::<Vec<_>>());
        let of_systemd = || {
            let names = std::env::var(NAMES).unwrap_or_default();
            names.split(':').map(|name| key(&format!("systemd:{name}"), 0)).collect()
        };
        let mut keys = of_larder.unwrap_or_else(of_systemd).into_iter();
        let mut inherited = Self::default();
        for descriptor in 0..descriptors.len() {
            let key = keys.next().unwrap_or_default();
            // All of them are taken: one that is left would be open for as long as the process lives.
            if let Ok(Some(listener)) = descriptors.take_tcp_listener(descriptor) {
                inherited.sockets.push((key, ListeningSocket::Tcp(listener)));
            } else if let Ok(Some(listener)) = descriptors.take_unix_listener(descriptor) {
                inherited.sockets.push((key, ListeningSocket::Unix(listener)));
            } else if let Ok(Some(socket)) = descriptors.take_unix_datagram(descriptor)
                && key == SUCCESSION
            {
                inherited.predecessor = Some(socket);
            }
        }
        inherited
    }

    /// The sockets with this key.
    pub(crate) fn take(&mut self, key: &str) -> Vec<ListeningSocket> {
        let (taken, left) = std::mem::take(&mut self.sockets).into_iter().partition(|(known, _)| known == key);
        self.sockets = left;
        let taken: Vec<(String, ListeningSocket)> = taken;
        taken.into_iter().map(|(_, socket)| socket).collect()
    }

    /// Whether another process serves until this one does.
    pub(crate) fn succeeds_another(&self) -> bool {
        self.predecessor.is_some()
    }

    /// All listeners have what they need: what is left is closed, and the process that this one replaces is told that it may go.
    pub(crate) fn serving(self) {
        if let Some(predecessor) = self.predecessor {
            // One that has ended meanwhile needs no word.
            let _ = predecessor.send(b"serving");
        }
    }
}
