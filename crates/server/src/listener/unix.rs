//! Unix sockets: files that only some users of the machine may connect to.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use crate::listener::bind::BACKLOG;

/// Listens at this path. The file appears with its permissions: it is made beside its place and moved there. One that a process has left
/// behind is replaced, one that is listened on is not.
pub(crate) fn listen_unix(path: &Path, mode: u32, group: Option<u32>) -> io::Result<UnixListener> {
    if is_in_use(path)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&beside)?)?;
    let placed = (|| {
        std::fs::set_permissions(&beside, PermissionsExt::from_mode(mode))?;
        if group.is_some() {
            chown(&beside, None, group)?;
        }
        socket.listen(BACKLOG)?;
        std::fs::rename(&beside, path)
    })();
    if let Err(error) = placed {
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    UnixListener::from_std(socket.into())
}

/// Whether somebody listens there. What is no socket is somebody's file, and an error.
fn is_in_use(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => Ok(UnixStream::connect(path).is_ok()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_replaced_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("larder-unix-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket");
        let first = listen_unix(&path, 0o640, None).expect("listens");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
        assert_eq!(listen_unix(&path, 0o640, None).expect_err("in use").kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists(), "it was left behind");
        drop(listen_unix(&path, 0o600, None).expect("listens"));
        std::fs::remove_file(&path).expect("a file");
        std::fs::write(&path, "kept").expect("a file");
        assert_eq!(listen_unix(&path, 0o600, None).expect_err("no socket").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).expect("a file"), b"kept");
        std::fs::remove_dir_all(&folder).expect("a folder");
    }
}
