//! The PROXY protocol, versions 1 and 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt): a proxy that speaks TCP says whom it speaks for.
//!
//! It comes before everything else, TLS included, and is read from listed peers only: who else could send one could be anybody. Exactly its own
//! bytes are taken from the socket. Where a peer need not send one, nothing is taken before it is clear that it has: `P` begins `POST`, too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use larder_config::ProxyProtocol;
use tokio::io::AsyncReadExt;

use crate::listener::incoming::ConnectionInfo;
use crate::listener::transport::Transport;

/// The signature of version 2 (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of a version 1 line (§2.1).
const PREFIX: &[u8] = b"PROXY ";
/// "the maximum line length is 107 characters including CRLF".
const MAX_LINE: usize = 107;
const FIXED: usize = 16;
/// The most that version 2 may announce. Its extensions take a few hundred bytes; a client's certificate in them some thousand.
const MAX_BODY: usize = 4096;
const PP2_TYPE_SSL: u8 = 0x20;
const PP2_CLIENT_SSL: u8 = 0x01;
/// Between two looks at a beginning that is left where it is, for which the system does not say when there is more of it.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// The kind of header at the start of a connection's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A header of so many bytes.
    Header(usize, Option<Spoken>),
    /// The start of a header; more bytes are needed.
    Partial,
    /// Something else.
    Other,
    /// A header that is broken.
    Broken,
}

/// Whom a proxy speaks for. Without one it speaks for itself, as in a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// The client spoke TLS with the proxy.
    secure: bool,
}

/// Reads the header where this peer has to send one. Returns what is known of the connection then; `None` where it has to end.
pub(crate) async fn read(transport: &mut Transport, info: ConnectionInfo, rule: &ProxyProtocol) -> Option<ConnectionInfo> {
    if !rule.from.iter().any(|network| network.contains(&info.remote.ip().to_canonical())) {
        return Some(info);
    }
    match take(transport, rule.required).await.ok()? {
        Beginning::Header(_, None) => Some(info),
        Beginning::Header(_, Some(Spoken { source, destination, secure })) => {
            Some(ConnectionInfo { remote: source, local: destination, secure: info.secure || secure })
        }
        Beginning::Other if !rule.required => Some(info),
        Beginning::Other | Beginning::Broken | Beginning::Partial => None,
    }
}

/// Takes a header from the socket, and nothing else. Where one `is_required`, what may become one is no request, so it is taken as it comes.
async fn take(transport: &mut Transport, is_required: bool) -> io::Result<Beginning> {
    let mut bytes = [0; FIXED + MAX_BODY];
    let mut taken = 0;
    loop {
        let seen = taken + transport.peek(&mut bytes[taken..]).await?;
        if seen == taken {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let beginning = beginning(&bytes[..seen]);
        let to = match &beginning {
            Beginning::Header(length, _) => *length,
            Beginning::Partial if is_required => seen,
            Beginning::Partial => {
                tokio::time::sleep(LOOK_PAUSE).await;
                continue;
            }
            Beginning::Other | Beginning::Broken => return Ok(if taken == 0 { beginning } else { Beginning::Broken }),
        };
        transport.read_exact(&mut bytes[taken..to]).await?;
        taken = to;
        if beginning != Beginning::Partial {
            return Ok(beginning);
        }
    }
}

/// Recognises the start of a header in these bytes.
pub(crate) fn beginning(bytes: &[u8]) -> Beginning {
    let begins = |known: &[u8]| bytes.iter().zip(known).all(|(byte, known)| byte == known);
    if begins(SIGNATURE) {
        version_2(bytes)
    } else if begins(PREFIX) {
        version_1(bytes)
    } else {
        Beginning::Other
    }
}

fn version_1(bytes: &[u8]) -> Beginning {
    let line = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < MAX_LINE { Beginning::Partial } else { Beginning::Broken };
    };
    match str::from_utf8(&line[PREFIX.len().min(end)..end]).ok().and_then(addresses_of_line) {
        Some(spoken) => Beginning::Header(end + 2, spoken),
        None => Beginning::Broken,
    }
}

/// `TCP4 192.0.2.1 192.0.2.2 1234 80`; the inner `None` for `UNKNOWN` and whatever follows it.
fn addresses_of_line(line: &str) -> Option<Option<Spoken>> {
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut parts = line.split(' ');
    let family = parts.next()?;
    let mut address = || -> Option<IpAddr> {
        let text = parts.next()?;
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from).ok(),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from).ok(),
            _ => None,
        }
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || parts.next().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse::<u16>().ok();
    let (from, to) = (port()?, port()?);
    let spoken = Spoken { source: (source, from).into(), destination: (destination, to).into(), secure: false };
    parts.next().is_none().then_some(Some(spoken))
}

fn version_2(bytes: &[u8]) -> Beginning {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Beginning::Partial };
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_BODY || !matches!(command, 0x20 | 0x21) {
        return Beginning::Broken;
    }
    let Some(body) = rest.get(..length) else { return Beginning::Partial };
    let spoken = match (command, family) {
        // LOCAL: "the receiver must accept this connection as valid and must use the real connection endpoints".
        (0x20, _) => None,
        (_, 0x11) => match spoken::<4>(body) {
            Some(spoken) => Some(spoken),
            None => return Beginning::Broken,
        },
        (_, 0x21) => match spoken::<16>(body) {
            Some(spoken) => Some(spoken),
            None => return Beginning::Broken,
        },
        // Unspecified, datagrams and Unix sockets have no address that could be told.
        _ => None,
    };
    Beginning::Header(FIXED + length, spoken)
}

/// Both addresses, both ports, and extensions.
fn spoken<const ADDRESS: usize>(body: &[u8]) -> Option<Spoken>
where
    IpAddr: From<[u8; ADDRESS]>,
{
    let (source, rest) = body.split_first_chunk::<ADDRESS>()?;
    let (destination, rest) = rest.split_first_chunk::<ADDRESS>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, extensions) = rest.split_first_chunk::<2>()?;
    let socket = |address: &[u8; ADDRESS], port: &[u8; 2]| SocketAddr::new(IpAddr::from(*address), u16::from_be_bytes(*port));
    Some(Spoken { source: socket(source, from), destination: socket(destination, to), secure: is_secure(extensions)? })
}

/// Whether an extension says that the client spoke TLS. `None` where extensions go beyond their end.
fn is_secure(mut extensions: &[u8]) -> Option<bool> {
    let mut secure = false;
    while let Some((&[kind, high, low], rest)) = extensions.split_first_chunk::<3>() {
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        secure |= kind == PP2_TYPE_SSL && value.first().is_some_and(|flags| flags & PP2_CLIENT_SSL != 0);
        extensions = rest;
    }
    extensions.is_empty().then_some(secure)
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn told(source: &str, destination: &str, secure: bool) -> Option<Spoken> {
        Some(Spoken { source: source.parse().expect("address"), destination: destination.parse().expect("address"), secure })
    }

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("length").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    const FOUR: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 0x04, 0xD2, 0, 80];

    /// Asserts that this is a header, wherever it is cut, and that what follows it is not looked at.
    #[track_caller]
    fn assert_header(bytes: &[u8], spoken: Option<Spoken>) {
        for cut in 1..bytes.len() {
            assert_eq!(beginning(&bytes[..cut]), Beginning::Partial, "cut at {cut}");
        }
        assert_eq!(beginning(bytes), Beginning::Header(bytes.len(), spoken));
        assert_eq!(beginning(&[bytes, b"GET / HTTP/1.1\r\n"].concat()), Beginning::Header(bytes.len(), spoken));
    }

    /// What is known of a connection whose client sends these pieces, each once the one before was looked at; and what it has sent behind the header.
    async fn read_in_pieces(pieces: [&[u8]; 2], required: bool) -> Option<(SocketAddr, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (stream, remote) = listener.accept().await.expect("a connection");
        let mut transport = Transport::Tcp(stream);
        client.write_all(pieces[0]).await.expect("write");
        while transport.peek(&mut [0; 64]).await.expect("peek") < pieces[0].len() {}
        let info = ConnectionInfo { remote, local: remote, secure: false };
        let rule = ProxyProtocol { from: vec!["127.0.0.0/8".parse().expect("a network")], required };
        let told = {
            let mut reading = pin!(read(&mut transport, info, &rule));
            assert!(poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await);
            client.write_all(pieces[1]).await.expect("write");
            drop(client);
            reading.await?
        };
        let mut rest = Vec::new();
        transport.read_to_end(&mut rest).await.expect("read");
        Some((told.remote, rest))
    }

    #[tokio::test]
    async fn a_request_that_begins_like_a_header_is_read_as_it_came_where_none_is_required() {
        for method in ["POST", "PUT", "PRI"] {
            let (first, rest) = method.split_at(1);
            let told = read_in_pieces([first.as_bytes(), rest.as_bytes()], false).await;
            assert_eq!(told.map(|(_, rest)| rest), Some(method.into()), "{method}");
        }
        assert_eq!(read_in_pieces([b"P", b"OST"], true).await, None);
        for required in [false, true] {
            let told = read_in_pieces([b"PROXY TCP4 192.0.2.1", b" 192.0.2.2 1234 80\r\nGET"], required).await;
            assert_eq!(told, Some(("192.0.2.1:1234".parse().expect("address"), b"GET".to_vec())));
        }
    }

    #[test]
    fn version_1_is_a_line() {
        assert_header(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n", told("192.0.2.1:1234", "192.0.2.2:80", false));
        assert_header(b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", told("[2001:db8::1]:65535", "[::1]:0", false));
        assert_header(b"PROXY UNKNOWN\r\n", None);
        assert_header(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None);
    }

    #[test]
    fn a_line_that_is_not_exactly_so_is_broken() {
        for line in [
            "TCP4 192.0.2.1 192.0.2.2 1234",
            "TCP4 192.0.2.1 192.0.2.2 1234 80 1",
            "TCP4 192.0.2.1  192.0.2.2 1234 80",
            "TCP4 ::1 ::1 1 2",
            "TCP6 192.0.2.1 192.0.2.2 1 2",
            "TCP4 192.0.2.1 192.0.2.2 65536 80",
            "TCP4 192.0.2.1 192.0.2.2 +1 80",
            "UDP4 192.0.2.1 192.0.2.2 1 80",
            "UNKNOWNS",
            "",
        ] {
            assert_eq!(beginning(format!("PROXY {line}\r\n").as_bytes()), Beginning::Broken, "{line:?}");
        }
        assert_eq!(beginning(format!("PROXY UNKNOWN {}\r\n", "a".repeat(MAX_LINE)).as_bytes()), Beginning::Broken);
        assert_eq!(beginning(b"PROXY \r\n"), Beginning::Broken);
        assert_eq!(beginning(b"PROXY\r\n"), Beginning::Other);
    }

    #[test]
    fn version_2_is_binary_with_extensions() {
        let six = [&[0x20, 1, 0x0D, 0xB8][..], &[0; 11], &[1], &[0; 15], &[1], &[0, 1, 0, 2]].concat();
        assert_header(&version_2(0x21, 0x11, FOUR), told("192.0.2.1:1234", "192.0.2.2:80", false));
        assert_header(&version_2(0x21, 0x21, &six), told("[2001:db8::1]:1", "[::1]:2", false));
        let extensions = [FOUR, &[0x04, 0, 2, 0, 0], &[PP2_TYPE_SSL, 0, 5, PP2_CLIENT_SSL, 0, 0, 0, 0]].concat();
        assert_header(&version_2(0x21, 0x11, &extensions), told("192.0.2.1:1234", "192.0.2.2:80", true));
        let clear = [FOUR, &[PP2_TYPE_SSL, 0, 5, 0, 0, 0, 0, 0]].concat();
        assert_header(&version_2(0x21, 0x11, &clear), told("192.0.2.1:1234", "192.0.2.2:80", false));
        assert_header(&version_2(0x20, 0, b""), None);
        assert_header(&version_2(0x20, 0x11, FOUR), None);
        assert_header(&version_2(0x21, 0, b""), None);
        assert_header(&version_2(0x21, 0x31, &[0; 216]), None);
    }

    #[test]
    fn version_2_that_does_not_hold_what_it_announces_is_broken() {
        for header in [
            version_2(0x31, 0x11, FOUR),
            version_2(0x22, 0x11, FOUR),
            version_2(0x21, 0x11, &FOUR[1..]),
            version_2(0x21, 0x21, FOUR),
            version_2(0x21, 0x11, &[FOUR, &[1, 0, 2, 0]].concat()),
            version_2(0x21, 0x11, &[FOUR, &[1, 0]].concat()),
            version_2(0x21, 0x11, &vec![0; MAX_BODY + 1]),
        ] {
            assert_eq!(beginning(&header), Beginning::Broken, "{header:?}");
        }
    }

    #[test]
    fn anything_else_is_no_header() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0x16, 3, 1, 2, 0], b"\r\n\r\nGET", b"proxy "] {
            assert_eq!(beginning(bytes), Beginning::Other, "{bytes:?}");
        }
    }
}
