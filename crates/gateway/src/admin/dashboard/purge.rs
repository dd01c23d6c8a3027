//! Purge: first what it would reach, then the purge itself.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use larder_store::{Invalidation, Selection};
use serde_json::{Value, json};

use super::super::endpoints::Shared;
use super::super::purge::read;
use super::blocks::{Block, bytes, link, number, text, time};
use super::page::{Frame, html};
use super::sign_in;
use super::viewer::sender;
use crate::inspect::{self, Filter, Sort};
use crate::purge::{self, Ask, Known, Refused, USUAL_WAIT};

/// Bytes of a form: targets, one a line.
const MAX_FORM: usize = 256 << 10;

/// Rows of a preview.
const ROWS: usize = 25;

/// The kinds of target: the member of `POST /purge`, and what people call it.
const KINDS: [(&str, &str); 10] = [
    ("urls", "URL"),
    ("prefixes", "Prefix"),
    ("tags", "Tag"),
    ("names", "Name"),
    ("routes", "Route"),
    ("classes", "Class"),
    ("namespaces", "Namespace"),
    ("patterns", "Pattern"),
    ("regexes", "Regular expression"),
    ("all", "Everything"),
];

#[derive(Template)]
#[template(path = "purge.html")]
struct Page {
    frame: Frame,
    kinds: &'static [(&'static str, &'static str)],
    kind: String,
    targets: String,
    soft: bool,
    /// How many replicas a purge reaches now.
    replicas: usize,
    /// What has been found or done; empty before anything was asked.
    outcome: String,
    problem: String,
    blocks: Vec<Block>,
}

/// The form, with a URL in it where one is given.
pub(super) fn view(shared: &Shared, frame: Frame, url: &str) -> Response<Body> {
    html(StatusCode::OK, &Page::new(shared, frame, "urls", url, false))
}

/// The form, sent.
pub(super) async fn submitted(State(shared): State<Shared>, request: Request) -> Response<Body> {
    match answer(&shared, request).await {
        Ok(response) => response,
        Err(refused) => sign_in::refused(&shared, &refused),
    }
}

async fn answer(shared: &Shared, request: Request) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let form = sender(shared, &parts.uri, &parts.headers, &read(body, MAX_FORM).await?)?;
    let [kind, targets, action] = ["kind", "targets", "action"].map(|name| form.field(name).to_owned());
    let soft = form.field("soft") == "yes";
    if action == "purge" && !form.viewer.may_purge {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "This token does not allow purges: sign in with one whose scopes include \"purge\".",
        ));
    }
    let may_purge = form.viewer.may_purge;
    let frame = Frame::new(shared, "purge", form.viewer);
    let frame = frame.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "There is no such view."))?;
    let mut page = Page::new(shared, frame, &kind, &targets, soft);
    match page.invalidation(shared) {
        Err(refused) => page.problem = refused.detail,
        Ok(invalidation) if action == "purge" => page.purge(shared, &invalidation).await,
        Ok(invalidation) => page.preview(shared, invalidation, may_purge).await,
    }
    Ok(html(StatusCode::OK, &page))
}

impl Page {
    fn new(shared: &Shared, frame: Frame, kind: &str, targets: &str, soft: bool) -> Self {
        let known = KINDS.iter().find(|(own, _)| *own == kind).map_or("urls", |(own, _)| own);
        Self {
            frame,
            kinds: &KINDS,
            kind: known.to_owned(),
            targets: targets.to_owned(),
            soft,
            replicas: shared.gateway.replicas().replicas.len(),
            outcome: String::new(),
            problem: String::new(),
            blocks: Vec::new(),
        }
    }

    /// As `POST /purge` reads it, so that both refuse the same.
    fn invalidation(&self, shared: &Shared) -> Result<Invalidation, Refused> {
        let targets: Vec<&str> = self.targets.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let targets = match self.kind.as_str() {
            "all" => Value::Bool(true),
            _ => targets.into(),
        };
        let ask = Ask::from_value(json!({ self.kind.as_str(): targets, "soft": self.soft }))?;
        let active = shared.gateway.active.load_full();
        ask.invalidation(&Known(&active), active.config.purge.max_targets)
    }

    async fn purge(&mut self, shared: &Shared, invalidation: &Invalidation) {
        let purged = purge::purge(&shared.gateway.cache, invalidation, USUAL_WAIT).await;
        self.outcome = purged.in_words();
    }

    async fn preview(&mut self, shared: &Shared, invalidation: Invalidation, may_purge: bool) {
        let (gateway, active) = (shared.gateway.clone(), shared.gateway.active.load_full());
        let count = gateway.cache.estimate(&invalidation);
        self.outcome = format!("About {count} stored responses would be purged, on {} replicas.", self.replicas);
        let filter =
            Filter { selections: vec![Selection::of(&invalidation)], sort: Sort::Hits, limit: ROWS, hot: gateway.observers.hot_requests() };
        let Ok(list) = tokio::task::spawn_blocking(move || inspect::list(&gateway.cache, &active, &filter)).await else { return };
        let list = if may_purge { list } else { list.masked() };
        let rows = list.keys.iter().map(|row| {
            let to = format!("/?view=explain&url={}", percent_encoding::utf8_percent_encode(&row.url, percent_encoding::NON_ALPHANUMERIC));
            vec![
                link(row.url.clone(), to),
                text(row.route.clone()),
                number(row.status),
                number(bytes(row.bytes)),
                number(time(Some(f64::from(row.age)))),
            ]
        });
        let title = if list.matching > ROWS as u64 {
            format!("The first {ROWS} of {} in memory here", list.matching)
        } else {
            "In memory here".to_owned()
        };
        self.blocks = vec![Block::new("reached", &title, &["URL", "Route", "Status", "Bytes", "Age"]).rows(rows)];
    }
}
