//! One comparison of what is stored with what the origin says.

use std::sync::Arc;

use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use larder_semantics::Scope;
use larder_semantics::guard::{has_credentials, without_credentials};
use larder_store::StoredResponse;
use larder_tower::{BoxError, CacheService, DryRun, EffectiveTarget};

use super::answer::{Answer, MAX_BODY, Places};
use super::kept::{Kept, Part};
use super::noise::without;
use super::report::Example;
use super::route::RouteVerify;
use super::state::{Judgement, told};
use crate::client::ClientConnection;
use crate::routing::RouteUpstream;
use crate::telemetry::access_log::{redacted, timestamp};
use crate::upstream::ClientContext;

/// A hit that is to be compared.
pub(crate) struct Sampled {
    pub(super) verify: Arc<RouteVerify>,
    pub(super) service: CacheService<RouteUpstream>,
    /// The request as the cache has seen it.
    pub(super) head: Request<()>,
    pub(super) effective: EffectiveTarget,
    pub(super) connection: ClientConnection,
    /// What would have been served; `None`: what is stored at the time of the comparison.
    pub(super) kept: Option<Kept>,
    /// The part of the body that the client got; `None`: the whole.
    pub(super) part: Option<Part>,
}

/// What cannot be compared.
pub(super) struct NotJudged;

impl Sampled {
    /// A request for a part, or for what has changed, says little about the whole; other methods have no answers in the store.
    pub(crate) fn of(
        verify: &Arc<RouteVerify>,
        service: &CacheService<RouteUpstream>,
        head: Request<()>,
        effective: &EffectiveTarget,
        connection: ClientConnection,
    ) -> Option<Self> {
        let sampled = Self::whatever(verify, service, head, effective, connection);
        (sampled.is_get() && !sampled.head.headers().contains_key(RANGE)).then_some(sampled)
    }

    /// As [`Self::of`], whatever is asked for.
    pub(super) fn whatever(
        verify: &Arc<RouteVerify>,
        service: &CacheService<RouteUpstream>,
        head: Request<()>,
        effective: &EffectiveTarget,
        connection: ClientConnection,
    ) -> Self {
        let (verify, service, effective) = (Arc::clone(verify), service.clone(), effective.clone());
        Self { verify, service, head, effective, connection, kept: None, part: None }
    }

    /// Whether its answer has a body.
    pub(super) fn is_get(&self) -> bool {
        *self.head.method() == http::Method::GET
    }

    /// Compares in the background.
    pub(crate) fn begin(self) {
        tokio::spawn(async move { self.compare(None).await });
    }

    /// Compares, with the answer that a client has got from the origin, where there is one.
    pub(super) async fn compare(self, fresh: Option<Answer>) -> Judgement {
        let state = Arc::clone(&self.verify.state);
        let judgement = match state.begin() {
            // The origin's places are for clients.
            Some(_running) if !self.service.route().is_full() => self.judge(fresh).await.unwrap_or(Judgement::NotJudged),
            _ => Judgement::Skipped,
        };
        state.count(judgement);
        if judgement == Judgement::Leak {
            self.verify.leaked(self.service.cache(), &self.url()).await;
        }
        judgement
    }

    async fn judge(&self, fresh: Option<Answer>) -> Result<Judgement, NotJudged> {
        let run = self.dry_run(self.head.headers().clone());
        // What was served has made room, or was purged meanwhile.
        let Some(Kept { stored, age }) = self.kept.clone().or_else(|| Kept::of(&run)) else { return Ok(Judgement::Skipped) };
        let served = self.served(&stored).await?;
        let fresh = match fresh {
            Some(fresh) => fresh,
            None => self.ask(&run).await?,
        };
        let mut noise = self.verify.state.found().noise.known();
        let mut places = without(served.differences(&fresh), &noise);
        if !places.is_empty() {
            let again = self.ask(&run).await?;
            let unsteady = fresh.differences(&again);
            self.verify.state.found().noise.learn(&unsteady);
            noise.extend(unsteady);
            places = without(places, &noise);
        }
        let example = || Example { at: timestamp(run.now), url: self.url(), age, leak: false, places: told(&places) };
        if self.depends_on_who(&run, &stored, (&fresh, places.is_empty()), &noise).await? {
            self.verify.state.found().leaked(example());
            return Ok(Judgement::Leak);
        }
        if places.is_empty() {
            self.verify.state.found().agreed(age);
            return Ok(Judgement::Agreed);
        }
        self.verify.state.found().differed(example());
        Ok(Judgement::Differed)
    }

    /// Whether the origin's answer depends on who asks, though what is stored is for everyone.
    async fn depends_on_who(
        &self,
        run: &DryRun,
        stored: &StoredResponse,
        (fresh, agrees): (&Answer, bool),
        noise: &Places,
    ) -> Result<bool, NotJudged> {
        if self.service.route().policy().scope == Scope::Identity {
            return Ok(false);
        }
        // Another variant is another answer, and so is a part.
        let variant = stored.variant().map(|variant| variant.secondary.text());
        let key = (run.key().map(|key| key.text()), variant, self.part.map(|part| (part.range.first, part.range.last)));
        let depends = self.verify.state.found().answers.add(&key, self.head.headers(), fresh.digest(noise));
        if depends || agrees || !has_credentials(self.head.headers()) {
            return Ok(depends);
        }
        let mut fields = self.head.headers().clone();
        without_credentials(&mut fields);
        let Ok(of_nobody) = self.ask(&self.dry_run(fields)).await else { return Ok(false) };
        // A refusal is no other client's answer.
        if of_nobody.status != fresh.status || without(fresh.differences(&of_nobody), noise).is_empty() {
            return Ok(false);
        }
        // The answer may have changed between the two.
        let again = self.ask(run).await?;
        Ok(without(fresh.differences(&again), noise).is_empty())
    }

    fn dry_run(&self, fields: HeaderMap) -> DryRun {
        let mut request = Request::new(());
        (*request.method_mut(), *request.uri_mut(), *request.version_mut()) =
            (self.head.method().clone(), self.head.uri().clone(), self.head.version());
        (*request.headers_mut(), *request.extensions_mut()) = (fields, self.head.extensions().clone());
        self.service.dry_run(request, &self.effective, &Bytes::new())
    }

    async fn served(&self, stored: &StoredResponse) -> Result<Answer, NotJudged> {
        let body = self.service.cache().body_of::<crate::routing::WayBody>(stored);
        let headers: HeaderMap = stored.head.headers.to_map();
        self.answer(stored.head.status, &headers, body).await
    }

    async fn ask(&self, run: &DryRun) -> Result<Answer, NotJudged> {
        let connection = self.connection;
        let asked = self.service.ask_origin(run, |extensions| {
            extensions.insert(ClientContext { connection, interim: None, min_upload_rate: 0, observer: None });
        });
        let (parts, body) = asked.await.map_err(|_| NotJudged)?.into_parts();
        is_judged(parts.status)?;
        self.answer(parts.status, &parts.headers, body).await
    }

    /// An answer, or the part of it that the client asked for.
    async fn answer<B>(&self, status: StatusCode, headers: &HeaderMap, body: B) -> Result<Answer, NotJudged>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<BoxError>,
    {
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| NotJudged)?.to_bytes();
        let (status, body) = match self.part {
            Some(part) if status == StatusCode::OK => (StatusCode::PARTIAL_CONTENT, part.of(body)),
            _ => (status, body),
        };
        Answer::new(status, headers, body, &self.verify.settings).ok_or(NotJudged)
    }

    fn url(&self) -> String {
        let scheme = self.effective.scheme.unwrap_or("http");
        let host = || self.head.headers().get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let authority = self.effective.authority.as_deref().unwrap_or_else(host);
        let target = self.head.uri().path_and_query().map_or("/", |target| target.as_str());
        redacted(&format!("{scheme}://{authority}{target}")).into_owned()
    }
}

/// An origin that fails, or has enough of requests, says nothing about what is stored.
pub(super) fn is_judged(status: StatusCode) -> Result<(), NotJudged> {
    match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        true => Err(NotJudged),
        false => Ok(()),
    }
}
