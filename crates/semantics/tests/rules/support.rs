//! Requests, responses and the time between them, in few words.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use larder_semantics::{
    Decision, Disposition, Exchange, MethodKind, Policy, Reason, RequestContext, StoredHead, Timestamp, VarySpec, decide, on_response,
};

/// Sun, 06 Nov 1994 08:49:37 GMT.
pub(crate) const T0: Timestamp = Timestamp::from_secs(784_111_777);
pub(crate) const T0_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
pub(crate) const HOUR_BEFORE: &str = "Sun, 06 Nov 1994 07:49:37 GMT";

pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn after(seconds: u64) -> Timestamp {
    Timestamp::from_millis(T0.as_millis() + seconds * 1000)
}

pub(crate) fn map(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The fields of a stored response as they are served.
pub(crate) fn fields(stored: &StoredHead) -> HeaderMap {
    stored.headers.to_map()
}

pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// A cache with one route, and no store: what is stored is handed around by the test.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    pub(crate) policy: Policy,
    pub(crate) identified: bool,
}

impl Cache {
    pub(crate) fn with(policy: Policy) -> Self {
        Self { policy, identified: false }
    }

    pub(crate) fn request(&self, method: &Method, fields: Fields<'_>) -> RequestContext {
        RequestContext::new(method, &map(fields), &self.policy, self.identified, false)
    }

    /// The storing decision for a response at `T0` to a request.
    pub(crate) fn receive(&self, method: &Method, request: Fields<'_>, status: u16, response: Fields<'_>) -> Disposition {
        self.receive_at(T0, method, request, status, response, &[])
    }

    pub(crate) fn receive_at(
        &self,
        now: Timestamp,
        method: &Method,
        request: Fields<'_>,
        status: u16,
        response: Fields<'_>,
        candidates: &[&StoredHead],
    ) -> Disposition {
        let (request_headers, headers) = (map(request), map(response));
        on_response(&self.exchange(now, method, &self.request(method, request), &request_headers, status, &headers), candidates)
    }

    pub(crate) fn exchange<'a>(
        &'a self,
        now: Timestamp,
        method: &'a Method,
        request: &'a RequestContext,
        request_headers: &'a HeaderMap,
        status: u16,
        headers: &'a HeaderMap,
    ) -> Exchange<'a> {
        Exchange {
            policy: &self.policy,
            request,
            method,
            request_headers,
            request_time: now,
            response_time: now,
            status: StatusCode::from_u16(status).unwrap(),
            headers,
        }
    }

    /// Stores a 200 to a plain GET at `T0`.
    pub(crate) fn store(&self, response: Fields<'_>) -> StoredHead {
        self.store_with(&[], 200, response).0
    }

    pub(crate) fn store_with(&self, request: Fields<'_>, status: u16, response: Fields<'_>) -> (StoredHead, Option<VarySpec>) {
        match self.receive(&Method::GET, request, status, response) {
            Disposition::Store { head, vary, kept: true } => ((*head).clone(), vary),
            other => panic!("not stored: {other:?}"),
        }
    }

    /// Why a response to a plain GET is not stored, and whether that is remembered.
    pub(crate) fn refuse(&self, request: Fields<'_>, status: u16, response: Fields<'_>) -> (Reason, bool) {
        match self.receive(&Method::GET, request, status, response) {
            Disposition::Pass { reason, remember } => (reason, remember),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The decision for a GET `seconds` after `T0`.
    pub(crate) fn get(&self, seconds: u64, request: Fields<'_>, stored: &StoredHead) -> Decision {
        let context = self.request(&Method::GET, request);
        assert_eq!(context.method, MethodKind::Get);
        decide(&self.policy, &context, Some(stored), after(seconds))
    }
}

pub(crate) fn serve(age: u32, reason: Reason) -> Decision {
    Decision::Serve { age, reason }
}

pub(crate) fn validate(reason: Reason) -> Decision {
    Decision::Validate { reason }
}
