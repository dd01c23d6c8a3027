//! The dry run of one request.

use http::Request;
use http::request::Parts;
use larder_semantics::reuse::told::tells_its_own;
use larder_semantics::{MethodKind, Reason};
use larder_tower::clock::monotonic;
use larder_tower::{DryPart, DryRun, TierLook, Verdict as Decided};

use super::report::{Decision, Explanation, FetchReport, PartReport, TierReport, Verdict};
use super::request::ExplainRequest;
use super::{fetched, keys, routes, stored};
use crate::active::ActiveConfig;
use crate::client;
use crate::problem::Problem;
use crate::proxy::{Service, Step, for_the_cache, way};
use crate::purge::Refused;
use crate::routing::reads_content;
use crate::upstream::ClientContext;

/// Explains how a request would be answered now.
pub(crate) async fn explain(active: &ActiveConfig, question: ExplainRequest) -> Result<Explanation, Refused> {
    let ExplainRequest { request, connection, data, fetch } = question;
    let (head, length) = (copy_of(&request), data.len() as u64);
    let target = client::effective_target(head.uri(), head.headers(), &connection, &active.trusted);
    let way = way(active, &request, &target, |max| max.is_some_and(|max| length > max));
    let route = way.service.map(|service| service.route().index());
    let mut explanation = Explanation {
        method: head.method().to_string(),
        url: url_of(&target, head.uri()),
        client: target.client.to_string(),
        route: route.and_then(|route| routes::route_report(active, route)),
        not_taken: routes::not_taken(&active.config, route, &head, &target.authority),
        ..Explanation::default()
    };
    if connection.peer.to_canonical() != target.client {
        explanation.notes.push(format!("the client's address is what a trusted proxy says: the connection comes from {}", connection.peer));
    }
    // A write that asks for an upgrade invalidates as any: its origin may ignore that.
    if let (Step::Cache(_) | Step::Tunnel, Some(service)) = (&way.step, way.service)
        && !service.route().reads(head.method())
        && MethodKind::of(head.method()) == MethodKind::Unsafe
    {
        explanation.invalidates = invalidated(service, &copy_of(&head).into_parts().0, &target);
    }
    let (service, past_cache) = match (way.step, way.service) {
        (Step::Cache(past_cache), Some(service)) => (service, past_cache),
        (step, _) => {
            explanation.decision = before_the_cache(&step);
            return Ok(explanation);
        }
    };
    let reads = service.route().reads(head.method());
    let (client, effective) = (target.client, for_the_cache(target));
    if let Some(limits) = active.limits_of(service.route().index()) {
        explanation.notes.extend(limits.explained(&limits.keys(&head, client)));
    }
    let mut request = request;
    let edits = active.edits_of(service.route().index());
    let answer_edits = edits.and_then(|edits| edits.apply(request.headers_mut(), client, active.trusted.contains(connection.peer)));
    if edits.is_some() {
        explanation.notes.push("the route changes fields of the request or the answer (`request`, `response`)".to_owned());
    }
    let codings = active.codings_of(service.route().index()).filter(|_| past_cache.is_none());
    if let Some(codings) = codings.filter(|_| reads_content(service.route(), request.method())) {
        codings.narrow(request.headers_mut());
    }
    if codings.filter(|_| length == 0).is_some_and(|codings| codings.ask_for_all(&mut request).is_some()) {
        explanation.notes.push("the client accepts less than `encodings` keeps: it gets unpacked what it cannot take".to_owned());
    }
    if let Some(reason) = past_cache.filter(|_| reads) {
        explanation.decision = decision(Verdict::Pass, None, reason, "It passes by the store, both ways.");
        return Ok(explanation);
    }
    let run = service.dry_run(request, &effective, &data);
    look(&mut explanation, service, &run, &head);
    if let (Some(report), Some(key)) = (&mut explanation.key, run.key()) {
        report.name = active.name_of(key);
    }
    explanation.tiers = service.ask_tiers(&run).await.iter().map(tier_report).collect();
    let in_shadow = active.verify_of(service.route().index()).is_some_and(|verify| verify.is_shadow());
    // A key that content is part of comes too late for what is compared: all of that passes by.
    if in_shadow && reads && (length > 0 || explanation.decision.verdict == Verdict::Hit) {
        let summary = "The origin is asked, and what would have been served is compared with its answer.";
        explanation.decision = decision(Verdict::Pass, None, Reason::Shadow, summary);
    }
    if service.route().policy().scope == larder_semantics::Scope::Identity && !run.context().identified && run.key().is_some() {
        explanation
            .notes
            .push("the route keeps answers apart by identity, and this request shows none: it gets what is for everyone".to_owned());
    }
    if tells_its_own(service.route().policy()) {
        explanation.notes.push("clients, or the next cache, are told a lifetime of the route's own (`client_ttl`, `cdn_ttl`)".to_owned());
    }
    if fetch {
        let fetched = try_out(service, &run, |extensions| {
            extensions.insert(ClientContext { connection, interim: None, min_upload_rate: 0, observer: None });
            answer_edits.and_then(|edits| extensions.insert(edits));
        });
        explanation.fetched = Some(fetched.await);
    }
    Ok(explanation)
}

/// The key, what lies under it, and the decision.
fn look(explanation: &mut Explanation, service: &Service, run: &DryRun, sent: &Request<()>) {
    explanation.key =
        run.key().and_then(|key| keys::of_request(key.text(), service.route().key(), &explanation.url, sent.uri(), sent.headers()));
    let cache = service.cache();
    for slot in &run.stored {
        let names = |stored: &larder_store::StoredResponse| service.names_of_tags(run.request(), stored);
        if let Some(mut report) = stored::stored_report(cache, slot, names) {
            let is_selected =
                |stored: &std::sync::Arc<_>| matches!(slot, larder_store::Slot::Response(other) if std::sync::Arc::ptr_eq(stored, other));
            report.selected = run.selected.as_ref().is_some_and(is_selected);
            explanation.stored.push(report);
        }
    }
    let part = |part: &DryPart| PartReport { key: part.key.text().to_owned(), age: part.age };
    explanation.parts = run.parts.iter().map(part).collect();
    let known = run.parts.iter().filter(|part| part.age.is_some()).count();
    explanation.decision = match run.verdict {
        Decided::Fetch { reason, .. } if !run.parts.is_empty() => {
            let (all, rest) = (run.parts.len(), run.parts.len() - known);
            let summary =
                format!("{known} of its {all} parts are answered from the store, and the origin is asked for {rest} in one request.");
            decision(Verdict::Miss, None, reason, &summary)
        }
        Decided::Hit { reason, status, age, refreshes } => {
            let age = age.map_or(String::new(), |age| format!(", {age} s old"));
            let refresh = if refreshes { ", and a refresh begins in the background" } else { "" };
            decision(Verdict::Hit, Some(status.as_u16()), reason, &format!("It is answered from the store{age}{refresh}."))
        }
        Decided::Fetch { reason, .. } if run.selected.is_some() => {
            decision(Verdict::Miss, None, reason, "The origin is asked whether what is stored still holds.")
        }
        Decided::Fetch { reason, .. } => {
            decision(Verdict::Miss, None, reason, "The origin is asked, and its answer is stored where that is allowed.")
        }
        Decided::Pass { reason, .. } => decision(Verdict::Pass, None, reason, "The origin is asked, past the store."),
        Decided::GatewayTimeout { reason } => decision(Verdict::Refused, Some(504), reason, "It is answered with 504."),
    };
    if known < run.parts.len() && !cache.tier_stats().is_empty() {
        explanation.notes.push("the tiers behind the memory are asked for each part that is not in memory".to_owned());
    }
    explanation.notes.extend(refreshed_ahead(service, run));
    if run.verdict.reason() == Reason::BypassParameter {
        explanation
            .notes
            .push("the bypass parameter counts for a client as often as `bypass.rate` allows; this dry run has taken none".to_owned());
    }
}

/// When a use of the stored response begins its next fetch, where one does before it is stale.
fn refreshed_ahead(service: &Service, run: &DryRun) -> Option<String> {
    let (after, stored) = (run.refreshed_ahead_in?, run.selected.as_ref()?);
    let seconds = after.as_millis().div_ceil(1000);
    let when = if seconds == 0 { "now on".to_owned() } else { format!("in {seconds} s on") };
    let wanted = service.route().policy().refresh_ahead_hits;
    let condition = match stored.uses().saturating_add(1) < wanted {
        true => format!(", once it has answered {wanted} requests (`refresh_ahead_hits`)"),
        false => String::new(),
    };
    Some(format!("the first request from {when} begins its next fetch in the background (`refresh_ahead`){condition}"))
}

fn decision(verdict: Verdict, status: Option<u16>, reason: Reason, summary: &str) -> Decision {
    Decision {
        verdict,
        summary: summary.to_owned(),
        status,
        reason: Some(reason.as_str().to_owned()),
        meaning: Some(reason.meaning().to_owned()),
        advice: reason.advice().map(str::to_owned),
    }
}

/// What happens to a request that does not come as far as the cache.
fn before_the_cache(step: &Step) -> Decision {
    let plain = |verdict, status, summary: String| Decision { verdict, status, summary, ..Decision::default() };
    match step {
        Step::Purge => plain(Verdict::Purge, None, "It is a purge on the public listener (`public_from` in [purge]).".to_owned()),
        Step::Tunnel => decision(Verdict::Tunnel, None, Reason::Upgrade, "It becomes a tunnel to the origin."),
        Step::Refuse(problem) => refused(problem),
        Step::Cache(_) => plain(Verdict::Refused, Some(404), "No route is configured for this request.".to_owned()),
    }
}

fn refused(problem: &Problem) -> Decision {
    Decision {
        verdict: Verdict::Refused,
        status: Some(problem.status().as_u16()),
        summary: problem.detail().to_owned(),
        ..Decision::default()
    }
}

/// The targets that a write invalidates, in the words of a purge.
fn invalidated(service: &Service, parts: &Parts, target: &client::EffectiveTarget<'_>) -> Vec<String> {
    let target = target.of(&parts.uri);
    let rules = service.route().writes().invalidates(parts, target);
    let mut words: Vec<String> = Vec::new();
    for rules in service.route().writes().readings(target).iter().chain([service.route()]) {
        let word = format!("url {}", rules.key().url_of(target));
        if !words.contains(&word) {
            words.push(word);
        }
    }
    for target in &rules.known {
        // A target is an object of one member, or a word.
        let word = match serde_json::to_value(target) {
            Ok(serde_json::Value::Object(members)) => {
                members.iter().map(|(kind, value)| format!("{kind} {}", value.as_str().unwrap_or_default())).collect()
            }
            _ => target.kind().to_owned(),
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if let Some(bodies) = &rules.by_bodies {
        let members: Vec<&str> = bodies.in_request().iter().chain(bodies.in_response()).map(String::as_str).collect();
        words.push(format!("and what these members of the JSON bodies name: {}", members.join(", ")));
    }
    words.push("and the URLs in Location and Content-Location of the answer, if they are of the same host (RFC 9111 §4.4)".to_owned());
    words
}

fn tier_report(look: &TierLook) -> TierReport {
    let found = match &look.found {
        Ok(None) => "nothing".to_owned(),
        Ok(Some((head, reason))) => format!("a response with status {} ({reason})", head.status.as_u16()),
        Err(error) => format!("it could not be asked: {error}"),
    };
    TierReport { tier: look.tier.to_owned(), found }
}

async fn try_out(service: &Service, run: &DryRun, extend: impl FnOnce(&mut http::Extensions)) -> FetchReport {
    let started = monotonic();
    let tried = service.try_out(run, extend).await;
    let milliseconds = monotonic().saturating_duration_since(started).as_millis() as u64;
    match tried {
        Ok(tried) => fetched::report(&tried, service.route().policy(), milliseconds),
        Err(error) => FetchReport { milliseconds, failure: Some(error.to_string()), ..FetchReport::default() },
    }
}

fn url_of(target: &client::EffectiveTarget<'_>, uri: &http::Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("{}://{}{path}", target.scheme, target.authority)
}

/// The same head, for the code that takes one.
fn copy_of(request: &Request<()>) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}
