//! A client that hides nothing: it sends any bytes, sees each part of a response as it arrives, and tells a clean end from a break.

mod h2c;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

pub use h2c::{H2Client, H2Response};

use crate::certificates::connect_tls;
use crate::stream::Stream;
use crate::wait::within;
use crate::wire::{BodyDecoder, Head, Wire};
use crate::{Error, Result};

/// A response that has ended, cleanly or not.
#[derive(Clone)]
pub struct Response {
    /// The final head.
    pub head: Head,
    /// The status code.
    pub status: u16,
    /// The interim responses (1xx) that came before.
    pub interim: Vec<Head>,
    /// The body without its framing, as far as it came.
    pub body: Vec<u8>,
    /// The trailer section's lines.
    pub trailers: Vec<(String, String)>,
    /// Whether the body ended as its framing says.
    pub complete: bool,
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(formatter, "{:?} {body:?} {:?} {}", self.head, self.trailers, if self.complete { "complete" } else { "broken" })
    }
}

impl Response {
    /// The value of the first line with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `X-Cache`, or nothing.
    pub fn x_cache(&self) -> &str {
        self.header("x-cache").unwrap_or_default()
    }

    /// `Cache-Status`, or nothing.
    pub fn cache_status(&self) -> String {
        self.head.joined("cache-status").unwrap_or_default()
    }

    /// `Age` in seconds, where there is one.
    pub fn age(&self) -> Option<u64> {
        self.header("age").and_then(|age| age.parse().ok())
    }
}

/// The response that a connection is in the middle of.
struct Exchange {
    method: String,
    interim: Vec<Head>,
    head: Option<Head>,
    decoder: Option<BodyDecoder>,
    body: Vec<u8>,
    broken: bool,
}

impl Exchange {
    fn new(method: &str) -> Self {
        Self { method: method.to_owned(), interim: Vec::new(), head: None, decoder: None, body: Vec::new(), broken: false }
    }
}

/// One HTTP/1.1 connection.
pub struct Client {
    wire: Wire,
    host: String,
    exchange: Exchange,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = within(format!("connecting to {address}"), TcpStream::connect(address)).await??;
        Self::on(Stream::Tcp(stream), address.to_string())
    }

    /// Connects over TLS, and names this host in its requests.
    pub async fn connect_tls(address: SocketAddr, host: &str, config: &Arc<ClientConfig>) -> Result<Self> {
        Self::on(Stream::Tls(Box::new(connect_tls(address, host, config).await?)), host.to_owned())
    }

    /// Connects with a receive buffer as small as the system allows, so that a response that is not read soon holds its sender up.
    pub async fn connect_narrow(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        SockRef::from(&socket).set_recv_buffer_size(2048)?;
        let stream = within(format!("connecting to {address}"), socket.connect(address)).await??;
        Self::on(Stream::Tcp(stream), address.to_string())
    }

    fn on(stream: Stream, host: String) -> Result<Self> {
        Ok(Self { wire: Wire::new(stream)?, host, exchange: Exchange::new("GET") })
    }

    /// Sends a request. `Host` is the address connected to and Content-Length fits the body, unless `fields` name them or, for the latter,
    /// Transfer-Encoding.
    pub async fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Result<()> {
        let given = |name: &str| fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !given("host") {
            head.push_str(&format!("Host: {}\r\n", self.host));
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() && !given("content-length") && !given("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.push_str(body);
        self.send_raw(method, head.as_bytes()).await
    }

    /// Sends these bytes as the start of a request. `method` says how the response is to be read.
    pub async fn send_raw(&mut self, method: &str, bytes: &[u8]) -> Result<()> {
        self.exchange = Exchange::new(method);
        self.wire.write(bytes).await
    }

    /// Sends more bytes of the same request.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.write(bytes).await
    }

    /// Writes until the other side has taken nothing more for a while, or all is written; the number of bytes that went. On a slow machine the
    /// number may be too small, never too large.
    pub async fn write_until_blocked(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match tokio::time::timeout(Duration::from_millis(500), self.wire.stream.write(&bytes[written..])).await {
                Ok(outcome) => written += outcome?,
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Sends a whole request and reads the whole response.
    pub async fn exchange(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Result<Response> {
        self.send(method, target, fields, body).await?;
        self.finish().await.map_err(|error| error.while_doing(format_args!("{method} {target}")))
    }

    /// Waits for the next head, an interim one too.
    pub async fn next_head(&mut self) -> Result<Head> {
        let head = within("waiting for a response head", self.wire.read_head()).await??;
        let head = head.ok_or_else(|| Error::new("the connection was closed before a response"))?;
        if matches!(head.status()?, 100 | 102..=199) {
            self.exchange.interim.push(head.clone());
        } else {
            self.exchange.decoder = Some(BodyDecoder::new(head.response_framing(&self.exchange.method)?));
            self.exchange.head = Some(head.clone());
        }
        Ok(head)
    }

    /// Waits for the final head.
    pub async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(head) = &self.exchange.head {
                return Ok(head.clone());
            }
            self.next_head().await?;
        }
    }

    /// Reads the body until it is `expected` so far; an error as soon as it is something else, or ends.
    pub async fn read_until(&mut self, expected: &str) -> Result<()> {
        while self.body_so_far().await? != expected.as_bytes() {
            let body = &self.exchange.body;
            if !expected.as_bytes().starts_with(body) || !self.read_more().await? {
                return Err(Error::new(format!(
                    "expected the body {expected:?} so far, got {:?}",
                    String::from_utf8_lossy(&self.exchange.body)
                )));
            }
        }
        Ok(())
    }

    /// Reads the body until it has this text in it; the body so far.
    pub async fn read_through(&mut self, text: &str) -> Result<String> {
        loop {
            let body = String::from_utf8_lossy(self.body_so_far().await?).into_owned();
            if body.contains(text) {
                return Ok(body);
            }
            if !self.read_more().await? {
                return Err(Error::new(format!("expected {text:?} in the body, got {body:?}")));
            }
        }
    }

    /// Reads the body until at least this many bytes of it have come; the number that came.
    pub async fn read_at_least(&mut self, count: usize) -> Result<usize> {
        while self.body_so_far().await?.len() < count {
            if !self.read_more().await? {
                return Err(Error::new(format!("the body ended after {} bytes, {count} were expected", self.exchange.body.len())));
            }
        }
        Ok(self.exchange.body.len())
    }

    /// Reads to the end of the response.
    pub async fn finish(&mut self) -> Result<Response> {
        let head = self.head().await?;
        self.body_so_far().await?;
        while self.read_more().await? {}
        let exchange = std::mem::replace(&mut self.exchange, Exchange::new("GET"));
        let decoder = exchange.decoder.ok_or_else(|| Error::new("a head without a body decoder"))?;
        Ok(Response {
            status: head.status()?,
            head,
            interim: exchange.interim,
            body: exchange.body,
            complete: !exchange.broken && decoder.ends_with_connection(),
            trailers: decoder.trailers,
        })
    }

    /// Reads to the end of the last response on this connection. After one that has no content by its method or status (RFC 9112 §6.3), no byte
    /// may come: its framing says that there is no body, so content that was sent all the same would never be looked at.
    pub async fn finish_last(&mut self) -> Result<Response> {
        let is_head = self.exchange.method == "HEAD";
        let response = self.finish().await?;
        if is_head || matches!(response.status, 204 | 304) {
            self.shut_down_write()?;
            self.closed().await.map_err(|error| error.while_doing("after a response without content"))?;
        }
        Ok(response)
    }

    /// Takes bytes from the connection as they come, past any framing: the stream of an upgraded connection.
    pub async fn read_raw(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.wire.buffer.len() < count {
            if within("reading from the connection", self.wire.fill()).await?? == 0 {
                return Err(Error::new(format!("the connection ended after {:?}", self.wire.buffer)));
            }
        }
        Ok(self.wire.buffer.split_to(count).to_vec())
    }

    /// Waits until the other side closes or resets the connection; bytes that come before are an error.
    pub async fn closed(&mut self) -> Result<()> {
        match within("waiting for the connection to be closed", self.wire.fill()).await? {
            Ok(0) | Err(_) if self.wire.buffer.is_empty() => Ok(()),
            _ => Err(Error::new(format!("expected the connection to be closed, got {:?}", self.wire.buffer))),
        }
    }

    /// Waits until the other side ends the connection in order, without a further byte: over TLS with close_notify.
    pub async fn ended(&mut self) -> Result<()> {
        match within("waiting for the connection to end", self.wire.fill()).await?? {
            0 if self.wire.buffer.is_empty() => Ok(()),
            _ => Err(Error::new(format!("expected the connection to end, got {:?}", self.wire.buffer))),
        }
    }

    /// Says that nothing more will be sent, without closing the other direction.
    pub fn shut_down_write(&self) -> Result<()> {
        Ok(SockRef::from(self.wire.stream.tcp()).shutdown(std::net::Shutdown::Write)?)
    }

    async fn body_so_far(&mut self) -> Result<&[u8]> {
        self.head().await?;
        if let Some(decoder) = &mut self.exchange.decoder {
            decoder.decode(&mut self.wire.buffer, &mut self.exchange.body)?;
        }
        Ok(&self.exchange.body)
    }

    /// Reads once from the connection; `false` where the body has ended.
    async fn read_more(&mut self) -> Result<bool> {
        let Some(decoder) = &mut self.exchange.decoder else { return Ok(false) };
        if decoder.is_done() || self.exchange.broken {
            return Ok(false);
        }
        match within("waiting for more of a body", self.wire.fill()).await? {
            Ok(0) => return Ok(false),
            Ok(_) => decoder.decode(&mut self.wire.buffer, &mut self.exchange.body)?,
            Err(_) => self.exchange.broken = true,
        }
        Ok(!self.exchange.broken)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Answer, Client, Origin};

    #[tokio::test]
    async fn a_cut_body_is_told_from_a_whole_one() {
        let origin = Origin::start().await.unwrap();
        origin.once("GET", "/cut", Answer::ok().declared_length(9).part("abc").close());
        origin.once("GET", "/chunks", Answer::ok().chunk("abc").close());
        origin.once("GET", "/reset", Answer::ok().chunk("abc").flush_head().reset());
        origin.once("GET", "/whole", Answer::ok().http10().part("abc"));
        for (target, complete) in [("/cut", false), ("/chunks", false), ("/reset", false), ("/whole", true)] {
            let mut client = Client::connect(origin.address()).await.unwrap();
            let response = client.exchange("GET", target, &[], "").await.unwrap();
            assert_eq!(response.complete, complete, "{target}");
        }
        origin.check().unwrap();
    }

    #[tokio::test]
    async fn content_where_none_may_be_is_an_error() {
        let origin = Origin::start().await.unwrap();
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
            origin.once(method, "/none", Answer::new(status).declared_length(5).part(""));
            origin.once(method, "/content", Answer::new(status).declared_length(5).part("hello"));
            let mut client = Client::connect(origin.address()).await.unwrap();
            client.send(method, "/none", &[], "").await.unwrap();
            assert_eq!(client.finish_last().await.unwrap().status, status);
            let mut client = Client::connect(origin.address()).await.unwrap();
            client.send(method, "/content", &[], "").await.unwrap();
            let error = client.finish_last().await.unwrap_err().to_string();
            assert!(error.contains("after a response without content") && error.contains("hello"), "{error}");
        }
        origin.check().unwrap();
    }

    #[tokio::test]
    async fn interim_heads_trailers_and_the_request_are_seen_on_one_connection() {
        let origin = Origin::start().await.unwrap();
        origin.once("POST", "/a", Answer::ok().interim(103, &[("Link", "</x>")]).chunk("body").trailers(&[("T", "1")]));
        origin.once("GET", "/b", Answer::new(204));
        let mut client = Client::connect(origin.address()).await.unwrap();
        let response = client.exchange("POST", "/a", &[("X", "1")], "sent").await.unwrap();
        assert_eq!((response.text().as_str(), response.interim[0].get("link")), ("body", Some("</x>")));
        assert_eq!(response.trailers, [("T".to_owned(), "1".to_owned())]);
        assert_eq!(client.exchange("GET", "/b", &[], "").await.unwrap().status, 204);
        let received = origin.received();
        assert_eq!((received[0].body.as_slice(), received[0].header("x")), (&b"sent"[..], Some("1")));
        assert_eq!((received[1].connection, origin.connection_count()), (0, 1));
        assert_eq!(client.exchange("GET", "/unknown", &[], "").await.unwrap().status, 599);
        assert!(origin.check().is_err());
    }

    #[tokio::test]
    async fn the_first_part_is_seen_before_the_origin_sends_the_second() {
        let origin = Origin::start().await.unwrap();
        origin.once("GET", "/a", Answer::ok().chunk("first ").wait("middle").chunk("second"));
        let mut client = Client::connect(origin.address()).await.unwrap();
        client.send("GET", "/a", &[], "").await.unwrap();
        client.read_until("first ").await.unwrap();
        origin.gate("middle").reached(1).await.unwrap();
        origin.gate("middle").open();
        assert_eq!(client.finish().await.unwrap().text(), "first second");
    }
}
