//! A TCP proxy before a Redis that does to a connection what networks and broken servers do.

mod commands;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Result;
use crate::gate::Gate;
use commands::Commands;

/// The fault for connections, old and new, from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// They are closed as soon as they are made.
    Refused,
    /// They are accepted, and nothing ever comes back.
    Blackholed,
    /// Each answer comes so much later.
    Slow(Duration),
    /// They are reset in the middle of the next answer.
    ResetMidway,
    /// The next answer ends cleanly before its end.
    Truncated,
    /// Answers are bytes that mean nothing.
    Garbage,
}

/// A proxy before a server, without faults until it is told otherwise.
pub struct FaultProxy {
    address: SocketAddr,
    server: Arc<Mutex<SocketAddr>>,
    fault: watch::Sender<Fault>,
    holds: Holds,
    accepting: JoinHandle<()>,
}

/// Commands that wait: their name, how their key ends, and what they wait at.
type Holds = Arc<Mutex<Vec<(String, String, Gate)>>>;

impl FaultProxy {
    /// Starts one before this server.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let fault = watch::Sender::new(Fault::None);
        let faults = fault.subscribe();
        let holds = Holds::default();
        let held = Arc::clone(&holds);
        let server = Arc::new(Mutex::new(server));
        let leads_to = Arc::clone(&server);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = *leads_to.lock().expect("no one panics while holding it");
                tokio::spawn(connection(client, server, faults.clone(), Arc::clone(&held)));
            }
        });
        Ok(Self { address, server, fault, holds, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on commands of this name on a key that ends so wait at the gate, and with them all that come after on their connection.
    pub fn hold(&self, name: &str, key_end: &str) -> Gate {
        let gate = Gate::new(format!("{name} {key_end}"));
        self.holds.lock().expect("no one panics while holding it").push((name.to_owned(), key_end.to_owned(), gate.clone()));
        gate
    }

    /// From now on new connections lead to this server, as those to a name do that moves. Old ones stay where they are.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().expect("no one panics while holding it") = server;
    }

    /// Changes what happens.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(client: TcpStream, server: SocketAddr, mut faults: watch::Receiver<Fault>, holds: Holds) {
    if *faults.borrow_and_update() == Fault::Refused {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let client = Arc::new(client);
    let (mut from_server, mut to_server) = server.into_split();
    let requests = {
        let client = Arc::clone(&client);
        async move {
            let (mut bytes, mut commands) = (vec![0; 64 * 1024], Commands::default());
            while let Ok(count @ 1..) = read(&client, &mut bytes).await {
                commands.push(&bytes[..count]);
                while let Some(command) = commands.next() {
                    let at = |(name, key_end, _): &&(String, String, Gate)| command.is(name, key_end);
                    let gate = holds.lock().expect("no one panics while holding it").iter().find(at).map(|(_, _, gate)| gate.clone());
                    if let Some(gate) = gate {
                        gate.pass().await;
                    }
                    if to_server.write_all(&command.bytes).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let answers = answer(&client, &mut from_server, &mut faults);
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}

async fn read(client: &TcpStream, bytes: &mut [u8]) -> std::io::Result<usize> {
    loop {
        client.readable().await?;
        match client.try_read(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

/// Passes the server's bytes on, each piece under the fault of its moment.
async fn answer(client: &TcpStream, server: &mut (impl AsyncRead + Unpin), faults: &mut watch::Receiver<Fault>) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = tokio::select! {
            count = server.read(&mut bytes) => count.unwrap_or(0),
            changed = faults.changed() => {
                // A connection that was well until now is cut like those that are made.
                if changed.is_err() || *faults.borrow() == Fault::Refused {
                    return;
                }
                continue;
            }
        };
        if count == 0 {
            return;
        }
        let piece = &bytes[..count];
        let fault = *faults.borrow();
        let written = match fault {
            Fault::None => write(client, piece).await,
            Fault::Refused => return,
            Fault::Blackholed => Ok(()),
            Fault::Slow(delay) => {
                tokio::time::sleep(delay).await;
                write(client, piece).await
            }
            Fault::ResetMidway => {
                let _ = write(client, &piece[..count / 2]).await;
                // Closed with zero linger, a socket sends a reset instead of an end.
                let _ = socket2::SockRef::from(client).set_linger(Some(Duration::ZERO));
                return;
            }
            Fault::Truncated => {
                let _ = write(client, &piece[..count / 2]).await;
                return;
            }
            Fault::Garbage => write(client, &b"\x00\xff!not-a-protocol\r\n".repeat(count / 18 + 1)).await,
        };
        if written.is_err() {
            return;
        }
    }
}

async fn write(client: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        client.writable().await?;
        match client.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
