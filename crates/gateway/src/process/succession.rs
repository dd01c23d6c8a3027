//! An upgrade without a refused connection: a new process starts on the same sockets, and this one drains once that serves.
//!
//! 1. SIGUSR2: the same command line is started again, from the file that is there now, with handles of all listening sockets.
//! 2. The new process takes them by their addresses, binds what is new in its configuration, and says when it serves.
//! 3. This process stops accepting and ends as after SIGTERM. Connections that wait to be accepted are the sockets', so the new process has them.
//!
//! A new process that ends before it serves, or does not serve within a minute, changes nothing.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::net::UnixDatagram;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::inherited::{SOCKETS, SUCCESSION, key};
use super::notify;
use crate::server::Server;

/// The first descriptor that is handed on (SD_LISTEN_FDS_START).
const FIRST: i32 = 3;
/// How long a new process may take until it serves.
const MAX_START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Handles of all listening sockets, by their keys. As long as it is kept, the sockets take connections.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    addresses: Vec<String>,
    sockets: Vec<(String, OwnedFd)>,
}

impl Handover {
    /// The key of the next listener with this address.
    pub(crate) fn next_key(&mut self, address: &str) -> String {
        let occurrence = self.addresses.iter().filter(|known| *known == address).count();
        self.addresses.push(address.to_owned());
        key(address, occurrence)
    }

    /// Keeps handles of a listener's sockets.
    pub(crate) fn keep(&mut self, key: &str, server: &Server) -> io::Result<()> {
        self.sockets.extend(server.handles()?.into_iter().map(|handle| (key.to_owned(), handle)));
        Ok(())
    }

    /// Starts a process on these sockets, and waits until it serves. Whether it does; otherwise the log has been told why not.
    pub(crate) async fn hand_over(&self) -> bool {
        let started = self.start().inspect_err(|error| error!("no new process can be started ({error}); this one goes on"));
        let Ok(successor) = started else { return false };
        let id = successor.id;
        info!("process {id} was started to take over");
        match successor.serves().await {
            Ok(()) => {
                info!("process {id} has taken over");
                notify::tell(&format!("MAINPID={id}"));
                true
            }
            Err(reason) => {
                error!("the new process {reason} before it served; this one goes on");
                false
            }
        }
    }

    fn start(&self) -> io::Result<Successor> {
        let mut arguments = std::env::args_os();
        let program = arguments.next().unwrap_or_else(|| OsString::from("larder"));
        let (own, theirs) = std::os::unix::net::UnixDatagram::pair()?;
        own.set_nonblocking(true)?;
        let mut keys: Vec<&str> = Vec::new();
        let mut mappings = Vec::new();
        let handles = self.sockets.iter().map(|(key, handle)| (key.as_str(), handle.try_clone()));
        for (child_fd, (key, handle)) in (FIRST..).zip(handles.chain([(SUCCESSION, Ok(OwnedFd::from(theirs)))])) {
            keys.push(key);
            mappings.push(FdMapping { parent_fd: handle?, child_fd });
        }
        let mut command = Command::new(program);
        command.args(arguments).env(SOCKETS, keys.join("\n")).env("LISTEN_FDS", keys.len().to_string());
        command.env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
        command.fd_mappings(mappings).map_err(|_| io::Error::other("two sockets would have one descriptor"))?;
        let child = command.spawn()?;
        let (id, child, (tell, ended)) = (child.id(), Arc::new(Mutex::new(child)), oneshot::channel());
        let watched = Arc::clone(&child);
        std::thread::spawn(move || watch(&watched, tell));
        Ok(Successor { id, child, ended, word: UnixDatagram::from_std(own)? })
    }
}

/// A process that was started and does not serve yet. It is killed if nobody waits for it any more.
struct Successor {
    id: u32,
    child: Arc<Mutex<Child>>,
    ended: oneshot::Receiver<ExitStatus>,
    word: UnixDatagram,
}

impl Successor {
    async fn serves(mut self) -> Result<(), String> {
        let mut word = [0; 16];
        tokio::select! {
            received = self.word.recv(&mut word) => {
                received.map_err(|error| format!("cannot be heard ({error})"))?;
                self.id = 0;
                Ok(())
            }
            ended = &mut self.ended => Err(ended.map_or_else(|_| "ended".to_owned(), |status| format!("ended with {status}"))),
            () = tokio::time::sleep(MAX_START) => Err(format!("took more than {} s", MAX_START.as_secs())),
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // It serves, and is on its own.
        if self.id == 0 {
            return;
        }
        // At once, since this process may be about to end. Its id is no other's as long as it was not waited for, which takes the lock.
        if let Ok(mut child) = self.child.lock()
            && matches!(child.try_wait(), Ok(None))
        {
            // It may have ended by now: then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for the end of a process.
fn watch(child: &Mutex<Child>, tell: oneshot::Sender<ExitStatus>) {
    loop {
        let Ok(ended) = child.lock().map(|mut child| child.try_wait()) else { return };
        match ended {
            Ok(None) => std::thread::sleep(LOOK),
            Ok(Some(status)) => {
                let _ = tell.send(status);
                return;
            }
            Err(_) => return,
        }
    }
}
