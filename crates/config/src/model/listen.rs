//! Addresses to listen on.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use crate::parse::mistake::{Location, Mistake};

/// Where to listen: `IP:port` or `host:port`. Port 0 stands for any free one.
///
/// Two are equal if the address is, wherever it was said: a reload that only moves a line changes no listener.
#[derive(Clone, Debug)]
pub struct Listen {
    address: String,
    kind: ListenKind,
    /// Where it was said, for errors at bind time.
    pub(crate) origin: Origin,
}

/// The address, path or descriptor to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenKind {
    /// TCP, on this port.
    Tcp(u16),
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// A socket that systemd listens on, by its name.
    Systemd(String),
}

/// Where a setting was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// At these bytes of the configuration file.
    File(Range<usize>),
    /// In this environment variable.
    Environment(&'static str),
    /// By this command line flag.
    Flag(&'static str),
}

impl PartialEq for Listen {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for Listen {}

impl Listen {
    /// Reads `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let of = |port| Self { address: text.to_owned(), kind: ListenKind::Tcp(port), origin: Origin::Default };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(of(address.port()));
        }
        let named = text.rsplit_once(':').filter(|(host, _)| is_host_name(host));
        named.and_then(|(_, port)| port.parse().ok()).map(of).ok_or_else(|| not_an_address(text))
    }

    /// Reads what a listener of its own may have besides: `unix:/run/larder.sock`, `systemd:NAME`.
    pub(crate) fn parse_any(text: &str) -> Result<Self, Mistake> {
        let kind = if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') || path.ends_with('/') {
                return Err(
                    Mistake::new(format!("`{text}` names no socket")).hint("write the whole path: \"unix:/run/larder/larder.sock\"")
                );
            }
            ListenKind::Unix(path.into())
        } else if let Some(name) = text.strip_prefix("systemd:") {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
                let hint = "the name is what FileDescriptorName= says in the socket unit: \"systemd:https\"";
                return Err(Mistake::new(format!("`{text}` names no socket")).hint(hint));
            }
            ListenKind::Systemd(name.to_owned())
        } else {
            return Self::parse(text);
        };
        Ok(Self { address: text.to_owned(), kind, origin: Origin::Default })
    }

    /// The address, path or descriptor to listen on.
    pub fn kind(&self) -> &ListenKind {
        &self.kind
    }

    /// A default: this machine only.
    pub(crate) fn local(port: u16) -> Self {
        Self { address: format!("127.0.0.1:{port}"), kind: ListenKind::Tcp(port), origin: Origin::Default }
    }

    pub(crate) fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The address, ready for `ToSocketAddrs`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self.address.parse::<SocketAddr>() {
            Ok(address) => address.ip().is_loopback(),
            Err(_) => self.address.rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case("localhost")),
        }
    }

    /// Its bytes of the file, if it stands there.
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        match &self.origin {
            Origin::File(span) => Some(span.clone()),
            Origin::Default | Origin::Environment(_) | Origin::Flag(_) => None,
        }
    }

    /// Where a mistake in it is.
    pub(crate) fn location(&self) -> Location {
        self.span().map_or(Location::Elsewhere, Location::At)
    }

    /// Whether both would bind the very same port.
    pub(crate) fn clashes_with(&self, other: &Listen) -> bool {
        self.kind != ListenKind::Tcp(0) && self.address.eq_ignore_ascii_case(&other.address)
    }
}

fn is_host_name(host: &str) -> bool {
    // A name ending in digits would be an address with a slip in it, like 127.0.0.256.
    let last = host.rsplit('.').next().unwrap_or(host);
    !last.is_empty()
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn not_an_address(text: &str) -> Mistake {
    let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap_or(8080);
    Mistake::new(format!("`{text}` is not an address to listen on"))
        .hint(format!("write host and port: \"127.0.0.1:{port}\" for this machine only, \"0.0.0.0:{port}\" for every interface"))
}

/// Why a listener could not be bound, and what to do about it.
pub(crate) fn bind_mistake(listen: &Listen, error: &std::io::Error) -> Mistake {
    use std::io::ErrorKind;
    let (reason, hint) = match error.kind() {
        _ if matches!(listen.kind, ListenKind::Systemd(_)) => {
            (error.to_string(), "start it by its socket unit: systemctl start larder.socket, with FileDescriptorName= in it")
        }
        ErrorKind::AddrInUse if matches!(listen.kind, ListenKind::Unix(_)) => {
            ("another process listens there".to_owned(), "stop it, or choose another path")
        }
        _ if matches!(listen.kind, ListenKind::Unix(_)) => {
            (error.to_string(), "the user who runs larder must be able to write in its folder, and be in the `group`")
        }
        ErrorKind::AddrInUse => {
            ("the address is in use".to_owned(), "stop the program that listens there, or choose another port (0 takes any free one)")
        }
        ErrorKind::AddrNotAvailable => {
            ("this machine does not have the address".to_owned(), "\"0.0.0.0\" stands for every address of this machine")
        }
        ErrorKind::PermissionDenied => {
            ("permission denied".to_owned(), "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE); choose a higher one")
        }
        _ => (error.to_string(), "the form is host:port, like \"127.0.0.1:8080\""),
    };
    Mistake::new(format!("cannot listen on {}: {reason}", listen.address)).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_may_be_a_unix_socket_or_one_of_systemd() {
        assert_eq!(*Listen::parse_any("unix:/run/a.sock").unwrap().kind(), ListenKind::Unix("/run/a.sock".into()));
        assert_eq!(*Listen::parse_any("systemd:https").unwrap().kind(), ListenKind::Systemd("https".to_owned()));
        assert_eq!(*Listen::parse_any("127.0.0.1:80").unwrap().kind(), ListenKind::Tcp(80));
        for text in ["unix:", "unix:a.sock", "unix:/run/", "systemd:", "systemd:a b", "systemd:a:b"] {
            assert!(Listen::parse_any(text).is_err(), "{text}");
        }
        for text in ["unix:/run/a.sock", "systemd:https"] {
            assert!(Listen::parse(text).is_err(), "{text} needs a section of its own");
        }
    }

    #[test]
    fn addresses_and_names_with_a_port() {
        for text in ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0", "localhost:8080", "node-1.internal:80"] {
            assert_eq!(Listen::parse(text).unwrap().address(), text);
        }
    }

    #[test]
    fn a_wrong_address_gets_a_hint_with_the_same_port() {
        for text in ["", "8080", ":9000", "localhost", "http://localhost:80", "127.0.0.256:80", "::1:8080", "host:70000", "a b:80"] {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
        let hint = Listen::parse(":9000").unwrap_err().hint.unwrap();
        assert_eq!(hint, "write host and port: \"127.0.0.1:9000\" for this machine only, \"0.0.0.0:9000\" for every interface");
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        for (text, loopback) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("localhost:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("host:1", false),
        ] {
            assert_eq!(Listen::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
