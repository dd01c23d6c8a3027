//! An explanation as text, from the top to the bottom.

use std::time::Duration;

use crate::cli::paper::Paper;
use crate::config::{display_bytes, display_duration};
use crate::explain::{Decision, Explanation, FetchReport, Happened, KeyReport, PartReport, RouteReport, StoredReport, Verdict};

/// Writes it.
pub(in crate::cli) fn write(paper: &mut Paper, said: &Explanation) {
    if let Some(happened) = &said.happened {
        write_happened(paper, happened);
    }
    paper.line("request", &format!("{} {}", said.method, said.url));
    paper.line("client", &said.client);
    match &said.route {
        Some(route) => paper.line("route", &route_line(route)),
        None => paper.line("route", "none"),
    }
    for other in &said.not_taken {
        paper.more(&format!("not {}: {}", other.name, other.why));
    }
    if let Some(key) = &said.key {
        write_key(paper, key);
    }
    write_parts(paper, &said.parts);
    match &said.stored[..] {
        [] if !said.parts.is_empty() => {}
        [] if said.key.is_some() => paper.line("stored", "nothing in memory"),
        stored => stored.iter().for_each(|stored| write_stored(paper, stored)),
    }
    for tier in &said.tiers {
        paper.line(&tier.tier, &tier.found);
    }
    write_decision(paper, &said.decision);
    for (number, target) in said.invalidates.iter().enumerate() {
        paper.line(if number == 0 { "invalidates" } else { "" }, target);
    }
    said.notes.iter().for_each(|note| paper.line("note", note));
    if let Some(fetched) = &said.fetched {
        write_fetched(paper, fetched);
    }
}

/// A request that has happened.
pub(in crate::cli) fn write_happened(paper: &mut Paper, happened: &Happened) {
    let text = |name| happened.text(name);
    paper.line("happened", &format!("{} from {}, id {}", text("timestamp"), text("client"), text("request_id")));
    write_facts(paper, happened);
    paper.gap();
    paper.line("now", "the same request would get this:");
}

/// What a request got, and where its time went.
pub(in crate::cli) fn write_facts(paper: &mut Paper, happened: &Happened) {
    let text = |name| happened.text(name);
    let time = happened.milliseconds("duration_us").unwrap_or_default();
    paper.line("answer", &format!("{} {} {} in {time}", text("status"), text("result"), text("reason")));
    if let Some(time) = happened.milliseconds("upstream_us") {
        paper.more(&format!("upstream {} answered {} in {time}", text("upstream"), text("upstream_status")));
    }
    if let Some(time) = happened.milliseconds("connect_us") {
        paper.more(&format!("of that {time} for a new connection"));
    }
    if happened.facts["attempts"].as_u64().is_some_and(|attempts| attempts > 1) {
        paper.more(&format!("it was sent {} times: the times are of all attempts together", text("attempts")));
    }
    for (name, words) in [("upstream_server", "by its server"), ("trace_id", "traced as")] {
        if !text(name).is_empty() {
            paper.more(&format!("{words} {}", text(name)));
        }
    }
    if let Some(link) = &happened.trace_link {
        paper.more(link);
    }
    if happened.facts["collapsed"] == true {
        paper.more("it waited for another request's fetch, and got the same answer");
    }
    if happened.facts["stored"] == true {
        paper.more("the answer was stored");
    }
    let reason = text("reason");
    write_reason(
        paper,
        Some(&reason).filter(|reason| !reason.is_empty()).map(String::as_str),
        happened.meaning.as_deref(),
        happened.advice.as_deref(),
    );
    if !text("problem").is_empty() {
        paper.line("problem", &text("problem"));
    }
}

fn route_line(route: &RouteReport) -> String {
    let methods = if route.methods.is_empty() { String::new() } else { format!("{} ", route.methods.join(",")) };
    let class = route.class.as_ref().map_or(String::new(), |class| format!(", class {class}"));
    format!("{}: {methods}{}{}, upstream {}{class}", route.name, route.host.as_deref().unwrap_or_default(), route.path, route.upstream)
}

fn write_key(paper: &mut Paper, key: &KeyReport) {
    paper.line("key", &key.text);
    if let Some(name) = &key.name {
        paper.more(&format!("name: {name}"));
    }
    key.changes.iter().for_each(|change| paper.more(change));
    for part in key.others.iter().filter(|part| part.name == "identity") {
        paper.more(&format!("identity {} is a hash of who asks", part.value));
    }
}

/// What is looked up one by one.
fn write_parts(paper: &mut Paper, parts: &[PartReport]) {
    for (number, part) in (1..).zip(parts) {
        let age = part.age.map(|age| format!("in memory, {} old", display_duration(Duration::from_secs(age.into()))));
        let found = age.unwrap_or_else(|| "nothing in memory".to_owned());
        paper.line(if number == 1 { "parts" } else { "" }, &format!("{number}. {found}: {}", part.key));
    }
}

/// One thing that is stored.
pub(in crate::cli) fn write_stored(paper: &mut Paper, stored: &StoredReport) {
    if stored.kind == "mark" {
        return paper.line("stored", &format!("a mark: {}", stored.goes));
    }
    let selected = if stored.selected { ", which this request selects" } else { "" };
    let hits = match stored.hits {
        0 => "not asked for since".to_owned(),
        hits if hits >= 3 => "asked for 3 times or more".to_owned(),
        hits => format!("asked for {hits} times"),
    };
    let what = format!(
        "{} {}, {}, {} in memory, {hits}{selected}",
        stored.kind,
        stored.status,
        display_bytes(stored.bytes),
        display_bytes(stored.weight)
    );
    paper.line("stored", &format!("{}: {what}", stored.state));
    if !stored.variant.is_empty() {
        paper.more(&format!("variant {}", stored.variant));
    }
    paper.more(&format!("age {}, lifetime {} from {}", seconds(stored.age), seconds(stored.lifetime), stored.lifetime_from));
    let windows: Vec<String> = [
        (stored.stale_while_revalidate > 0).then(|| format!("stale-while-revalidate {}", seconds(stored.stale_while_revalidate))),
        (stored.stale_if_error > 0).then(|| format!("stale-if-error {}", seconds(stored.stale_if_error))),
        stored.no_cache.then(|| "no-cache: validated each time".to_owned()),
        stored.must_revalidate.then(|| "never served stale".to_owned()),
        stored.etag.as_ref().map(|etag| format!("ETag {etag}")),
        stored.last_modified.as_ref().map(|date| format!("Last-Modified {date}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !windows.is_empty() {
        paper.more(&windows.join(", "));
    }
    let hashed = if stored.hashed_tags > 0 { format!("{} more kept as hashes", stored.hashed_tags) } else { String::new() };
    let tags: Vec<&str> = stored.tags.iter().map(String::as_str).chain([hashed.as_str()]).filter(|tag| !tag.is_empty()).collect();
    if !tags.is_empty() {
        paper.more(&format!("tags {}", tags.join(", ")));
    }
    paper.more(&stored.goes);
}

fn write_decision(paper: &mut Paper, decision: &Decision) {
    let verdict = match decision.verdict {
        Verdict::Hit => "HIT",
        Verdict::Miss => "MISS",
        Verdict::Pass => "BYPASS",
        Verdict::Refused => "REFUSED",
        Verdict::Purge => "PURGE",
        Verdict::Tunnel => "TUNNEL",
    };
    let status = decision.status.map_or(String::new(), |status| format!(" {status}"));
    paper.line("decision", &format!("{verdict}{status}: {}", decision.summary));
    write_reason(paper, decision.reason.as_deref(), decision.meaning.as_deref(), decision.advice.as_deref());
}

/// A reason with its meaning, and what changes it.
pub(in crate::cli) fn write_reason(paper: &mut Paper, reason: Option<&str>, meaning: Option<&str>, advice: Option<&str>) {
    if let (Some(reason), Some(meaning)) = (reason, meaning) {
        paper.line("because", &format!("{reason}: {meaning}"));
    }
    if let Some(advice) = advice {
        paper.line("to change it", advice);
    }
}

fn write_fetched(paper: &mut Paper, fetched: &FetchReport) {
    paper.gap();
    if let Some(failure) = &fetched.failure {
        return paper.line("fetched", &format!("no answer after {} ms: {failure}", fetched.milliseconds));
    }
    let length = fetched.length.map_or_else(|| "of unknown length".to_owned(), display_bytes);
    paper.line("fetched", &format!("status {}, {length}, head after {} ms; nothing of it was kept", fetched.status, fetched.milliseconds));
    for field in &fetched.fields {
        paper.more(&format!("{}: {}", field.name, field.value));
        paper.more(&format!("  {}", field.effect));
    }
    match (fetched.stored, fetched.lifetime) {
        (true, Some(lifetime)) => {
            let from = fetched.lifetime_from.as_deref().unwrap_or_default();
            paper.line("would be", &format!("stored, with a lifetime of {} from {from}", seconds(lifetime)));
        }
        (true, None) => paper.line("would be", "stored"),
        (false, _) => paper.line("would be", "passed on and not stored"),
    }
    if !fetched.vary.is_empty() {
        paper.more(&format!("once for each value of {}", fetched.vary.join(", ")));
    }
    if !fetched.stored {
        write_reason(paper, fetched.reason.as_deref(), fetched.meaning.as_deref(), fetched.advice.as_deref());
    }
}

pub(in crate::cli) fn seconds(seconds: u32) -> String {
    display_duration(std::time::Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(said: &Explanation) -> String {
        let mut paper = Paper::plain();
        write(&mut paper, said);
        paper.text()
    }

    #[test]
    fn a_miss_is_told_from_the_route_to_what_changes_it() {
        let route = RouteReport {
            name: "everything".to_owned(),
            path: "/{*rest}".to_owned(),
            upstream: "api".to_owned(),
            ..RouteReport::default()
        };
        let decision = Decision {
            verdict: Verdict::Miss,
            summary: "The origin is asked.".to_owned(),
            reason: Some("absent".to_owned()),
            meaning: Some("Nothing is stored.".to_owned()),
            advice: Some("Ask again.".to_owned()),
            status: None,
        };
        let key = KeyReport { text: "v1:default:GET:http://a/x".to_owned(), ..KeyReport::default() };
        let said = Explanation {
            method: "GET".to_owned(),
            url: "http://a/x\u{1b}".to_owned(),
            client: "127.0.0.1".to_owned(),
            route: Some(route),
            key: Some(key),
            decision,
            ..Explanation::default()
        };
        let expected = "request       GET http://a/x\\u001b\n\
                        client        127.0.0.1\n\
                        route         everything: /{*rest}, upstream api\n\
                        key           v1:default:GET:http://a/x\n\
                        stored        nothing in memory\n\
                        decision      MISS: The origin is asked.\n\
                        because       absent: Nothing is stored.\n\
                        to change it  Ask again.\n";
        assert_eq!(text(&said), expected);
    }

    #[test]
    fn what_is_stored_says_where_its_lifetime_came_from() {
        let stored = StoredReport {
            kind: "response".to_owned(),
            state: "fresh".to_owned(),
            selected: true,
            status: 200,
            bytes: 1024,
            weight: 2048,
            age: 5,
            lifetime: 60,
            lifetime_from: "the route's `ttl`".to_owned(),
            tags: vec!["issue:7".to_owned()],
            hashed_tags: 2,
            hits: 3,
            goes: "fresh for 55 s more".to_owned(),
            ..StoredReport::default()
        };
        let text = text(&Explanation { stored: vec![stored], ..Explanation::default() });
        for said in [
            "fresh: response 200, 1KiB, 2KiB in memory, asked for 3 times or more",
            "lifetime 1m from the route's `ttl`",
            "tags issue:7, 2 more",
        ] {
            assert!(text.contains(said), "{said} in\n{text}");
        }
    }
}
