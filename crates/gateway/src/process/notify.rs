//! Tells the service manager how the process stands: sd_notify(3), for units with `Type=notify`.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends one message, such as `READY=1`. Nothing happens where no manager listens.
pub(crate) fn tell(message: &str) {
    if let Some(manager) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&manager, message)
    {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

/// A path, or an abstract name after `@`.
fn send(manager: &OsString, message: &str) -> std::io::Result<()> {
    let address = match manager.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(manager)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}
