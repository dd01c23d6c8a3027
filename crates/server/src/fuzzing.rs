//! The readers of HTTP/1.1 requests, of HTTP/2's fields and of PROXY headers, as functions of bytes: for the fuzz targets in `fuzz/`, and no part of the library's interface.

mod hpack;
mod io;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use larder_config::ServerOptions;

use crate::http1::head::{HeadBuffer, HeadKind};
use crate::listener::proxy_header::{Beginning, beginning};
use crate::request::faults::FramingFaults;
use crate::request::guard::{HeadLimits, Verdict, judge};
use crate::serve::protocols::Protocols;
use io::WatchedInput;

pub use hpack::{DecodedField, blocks};

/// One head, as the reader before hyper found it.
#[derive(Debug)]
pub struct FoundHead {
    /// Its bytes.
    pub text: Vec<u8>,
    /// The request, if it is one that may be answered past hyper.
    pub plain: Option<Request<()>>,
    /// Bytes of content behind it.
    pub content: u64,
}

/// The kind of PROXY header at the start of a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A header.
    Whole {
        /// Its bytes.
        length: usize,
        /// Whom the proxy speaks for, and where that one connected to.
        addresses: Option<(SocketAddr, SocketAddr)>,
    },
    /// The start of one.
    Partial,
    /// Something else.
    Other,
    /// A broken one.
    Broken,
}

/// The PROXY header that these bytes begin with.
pub fn proxy_header(bytes: &[u8]) -> ProxyHeader {
    match beginning(bytes) {
        Beginning::Header(length, spoken) => {
            ProxyHeader::Whole { length, addresses: spoken.map(|spoken| (spoken.source, spoken.destination)) }
        }
        Beginning::Partial => ProxyHeader::Partial,
        Beginning::Other => ProxyHeader::Other,
        Beginning::Broken => ProxyHeader::Broken,
    }
}

/// The heads that are read before hyper, from the pieces in which a connection's bytes arrive, up to one whose end only hyper can find.
pub fn heads(pieces: &[&[u8]]) -> Vec<FoundHead> {
    let (mut heads, mut found, mut content) = (HeadBuffer::default(), Vec::new(), 0_u64);
    for piece in pieces {
        heads.room().extend_from_slice(piece);
        loop {
            let skipped = heads.pending().len().min(usize::try_from(content).unwrap_or(usize::MAX));
            heads.advance(skipped);
            content -= skipped as u64;
            if content > 0 {
                break;
            }
            let plain = match heads.next_head() {
                HeadKind::Partial => break,
                HeadKind::Unclear => return found,
                HeadKind::Plain => Some(heads.request().clone()),
                HeadKind::Other { content: announced } => {
                    content = announced;
                    None
                }
            };
            found.push(FoundHead { text: heads.pending().to_vec(), plain, content });
            heads.drop_request();
        }
    }
    found
}

/// The requests that reach the handler by way of hyper, from the pieces in which a connection's bytes arrive: those whose head is not refused and
/// whose content is whole.
pub fn requests(pieces: &[&[u8]]) -> Vec<Request<Bytes>> {
    let options = ServerOptions::default();
    let limits = HeadLimits::of(&options);
    let (faults, handled) = (Cell::new(FramingFaults::default()), RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let is_refused = matches!(judge(&request, faults.get(), limits), Verdict::Refuse(_));
        let handled = &handled;
        async move {
            if is_refused {
                return Err("refused");
            }
            let (head, content) = request.into_parts();
            let content = content.collect().await.map_err(|_| "content broke its framing")?.to_bytes();
            handled.borrow_mut().push(Request::from_parts(head, content));
            Ok::<_, &str>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let input = WatchedInput::new(pieces, &faults);
    let mut connection = pin!(Protocols::new(options).http1().serve_connection(input, service));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    // hyper gives way to other tasks after some rounds, and wakes itself then. Nothing else has to be waited for.
    while connection.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() && woken.0.swap(false, Ordering::Relaxed) {}
    handled.take()
}

/// Whether a task has been woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
