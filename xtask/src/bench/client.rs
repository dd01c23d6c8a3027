//! The smallest client that fills caches and reads counters, and one that looks at requests. Load comes from public tools.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Result;

/// A kept-alive connection to a loopback port.
#[derive(Debug)]
pub(super) struct Client {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { port, stream: BufReader::new(stream) })
    }

    /// The body of a 200.
    pub(super) fn get(&mut self, target: &str) -> Result<Vec<u8>> {
        self.ask(target)?;
        self.answer().map_err(|error| format!("{target}: {error}").into())
    }

    /// Asks under the name that the load tools use, so that both meet the same key.
    pub(super) fn ask(&mut self, target: &str) -> Result<()> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        Ok(self.stream.get_mut().write_all(request.as_bytes())?)
    }

    /// The body of a 200, which was asked for.
    pub(super) fn answer(&mut self) -> Result<Vec<u8>> {
        let status = self.line()?;
        if !status.contains(" 200 ") {
            return Err(format!("the answer was {status}").into());
        }
        let mut length = Length::ToEnd;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = Length::Known(value.trim().parse()?),
                Some(("transfer-encoding", _)) => length = Length::Chunked,
                Some(_) => {}
                None => break,
            }
        }
        self.body(length)
    }

    fn body(&mut self, length: Length) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        match length {
            Length::Known(bytes) => self.append(bytes, &mut body)?,
            Length::ToEnd => {
                self.stream.read_to_end(&mut body)?;
            }
            Length::Chunked => loop {
                let bytes = u64::from_str_radix(self.line()?.trim(), 16)?;
                self.append(bytes, &mut body)?;
                self.line()?;
                if bytes == 0 {
                    break;
                }
            },
        }
        Ok(body)
    }

    fn append(&mut self, bytes: u64, body: &mut Vec<u8>) -> Result<()> {
        let read = (&mut self.stream).take(bytes).read_to_end(body)?;
        if read as u64 == bytes { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.is_empty() { Err("the server closed the connection".into()) } else { Ok(line.trim_end().to_owned()) }
    }
}

enum Length {
    Known(u64),
    Chunked,
    ToEnd,
}

/// An open tail, which is read by a thread of its own. Dropping it ends both.
#[derive(Debug)]
pub(super) struct Tail {
    stream: TcpStream,
    reader: Option<JoinHandle<()>>,
}

impl Tail {
    /// Asks the admin listener on `port` for `target`, and waits for the head of the answer: from then on requests are handed out.
    pub(super) fn open(port: u16, target: &str) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        if !head.starts_with(b"HTTP/1.1 200 ") {
            return Err(format!("{target} was answered with {}", String::from_utf8_lossy(&head)).into());
        }
        let mut lines = stream.try_clone()?;
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while lines.read(&mut bytes).is_ok_and(|count| count > 0) {}
        });
        Ok(Self { stream, reader: Some(reader) })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // A server that has ended has closed it already.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.reader.take().into_iter().for_each(|reader| _ = reader.join());
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// The bodies that two requests get from a server that says `response` to each.
    fn twice(response: &'static str) -> Vec<Vec<u8>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            for _ in 0..2 {
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).unwrap();
                }
                stream.get_mut().write_all(response.as_bytes()).unwrap();
            }
        });
        let mut client = Client::connect(port).unwrap();
        let bodies = (0..2).map(|_| client.get("/").unwrap()).collect();
        server.join().unwrap();
        bodies
    }

    #[test]
    fn a_connection_is_used_again_after_a_body_of_known_length() {
        assert_eq!(twice("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), [b"abc", b"abc"]);
    }

    #[test]
    fn a_connection_is_used_again_after_chunks() {
        assert_eq!(twice("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), [b"abcde", b"abcde"]);
    }
}
