//! `url`, or `servers`.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;

use super::parse_url;
use crate::model::{UpstreamServer, UpstreamUrl};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::{Table, TextOrTable};

/// Where a server's URL stands.
pub(super) type ServerSpan = Range<usize>;

const URL_FORM: &str = "a URL in quotes, like \"http://127.0.0.1:3000\"";
const SERVER_FORM: &str = "URLs in quotes or tables, like { url = \"http://10.0.0.2:3000\", weight = 2 }";

/// Servers read so far: those that are right, and whether all of them are.
struct Reading<'a> {
    servers: Vec<UpstreamServer>,
    spans: Vec<ServerSpan>,
    mistakes: &'a Mistakes,
    is_right: bool,
}

/// The servers with the places of their URLs. `None` if anything is wrong with them; mistakes are noted either way.
pub(super) fn read(table: &mut Table<'_>) -> Option<(Vec<UpstreamServer>, Vec<ServerSpan>)> {
    if !table.has("servers") {
        table.require("url", "add url = \"http://127.0.0.1:3000\", or servers = [\"http://…\", \"http://…\"]");
        let url = table.parse("url", URL_FORM, parse_url);
        // Known, so that it is proposed for a key that is not.
        table.get("servers");
        let url = url?;
        let span = url.span();
        return Some((vec![UpstreamServer::new(url.into_inner()).at(span.clone())], vec![span]));
    }
    let mistakes = table.mistakes();
    let both = table.get("url").map(Spanned::span);
    if let Some(span) = &both {
        let mistake = Mistake::new("`url` and `servers` both say where this upstream is");
        mistakes.error(span.clone(), mistake.hint("keep `servers`, and add the url there if it is one more server"));
    }
    let list = table.get("servers").map(Spanned::span).unwrap_or_default();
    let items = table.texts_or_tables("servers", SERVER_FORM)?;
    let mut reading = Reading { servers: Vec::new(), spans: Vec::new(), mistakes, is_right: both.is_none() };
    let is_empty = items.is_empty();
    items.into_iter().for_each(|item| reading.take(item));
    if is_empty {
        mistakes.error(
            list,
            Mistake::new("`servers` names no server").hint("like servers = [\"http://10.0.0.1:3000\", \"http://10.0.0.2:3000\"]"),
        );
        return None;
    }
    reading.check(list);
    reading.is_right.then_some((reading.servers, reading.spans))
}

impl Reading<'_> {
    fn take(&mut self, item: TextOrTable<'_>) {
        let read = match item {
            TextOrTable::Text(text) => match parse_url(text.get_ref()) {
                Ok(url) => Some((UpstreamServer::new(url), text.span())),
                Err(mistake) => {
                    self.mistakes.error(text.span(), mistake);
                    None
                }
            },
            TextOrTable::Table(table) => server(table),
        };
        match read {
            Some((server, span)) => {
                self.servers.push(server.at(span.clone()));
                self.spans.push(span);
            }
            None => self.is_right = false,
        }
    }

    fn check(&mut self, list: Range<usize>) {
        let mut seen = HashSet::new();
        let twice = self.servers.iter().zip(&self.spans).filter(|(server, _)| !seen.insert(server.url.to_string()));
        for (server, span) in twice {
            let mistake = Mistake::new(format!("`{}` is listed twice", server.url));
            self.mistakes.error(span.clone(), mistake.hint("name it once; `weight` gives it a larger share"));
            self.is_right = false;
        }
        if self.is_right && self.servers.iter().all(|server| server.backup) {
            let mistake = Mistake::new("every server is a backup, so none is asked first");
            self.mistakes.error(list, mistake.hint("leave `backup = true` out of those that are to be asked all the time"));
            self.is_right = false;
        }
    }
}

/// `{ url = "…", weight = 2, backup = true }`
fn server(mut table: Table<'_>) -> Option<(UpstreamServer, ServerSpan)> {
    table.require("url", "like { url = \"http://10.0.0.2:3000\", weight = 2 }");
    let url: Option<Spanned<UpstreamUrl>> = table.parse("url", URL_FORM, parse_url);
    let has_weight = table.has("weight");
    let weight = table.integer("weight", 1..=1000).and_then(|weight| u16::try_from(weight).ok());
    let backup = table.boolean("backup").unwrap_or_default();
    table.finish();
    if has_weight && weight.is_none() {
        return None;
    }
    let url = url?;
    let span = url.span();
    Some((UpstreamServer { weight: weight.unwrap_or(1), backup, ..UpstreamServer::new(url.into_inner()) }, span))
}
