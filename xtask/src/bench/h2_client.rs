//! The smallest HTTP/2 client (RFC 9113), for requests that can be counted: cleartext with prior knowledge, fixed fields, and all answers read
//! to their ends.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::Result;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection to a loopback port.
#[derive(Debug)]
pub(super) struct H2Client {
    authority: String,
    stream: BufReader<TcpStream>,
    next: u32,
    /// Answers that have not ended yet.
    open: u32,
}

impl H2Client {
    pub(super) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut client = Self { authority: format!("127.0.0.1:{port}"), stream: BufReader::new(stream), next: 1, open: 0 };
        let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        put_frame(&mut opening, SETTINGS, 0, 0, &[]);
        // As much as there can be, so that no more is ever needed.
        put_frame(&mut opening, WINDOW_UPDATE, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes());
        client.stream.get_mut().write_all(&opening)?;
        Ok(client)
    }

    /// Sends so many requests for `target` in one write.
    pub(super) fn ask(&mut self, target: &str, count: u32) -> Result<()> {
        // GET and http from HPACK's static table, path and authority as literals under its names (RFC 7541 §6.2.2, appendix A).
        let mut fields = vec![0x82, 0x86];
        for (name, value) in [(0x04, target), (0x01, &*self.authority)] {
            fields.push(name);
            fields.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).ok_or("a target is too long for this client")?);
            fields.extend_from_slice(value.as_bytes());
        }
        let mut frames = Vec::new();
        for _ in 0..count {
            put_frame(&mut frames, HEADERS, END_STREAM | END_HEADERS, self.next, &fields);
            self.next += 2;
        }
        self.open += count;
        Ok(self.stream.get_mut().write_all(&frames)?)
    }

    /// Reads all answers to their ends.
    pub(super) fn read_all(&mut self) -> Result<()> {
        while self.open > 0 {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head)?;
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload)?;
            match kind {
                HEADERS if payload.first() != Some(&STATUS_200) => return Err("an answer over HTTP/2 was no 200".into()),
                HEADERS | DATA if flags & END_STREAM != 0 => self.open -= 1,
                SETTINGS | PING if flags & ACK == 0 => {
                    let mut answer = Vec::new();
                    put_frame(&mut answer, kind, ACK, 0, if kind == PING { &payload } else { &[] });
                    self.stream.get_mut().write_all(&answer)?;
                }
                RST_STREAM | GOAWAY => return Err("the server gave an HTTP/2 request up".into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// `:status: 200` in HPACK's static table.
const STATUS_200: u8 = 0x88;

fn put_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answers_are_read_to_their_ends() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut frames = Vec::new();
            put_frame(&mut frames, SETTINGS, 0, 0, &[]);
            put_frame(&mut frames, HEADERS, END_HEADERS, 1, &[STATUS_200]);
            put_frame(&mut frames, DATA, 0, 1, b"ab");
            put_frame(&mut frames, HEADERS, END_HEADERS | END_STREAM, 3, &[STATUS_200]);
            put_frame(&mut frames, DATA, END_STREAM, 1, b"c");
            stream.write_all(&frames).unwrap();
            stream
        });
        let mut client = H2Client::connect(port).unwrap();
        client.ask("/a", 2).unwrap();
        client.read_all().unwrap();
        assert_eq!((client.open, client.next), (0, 5));
        drop(server.join().unwrap());
    }
}
