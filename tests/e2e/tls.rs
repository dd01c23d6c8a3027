//! Listeners over TLS, as real clients see them.

#[path = "tls/client_certificates.rs"]
mod client_certificates;
#[path = "tls/clients.rs"]
mod clients;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/policies.rs"]
mod policies;
#[path = "tls/reload.rs"]
mod reload;
#[path = "tls/requests.rs"]
mod requests;
#[path = "tls/settings.rs"]
mod settings;

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use larder_testkit::larder::config;
use larder_testkit::{Authority, Error, Larder, Origin, Result};

pub(crate) const HOST: &str = "a.example";

/// A listener over TLS and one in clear text, with certificates for `a.example`, and for `b.example` and `*.c.example`.
pub(crate) struct Edge {
    pub(crate) authority: Authority,
    pub(crate) larder: Larder,
    addresses: Vec<SocketAddr>,
}

impl Edge {
    /// `tls` are further keys of the listener's `tls`, `rest` the configuration after it.
    pub(crate) async fn start(origin: &Origin, tls: &str, rest: &str) -> Result<Self> {
        let authority = Authority::new()?;
        let text = config(&origin.url(), &listeners(&authority, tls, rest)?);
        let larder = Larder::start(&text).await?;
        Ok(Self { addresses: larder.addresses(2).await?, larder, authority })
    }

    /// The listener over TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The one in clear text.
    pub(crate) fn clear(&self) -> SocketAddr {
        self.addresses[1]
    }
}

/// The listeners of [`Edge`], for a configuration of the test's own.
pub(crate) fn listeners(authority: &Authority, tls: &str, rest: &str) -> Result<String> {
    let (first, second) = (authority.issue("a", &[HOST, "127.0.0.1"])?, authority.issue("b", &["b.example", "*.c.example"])?);
    let certificates = format!("{}, {}", first.in_config(), second.in_config());
    Ok(format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{certificates}]{tls} }}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n{rest}"
    ))
}

/// Runs a program to its end, with this as its input.
pub(crate) async fn run(program: &str, arguments: &[&str], input: &str) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (name, input) = (program.to_owned(), input.to_owned());
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn()?;
        // A program that has ended already reads nothing.
        let _ = child.stdin.take().map(|mut stdin| std::io::Write::write_all(&mut stdin, input.as_bytes()));
        child.wait_with_output()
    });
    ran.await?.map_err(|error| Error::from(error).while_doing(format_args!("running {name}")))
}

/// The output of a program, both streams.
pub(crate) fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
