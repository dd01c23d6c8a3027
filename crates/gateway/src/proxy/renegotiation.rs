//! A request once more, for a client that does not accept the coding of what it would get.

use http::Request;
use larder_tower::{FetchError, ServeFuture, Served};

use super::gateway::Service;
use crate::limits::MissTicket;
use crate::routing::{Negotiated, Verdict, WayBody};
use crate::upstream::ClientContext;

/// What it takes to ask once more for the same client.
pub(crate) struct Renegotiation {
    pub(crate) service: Service,
    pub(crate) effective: larder_tower::EffectiveTarget,
    pub(crate) context: ClientContext,
    pub(crate) ticket: Option<MissTicket>,
}

impl Renegotiation {
    /// The answer as the client can take it. `judged` is told the use that the first one was.
    pub(crate) async fn settled(
        self,
        waiting: ServeFuture<WayBody>,
        negotiated: &Negotiated,
        judged: impl FnOnce(Verdict),
    ) -> Result<Served<WayBody>, FetchError> {
        let mut served = waiting.await?;
        let verdict = negotiated.judge(&served.response);
        judged(verdict);
        if matches!(verdict, Verdict::AskAsSent | Verdict::AskForWhole) {
            served = self.ask(negotiated.asked_again(verdict)).await?;
        }
        served.response = negotiated.finished(served.response);
        Ok(served)
    }

    fn ask(self, request: Request<()>) -> ServeFuture<WayBody> {
        let request = request.map(|()| http_body_util::Empty::<bytes::Bytes>::new());
        self.service.serve(request, self.effective, |extensions| {
            extensions.insert(self.context);
            self.ticket.and_then(|ticket| extensions.insert(ticket));
        })
    }
}
