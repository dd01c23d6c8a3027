//! A read of a route in shadow mode: the origin answers it, whatever is stored or under way, and what would have been served is compared with its answer.

use std::sync::Arc;

use http::Request;
use http_body_util::Limited;
use hyper::body::Body;
use larder_semantics::Reason;

use super::gateway::{Answered, Service};
use super::onward::walk_negotiated;
use super::pending::PendingAnswer;
use crate::active::ActiveConfig;
use crate::limits::NewTicket;
use crate::routing::head_of;
use crate::server::Lingering;
use crate::upstream::ClientContext;
use crate::verify::{RouteVerify, Shadow};

/// All that such a request needs on its way.
pub(super) struct Shadowing {
    pub(super) active: Arc<ActiveConfig>,
    pub(super) service: Service,
    pub(super) verify: Arc<RouteVerify>,
    pub(super) effective: larder_tower::EffectiveTarget,
    pub(super) context: ClientContext,
    pub(super) ticket: Option<NewTicket>,
}

impl Shadowing {
    /// What would be served goes past the cache; anything else fills it.
    pub(super) async fn answered(self, mut pending: PendingAnswer, mut request: Request<Limited<Lingering>>) -> Answered {
        let Self { active, service, verify, effective, context, ticket } = self;
        let began = pending.tracing.now();
        // A key that content is part of is known once that is read, which is too late here.
        let has_content = !request.body().is_end_stream();
        let codings = active.codings_of(service.route().index());
        let shadow = if has_content {
            None
        } else {
            let mut head = head_of(&request);
            codings.into_iter().for_each(|codings| _ = codings.ask_for_all(&mut head));
            Shadow::of(&verify, &service, head, &effective, context.connection).await
        };
        pending.tracing.looked_up(began);
        let passes = has_content || shadow.is_some();
        let origin_only = service.by_origin_only();
        if let Some(negotiated) = codings.filter(|_| !passes).and_then(|codings| codings.negotiate(&mut request)) {
            let (answer, again) = walk_negotiated(&origin_only, request, effective, context, &mut pending, ticket);
            return pending.waits_negotiated(active, answer, negotiated, again).await;
        }
        let observer = pending.observer();
        let extend = |extensions: &mut http::Extensions| {
            extensions.insert(ClientContext { observer, ..context });
            pending.tracing.extend(extensions);
            pending.limited.extend(ticket, extensions);
        };
        let answer = match passes {
            true => service.pass_by(request, effective, Reason::Shadow, extend),
            false => origin_only.serve(request, effective, extend),
        };
        match shadow {
            Some(shadow) => pending.waits_shadowed(active, answer, shadow).await,
            None => pending.waits(active, answer).await,
        }
    }
}
