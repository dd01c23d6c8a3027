//! Explain: a dry run, and with the button for it one request to the origin.

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::super::endpoints::Shared;
use super::super::purge::read;
use super::page::{Frame, html};
use super::sign_in;
use super::viewer::{Form, sender};
use crate::cli::explanation_text;
use crate::explain::{explain, explain_happened, question};
use crate::purge::Refused;

/// Bytes of a form: a URL and some fields.
const MAX_FORM: usize = 64 << 10;

#[derive(Template)]
#[template(path = "explain.html")]
struct Page {
    frame: Frame,
    url: String,
    method: String,
    fields: String,
    /// The explanation; empty before anything was asked.
    text: String,
    /// The page of the request's trace; empty where there is none.
    trace_link: String,
    problem: String,
}

/// The form, and what is said of a request that has happened, where its `id` is given, or else of a GET without fields, where a URL is.
pub(super) async fn view(shared: &Shared, frame: Frame, url: &str, id: &str) -> Response<Body> {
    let mut page = Page::new(frame, url, "GET", "");
    if !id.is_empty() {
        page.show_happened(shared, id).await;
    } else if !url.is_empty() {
        page.ask(shared, false).await;
    }
    html(StatusCode::OK, &page)
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
    let form: Form = sender(shared, &parts.uri, &parts.headers, &read(body, MAX_FORM).await?)?;
    let fetch = form.field("fetch") == "yes";
    if fetch && !form.viewer.may_fetch {
        return Err(Refused::new(StatusCode::FORBIDDEN, "Asking the origin needs a token with the scope \"admin\"."));
    }
    let [url, method, fields] = ["url", "method", "fields"].map(|name| form.field(name).to_owned());
    let frame = Frame::new(shared, "explain", form.viewer);
    let frame = frame.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "There is no such view."))?;
    let mut page = Page::new(frame, &url, &method, &fields);
    page.ask(shared, fetch).await;
    Ok(html(StatusCode::OK, &page))
}

impl Page {
    fn new(frame: Frame, url: &str, method: &str, fields: &str) -> Self {
        let (text, trace_link, problem) = Default::default();
        Self { frame, url: url.to_owned(), method: method.to_owned(), fields: fields.to_owned(), text, trace_link, problem }
    }

    async fn show_happened(&mut self, shared: &Shared, id: &str) {
        match explain_happened(&shared.gateway, Some(id)).await {
            Ok(said) => {
                self.text = explanation_text(&said);
                (self.url, self.method) = (said.url, said.method);
                self.trace_link = said.happened.and_then(|happened| happened.trace_link).unwrap_or_default();
            }
            Err(refused) => self.problem = refused.detail,
        }
    }

    async fn ask(&mut self, shared: &Shared, fetch: bool) {
        match self.explained(shared, fetch).await {
            Ok(text) => self.text = text,
            Err(refused) => self.problem = refused.detail,
        }
    }

    async fn explained(&self, shared: &Shared, fetch: bool) -> Result<String, Refused> {
        let mut fields: Map<String, Value> = Map::new();
        for line in self.fields.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let wrong = || Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{line}` is no field: write Name: value, one a line."));
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            // Several lines of a field are a list.
            let lines = fields.entry(name.trim()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(lines) = lines {
                lines.push(value.trim().into());
            }
        }
        let method = if self.method.is_empty() { "GET" } else { &self.method };
        let asked = question(&json!({ "url": self.url, "method": method, "headers": fields, "fetch": fetch }))?;
        let active = shared.gateway.active.load_full();
        Ok(explanation_text(&explain(&active, asked).await?))
    }
}
