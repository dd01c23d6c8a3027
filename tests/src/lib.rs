//! Backends that were not written here, as real processes on free ports: [json-server](https://github.com/typicode/json-server), nginx,
//! a shop on frameworks that are in use, a tracker behind a server of GraphQL, and APIs in Node; and the soak, which `cargo xtask soak` runs for as long as
//! it is told.

mod json_server;
mod lot;
pub mod models;
mod nginx;
mod node_backend;
mod shop;
pub mod soak;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

pub use json_server::JsonServer;
pub use lot::Lot;
pub use nginx::Nginx;
pub use node_backend::NodeBackend;
pub use shop::Shop;

use larder_testkit::process::Process;
use larder_testkit::wait::eventually;
use larder_testkit::{Client, Error, Result};

/// A loopback address that was free a moment ago. Programs that cannot be given port 0 are started on one of these, and on another if it was
/// taken in between.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The folder beside the build into which `cargo xtask test` installs backends, where it has this file.
pub fn backends(file: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().map(|folder| folder.join("backends")).find(|folder| folder.join(file).is_file());
    folder
        .ok_or_else(|| Error::new(format!("there is no backends/{file}: run `cargo xtask test`, which installs it under target/backends")))
}

/// A program of `tests/backends`.
fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("backends").join(name)
}

/// Waits until something accepts connections there.
async fn listens(address: SocketAddr, process: &Process) -> Result<()> {
    let accepts = || async { Ok(Client::connect(address).await.ok().map(drop)) };
    eventually(format!("waiting for a listener on {address}"), accepts).await.map_err(|error| process.explain(error))
}

/// Starts a program that is told a free address as its arguments, and waits until it listens there.
async fn served(name: &'static str, command: impl Fn() -> Command) -> Result<(SocketAddr, Arc<Process>)> {
    on_a_free_address(|address| {
        let mut command = command();
        command.arg(address.ip().to_string()).arg(address.port().to_string());
        async move {
            let process = Process::start(name, &mut command)?;
            listens(address, &process).await?;
            Ok((address, process))
        }
    })
    .await
}

/// Tries `start` on a free address, and on others if it fails.
async fn on_a_free_address<T, F: Future<Output = Result<T>>>(start: impl Fn(SocketAddr) -> F) -> Result<T> {
    let mut last = start(free_address()?).await;
    for _ in 0..2 {
        if last.is_ok() {
            break;
        }
        last = start(free_address()?).await;
    }
    last
}
