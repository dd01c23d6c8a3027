//! Somebody who looks at requests while they are measured.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread::{self, JoinHandle};

use super::Result;

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
