//! The origin that a test plays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use larder_tower::clock::ClockHand;

use crate::config::{TestAnswer, TestContent, TestFailure};
use crate::upstream::{StandIn, UpstreamError};

/// The path that a client has asked for, in the extensions of its request: the origin's may be another.
#[derive(Clone, Debug)]
pub(super) struct ClientPath(pub(super) Arc<str>);

/// Answers what the steps say, in place of every upstream.
#[derive(Debug)]
pub(super) struct PlayedOrigin {
    hand: ClockHand,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last answers, by path and method.
    by_method: HashMap<(String, Method), TestAnswer>,
    /// The last answers, by path.
    last: HashMap<String, TestAnswer>,
    /// The path that the current step has an answer of its own for.
    own: Option<String>,
    /// The paths of clients, by those that the origin was asked for.
    client_paths: HashMap<String, Arc<str>>,
    asked: Vec<Asked>,
}

/// A request that has come to the origin.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// As the client has it.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// Whether a step has said what it is answered with.
    pub(super) is_known: bool,
}

impl PlayedOrigin {
    pub(super) fn new(hand: ClockHand) -> Self {
        Self { hand, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step begins: from now on this is the answer for its path, where it has one.
    pub(super) fn begin(&self, path: &str, method: &Method, answer: Option<&TestAnswer>) {
        let state = &mut *self.state();
        state.asked.clear();
        state.own = answer.map(|answer| {
            state.by_method.insert((path.to_owned(), kind_of(method)), answer.clone());
            state.last.insert(path.to_owned(), answer.clone());
            path.to_owned()
        });
    }

    /// What it was asked since the step began.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }
}

impl State {
    /// What is answered, and whether it is so as the step has written it.
    fn answer(&mut self, request: &Parts) -> Option<(TestAnswer, bool)> {
        let own = request.uri.path();
        let path = match request.extensions.get::<ClientPath>() {
            Some(ClientPath(path)) => {
                self.client_paths.insert(own.to_owned(), Arc::clone(path));
                path.to_string()
            }
            // A refetch of what a write has changed is no client's own.
            None => self.client_paths.get(own).map_or(own, |path| &**path).to_owned(),
        };
        let of_method = self.by_method.get(&(path.clone(), kind_of(&request.method)));
        let answer = of_method.or_else(|| self.last.get(&path)).cloned();
        let is_own = self.own.as_ref() == Some(&path);
        let (method, headers) = (request.method.clone(), request.headers.clone());
        self.asked.push(Asked { method, path, headers, is_known: answer.is_some() });
        Some((answer?, is_own))
    }
}

/// A HEAD is answered as a GET is.
fn kind_of(method: &Method) -> Method {
    if *method == Method::HEAD { Method::GET } else { method.clone() }
}

impl StandIn for PlayedOrigin {
    fn answer(&self, _: usize, request: Parts, _: Bytes) -> Result<Response<Bytes>, UpstreamError> {
        let found = self.state().answer(&request);
        let Some((TestAnswer { takes, content }, is_own)) = found else {
            return Err(UpstreamError::Refused("no step says what this is answered with".into()));
        };
        self.hand.advance_by(takes);
        let (status, headers, body) = match content {
            TestContent::Failure(TestFailure::Unreachable) => return Err(UpstreamError::Refused("the test says so".into())),
            TestContent::Failure(TestFailure::Timeout) => return Err(UpstreamError::FirstByteTimeout),
            TestContent::Response { status, headers, body } => (status, headers, body),
        };
        // What the origin had before it still has, and says so to those who ask for that.
        let status = if !is_own && is_unchanged(&request.headers, status, &headers) { StatusCode::NOT_MODIFIED } else { status };
        let is_bodiless = request.method == Method::HEAD || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
        let mut response = Response::new(if is_bodiless { Bytes::new() } else { body });
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

/// Whether the client has this response (RFC 9110 §13.1.2, §13.1.3).
fn is_unchanged(request: &HeaderMap, status: StatusCode, headers: &HeaderMap) -> bool {
    if !status.is_success() {
        return false;
    }
    let opaque = |tag: &[u8]| tag.trim_ascii().strip_prefix(b"W/").unwrap_or(tag.trim_ascii()).to_vec();
    match (request.get(IF_NONE_MATCH), headers.get(ETAG)) {
        (Some(known), Some(tag)) => known.as_bytes().split(|&byte| byte == b',').any(|known| opaque(known) == opaque(tag.as_bytes())),
        (Some(_), None) => false,
        (None, _) => request.get(IF_MODIFIED_SINCE).is_some_and(|since| headers.get(LAST_MODIFIED) == Some(since)),
    }
}
