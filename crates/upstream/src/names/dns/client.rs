//! Asks one name server.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{Answer, Kind, Record, UDP_SIZE, answer, question};

/// How long an answer over UDP is waited for, each time.
const UDP_TIME: Duration = Duration::from_secs(2);
/// How often a question is sent whose answer does not come.
const TRIES: usize = 2;
const TCP_TIME: Duration = Duration::from_secs(5);
const NO_SUCH_NAME: u8 = 3;

/// A name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameServer(pub(crate) SocketAddr);

/// A server of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceRecord {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) target: String,
}

impl NameServer {
    /// The addresses of a name, of both families.
    pub(crate) async fn addresses(self, name: &str) -> io::Result<Vec<IpAddr>> {
        let (four, six) = tokio::join!(self.ask(name, Kind::A), self.ask(name, Kind::Aaaa));
        of_both(four, six)
    }

    /// The servers of a service. RFC 2782: "A Target of "." means that the service is decidedly not available at this domain".
    pub(crate) async fn services(self, name: &str) -> io::Result<Vec<ServiceRecord>> {
        let records = self.ask(name, Kind::Srv).await?.into_iter();
        let services = records.filter_map(|record| match record {
            Record::Service { priority, weight, port, target } if !target.is_empty() => {
                Some(ServiceRecord { priority, weight, port, target })
            }
            _ => None,
        });
        Ok(services.collect())
    }

    async fn ask(self, name: &str, kind: Kind) -> io::Result<Vec<Record>> {
        // Who cannot read the packets has to guess the id and the port.
        let id = RandomState::new().hash_one(name) as u16;
        let asked = question(id, name, kind).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name"))?;
        let answer = match self.over_udp(&asked, kind).await? {
            answer if answer.is_truncated => timeout(TCP_TIME, self.over_tcp(&asked, kind)).await??,
            answer => answer,
        };
        match answer.code {
            0 => Ok(answer.records),
            NO_SUCH_NAME => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such name")),
            code => Err(io::Error::other(format!("the name server {} answers with error {code}", self.0))),
        }
    }

    async fn over_udp(self, asked: &[u8], kind: Kind) -> io::Result<Answer> {
        let any: IpAddr = if self.0.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        for _ in 0..TRIES {
            // Each time from a port of its own. Packets from elsewhere do not arrive at a connected socket.
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.connect(self.0).await?;
            socket.send(asked).await?;
            let mut buffer = [0; UDP_SIZE as usize];
            let answered = async {
                loop {
                    let length = socket.recv(&mut buffer).await?;
                    if let Some(answer) = answer(asked, &buffer[..length], kind) {
                        return Ok::<_, io::Error>(answer);
                    }
                }
            };
            if let Ok(answered) = timeout(UDP_TIME, answered).await {
                return answered;
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("the name server {} does not answer", self.0)))
    }

    /// RFC 1035 §4.2.2: each message behind its length.
    async fn over_tcp(self, asked: &[u8], kind: Kind) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(self.0).await?;
        let length = u16::try_from(asked.len()).unwrap_or(u16::MAX).to_be_bytes();
        stream.write_all(&[&length, asked].concat()).await?;
        let mut message = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut message).await?;
        answer(asked, &message, kind).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{} sends no answer", self.0)))
    }
}

/// Name servers that fail for IPv6 alone are common, and have told the other addresses. A failure for IPv4 says nothing of the addresses there
/// are, and IPv6 alone must not take the place of them all.
fn of_both(four: io::Result<Vec<Record>>, six: io::Result<Vec<Record>>) -> io::Result<Vec<IpAddr>> {
    let (four, six) = match (four, six) {
        (Err(error), Ok(_)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        (Err(error), Err(_)) => return Err(error),
        (four, six) => (four.unwrap_or_default(), six.unwrap_or_default()),
    };
    let addresses = four.into_iter().chain(six).filter_map(|record| match record {
        Record::Address(address) => Some(address),
        Record::Service { .. } => None,
    });
    Ok(addresses.collect::<BTreeSet<_>>().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_for_ipv4_does_not_make_ipv6_all_the_addresses() {
        let (one, two): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let told = |address: IpAddr| Ok(vec![Record::Address(address)]);
        let failed = |kind: io::ErrorKind| Err(io::Error::from(kind));
        let both = |four, six| of_both(four, six).map_err(|error| error.kind());
        assert_eq!(both(told(one), told(two)), Ok(vec![one, two]));
        assert_eq!(both(failed(io::ErrorKind::TimedOut), told(two)), Err(io::ErrorKind::TimedOut));
        assert_eq!(both(failed(io::ErrorKind::Other), told(two)), Err(io::ErrorKind::Other));
        assert_eq!(both(failed(io::ErrorKind::NotFound), told(two)), Ok(vec![two]), "no such name is an answer");
        assert_eq!(both(Ok(Vec::new()), told(two)), Ok(vec![two]));
        assert_eq!(both(told(one), failed(io::ErrorKind::TimedOut)), Ok(vec![one]));
        assert_eq!(both(failed(io::ErrorKind::TimedOut), failed(io::ErrorKind::Other)), Err(io::ErrorKind::TimedOut));
    }
}
