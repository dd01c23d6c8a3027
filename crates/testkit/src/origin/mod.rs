//! A scripted origin over real sockets.
//!
//! ```
//! # tokio_test();
//! # fn tokio_test() { tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use larder_testkit::{Answer, Client, Origin};
//!
//! let origin = Origin::start().await.unwrap();
//! origin.once("GET", "/a", Answer::ok().chunk("first, ").wait("middle").chunk("second"));
//!
//! let mut client = Client::connect(origin.address()).await.unwrap();
//! client.send("GET", "/a", &[], "").await.unwrap();
//! client.read_until("first, ").await.unwrap();
//! origin.gate("middle").open();
//! assert_eq!(client.finish().await.unwrap().text(), "first, second");
//! # }); }
//! ```

mod answer;
mod serve;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answer::Answer;

use crate::gate::{Gate, Gates};
use crate::wait::within;
use crate::wire::Head;
use crate::{Error, Result};

/// One request as the origin received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its head, byte for byte in [`Head::raw`].
    pub head: Head,
    /// The method.
    pub method: String,
    /// The request target as sent.
    pub target: String,
    /// The body without its framing, as far as it came.
    pub body: Vec<u8>,
    /// The trailer section's lines.
    pub trailers: Vec<(String, String)>,
    /// Whether the body ended as its framing says.
    pub complete: bool,
    /// Whether nothing more of it can come.
    pub ended: bool,
    /// Its position in [`Origin::received`].
    pub number: usize,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Received {
    /// The value of the first line with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// Method and target, for messages.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// Chooses the answer to a request.
type Handler = Box<dyn Fn(&Received) -> Answer + Send + Sync>;

struct Rule {
    method: String,
    target: String,
    /// How many more requests it answers; nothing for as many as come.
    left: Option<usize>,
    handler: Handler,
}

struct State {
    rules: Mutex<Vec<Rule>>,
    /// Answers everything in place of the rules.
    unrecorded: Option<Handler>,
    received: watch::Sender<Vec<Received>>,
    unexpected: Mutex<Vec<String>>,
    connections: AtomicUsize,
    gates: Gates,
}

/// The origin. It stops, and closes its connections, when dropped.
pub struct Origin {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Origin {
    /// Listens on a free port of the loopback interface.
    pub async fn start() -> Result<Self> {
        Self::start_at(&format!("{}:0", own_loopback())).await
    }

    /// Answers every request with what `handler` makes of it, once all of it has come, and keeps nothing of it: for more requests than memory holds.
    pub async fn unrecorded(handler: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Result<Self> {
        Self::listen(&format!("{}:0", own_loopback()), Some(Box::new(handler))).await
    }

    /// Listens on this address.
    pub async fn start_at(address: &str) -> Result<Self> {
        Self::listen(address, None).await
    }

    async fn listen(address: &str, unrecorded: Option<Handler>) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            rules: Mutex::default(),
            unrecorded,
            received: watch::Sender::default(),
            unexpected: Mutex::default(),
            connections: AtomicUsize::new(0),
            gates: Gates::default(),
        });
        let accepting = tokio::spawn(serve::accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next request for this target, once. Several for one target answer in the order given.
    pub fn once(&self, method: &str, target: &str, answer: Answer) {
        self.times(1, method, target, answer);
    }

    /// Answers the next `count` requests for this target.
    pub fn times(&self, count: usize, method: &str, target: &str, answer: Answer) {
        self.add(method, target, Some(count), Box::new(move |_| answer.clone()));
    }

    /// Answers every request for this target that no earlier rule answers.
    pub fn always(&self, method: &str, target: &str, answer: Answer) {
        self.add(method, target, None, Box::new(move |_| answer.clone()));
    }

    /// Answers every request for this target with what `handler` makes of it.
    pub fn respond_with(&self, method: &str, target: &str, handler: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        self.add(method, target, None, Box::new(handler));
    }

    /// Answers with `answer` under this entity tag, or 304 where `If-None-Match` has it.
    pub fn validated(&self, target: &str, etag: &'static str, answer: Answer) {
        self.respond_with("GET", target, move |request| match request.header("if-none-match") {
            Some(tags) if tags.contains(etag) => Answer::new(304).header("ETag", etag),
            _ => answer.clone(),
        });
    }

    /// Answers `count` requests, or all, with what `handler` makes of them.
    pub fn add(&self, method: &str, target: &str, count: Option<usize>, handler: Handler) {
        let rule = Rule { method: method.to_owned(), target: target.to_owned(), left: count, handler };
        self.state.rules.lock().expect("no one panics while holding the rules").push(rule);
    }

    /// The gate with this name, which answers may wait at.
    pub fn gate(&self, name: &str) -> Gate {
        self.state.gates.get(name)
    }

    /// Every request whose head was read, in the order they came.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.borrow().clone()
    }

    /// How many requests came.
    pub fn request_count(&self) -> usize {
        self.state.received.borrow().len()
    }

    /// How many requests came for this target.
    pub fn count_of(&self, target: &str) -> usize {
        self.state.received.borrow().iter().filter(|request| request.target == target).count()
    }

    /// How many connections were accepted.
    pub fn connection_count(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Waits until this many requests have come.
    pub async fn wait_for_requests(&self, count: usize) -> Result<()> {
        let mut received = self.state.received.subscribe();
        within(format!("waiting for request {count} at the origin"), received.wait_for(|all| all.len() >= count)).await??;
        Ok(())
    }

    /// Waits until the body of the request with this number is `body` so far.
    pub async fn wait_for_body(&self, number: usize, body: &[u8]) -> Result<()> {
        self.wait_for("the request's body", number, |request| request.body == body).await
    }

    /// Waits until the request with this number has ended, completely or not.
    pub async fn wait_for_end(&self, number: usize) -> Result<()> {
        self.wait_for("the request's end", number, |request| request.ended).await
    }

    async fn wait_for(&self, what: &str, number: usize, holds: impl Fn(&Received) -> bool) -> Result<()> {
        let mut received = self.state.received.subscribe();
        within(format!("waiting for {what}"), received.wait_for(|all| all.get(number).is_some_and(&holds))).await??;
        Ok(())
    }

    /// An error where a request came that no rule answers.
    pub fn check(&self) -> Result<()> {
        let unexpected = self.state.unexpected.lock().expect("no one panics while holding this list");
        if unexpected.is_empty() {
            Ok(())
        } else {
            Err(Error::new(format!("the origin got unexpected requests: {}", unexpected.join(", "))))
        }
    }

    /// Closes the listener and every connection: from now on the origin refuses.
    pub async fn stop(&mut self) {
        self.accepting.abort();
        // The listener is closed once the task is gone, which is when a join returns.
        let _ = (&mut self.accepting).await;
    }
}

/// A loopback address of this process alone: once the origin has stopped, no other test's server can be met on its port.
fn own_loopback() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // The last byte is neither the network's nor its broadcast address, and the address is not 127.0.0.1 of all others.
    Ipv4Addr::new(127, 64 | (high << 1) | (low >> 7), middle, 1 + (low & 0x7f))
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    /// The answer to this request, taken from the first rule that has one left.
    fn answer(&self, request: &Received) -> Answer {
        let mut rules = self.rules.lock().expect("no one panics while holding the rules");
        let matching = |rule: &&mut Rule| rule.method == request.method && rule.target == request.target && rule.left != Some(0);
        let Some(rule) = rules.iter_mut().find(matching) else {
            self.unexpected.lock().expect("no one panics while holding this list").push(request.line());
            return Answer::new(599).header("Cache-Control", "no-store").body("the origin has no answer for this request").close();
        };
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        (rule.handler)(request)
    }
}
