//! `request` and `response` in `[cache]`, a class or a route: changes to the fields of messages.

use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, COOKIE, EXPIRES, SET_COOKIE};
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, EXPECT, FORWARDED, HOST, LAST_MODIFIED, TRAILER, VARY, VIA,
};
use http::{HeaderName, HeaderValue};
use larder_message::edit::{FieldEdits, FieldPart, FieldText};
use larder_semantics::IdentityPart;
use larder_semantics::fields::{CACHE_STATUS, X_CACHE, is_hop_by_hop};
use toml::Spanned;

use super::set;
use crate::model::RouteSettings;
use crate::model::purging::tags::{Piece, pieces};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::nearest;
use crate::parse::reader::Table;

/// Whose fields are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Request,
    Response,
}

/// What one table says; `None` is "not here".
#[derive(Clone, Debug, Default)]
pub(super) struct FieldsLayer {
    remove: Option<Vec<Spanned<HeaderName>>>,
    set: Option<Lines>,
    add: Option<Lines>,
}

type Lines = Vec<(HeaderName, Spanned<FieldText>)>;

impl FieldsLayer {
    pub(super) fn read(table: &mut Table<'_>, message: Message) -> Self {
        let key = if message == Message::Request { "request" } else { "response" };
        let Some(mut table) = table.table(key) else { return Self::default() };
        let mut lines = |key| -> Option<Lines> {
            let lines = table.named_texts(key, |name, text| Ok((changed(name, message, Some(key))?, value(name, text)?)))?;
            Some(lines.into_iter().map(|line| (line.get_ref().0.clone(), Spanned::new(line.span(), line.into_inner().1))).collect())
        };
        let (set, add) = (lines("set"), lines("add"));
        let remove = table.list("remove", "field names in quotes, like \"x-debug\"", |name| changed(name, message, None));
        table.finish();
        Self { remove: remove.map(Spanned::into_inner), set, add }
    }

    /// Lays this over what it inherits.
    pub(super) fn apply(&self, base: &mut FieldEdits) {
        let plain = |lines: &Option<Lines>| -> Option<Vec<(HeaderName, FieldText)>> {
            Some(lines.as_ref()?.iter().map(|(name, text)| (name.clone(), text.get_ref().clone())).collect())
        };
        set(&mut base.remove, &self.remove.as_ref().map(|names| names.iter().map(|name| name.get_ref().clone()).collect()));
        set(&mut base.set, &plain(&self.set));
        set(&mut base.add, &plain(&self.add));
    }

    /// Reports what should not be changed in answers that are stored: fields that decide about it, and values that are made of what one client sent.
    pub(super) fn check_response(&self, settings: &RouteSettings, mistakes: &Mistakes) {
        let removed = self.remove.iter().flatten().map(|name| (name.get_ref(), name.span()));
        let replaced = self.set.iter().flatten().map(|(name, text)| (name, text.span()));
        for (name, span) in removed.chain(replaced).filter(|(name, _)| settings.cache && decides(name, settings)) {
            mistakes.warning(span, overruled(name));
        }
        for (_, text) in self.set.iter().chain(&self.add).flatten().filter(|_| settings.cache) {
            let mistake = text.get_ref().0.iter().find_map(|part| match part {
                FieldPart::ClientAddress => Some(shown("client.ip").hint("leave it out, or add cache = false")),
                FieldPart::RequestId => Some(shown("request_id").hint("leave it out, or add cache = false")),
                FieldPart::Header(name) => not_in_key(name, settings),
                _ => None,
            });
            if let Some(mistake) = mistake {
                mistakes.error(text.span(), mistake);
            }
        }
    }
}

fn shown(place: &str) -> Mistake {
    Mistake::new(format!("`{{{place}}}` in an answer that is stored would show one client's to everybody"))
}

/// What is wrong with this field of the client's in an answer: the key has to have it as the client sent it.
fn not_in_key(name: &HeaderName, settings: &RouteSettings) -> Option<Mistake> {
    let (key, edits) = (&settings.key, &settings.request);
    if !key.headers.contains(name) && !key.identity.contains(&IdentityPart::Header(name.clone())) {
        return Some(shown(&format!("header.{name}")).hint(format!("add key = {{ headers = [\"{name}\"] }}, or cache = false")));
    }
    let changes = if edits.removed().chain(edits.replaced()).chain(edits.added()).any(|changed| changed == name) {
        "`request`"
    } else if *name == ACCEPT_ENCODING && !settings.encodings.is_empty() {
        "`encodings`"
    } else if *name == COOKIE && !key.cookies.ignored.is_empty() {
        "`ignore_cookies`"
    } else {
        return None;
    };
    let mistake = Mistake::new(format!("`{{header.{name}}}` is what the client sent, and the key has what Larder makes of it"));
    Some(mistake.hint(format!("{changes} changes the field before the key is made: leave that out, or add cache = false")))
}

/// Whether a field of an answer decides what is stored, and for whom.
fn decides(name: &HeaderName, settings: &RouteSettings) -> bool {
    [CACHE_CONTROL, EXPIRES, SET_COOKIE, VARY].contains(name) || settings.policy.targeted.contains(name)
}

fn overruled(name: &HeaderName) -> Mistake {
    let (message, hint) = match name {
        name if *name == SET_COOKIE => {
            ("an answer that loses its `set-cookie` is stored".to_owned(), "make sure that no page beside such a cookie is one user's")
        }
        name if *name == VARY => {
            ("a `vary` of yours replaces the backend's".to_owned(), "name every field that it answers by, or use `add`")
        }
        name if *name == EXPIRES => (
            "the backend's `expires` does not count any more, one that has passed included".to_owned(),
            "`ttl` names a lifetime without that",
        ),
        name => (
            format!("a `{name}` of yours replaces the backend's, `private` and `no-store` included"),
            "`ttl` names a lifetime without that",
        ),
    };
    Mistake::new(message).hint(hint)
}

/// The name of a field that may be changed. `how` is `set` or `add`, where a value is written.
fn changed(text: &str, message: Message, how: Option<&str>) -> Result<HeaderName, Mistake> {
    let name = HeaderName::try_from(text)
        .map_err(|_| Mistake::new(format!("`{text}` is not the name of a field")).hint("like \"x-api-version\""))?;
    let validates = how.is_some() && message == Message::Response && [ETAG, LAST_MODIFIED].contains(&name);
    let hint = match &name {
        name if is_hop_by_hop(name) || [CONTENT_LENGTH, TRAILER, EXPECT].contains(name) || name.as_str().starts_with("proxy-") => {
            "it belongs to the connection, or frames the message"
        }
        name if message == Message::Request && *name == HOST => "`host` in [upstreams.NAME] says which one the backend sees",
        name if message == Message::Request && is_written_here(name) => "Larder writes it itself",
        name if message == Message::Response && [AGE, DATE, VIA, CACHE_STATUS, X_CACHE].contains(name) => "Larder writes it itself",
        name if message == Message::Response && [CONTENT_ENCODING, CONTENT_RANGE].contains(name) => "it says what the body is",
        _ if validates => "a validator that never changes would keep an old copy good for ever",
        name if how.is_some() && message == Message::Request && name.as_str().contains('_') => {
            "many backends take `_` for `-`, so that nothing is stored of such a request; write it with `-`"
        }
        _ => return Ok(name),
    };
    Err(Mistake::new(format!("`{text}` cannot be changed here")).hint(hint))
}

fn is_written_here(name: &HeaderName) -> bool {
    const WRITTEN: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "cdn-loop"];
    *name == FORWARDED || *name == VIA || WRITTEN.contains(&name.as_str())
}

fn value(name: &str, text: &str) -> Result<FieldText, Mistake> {
    if HeaderValue::from_str(text).is_err() || text.trim() != text {
        return Err(Mistake::new(format!("the value of `{name}` is none that a field can have"))
            .hint("visible characters and spaces between them; to take the field out, list it in `remove`"));
    }
    let parts = pieces(text)?.into_iter().map(|piece| match piece {
        Piece::Literal(text) => Ok(FieldPart::Literal(text)),
        Piece::Placeholder("client.ip") => Ok(FieldPart::ClientAddress),
        Piece::Placeholder("request_id") => Ok(FieldPart::RequestId),
        Piece::Placeholder("route") => Ok(FieldPart::Route),
        Piece::Placeholder(place) => match place.strip_prefix("header.").map(HeaderName::try_from) {
            Some(Ok(name)) => Ok(FieldPart::Header(name)),
            _ => {
                let hint = nearest::hint(place, ["client.ip", "route", "request_id", "header.NAME"], "placeholders are");
                Err(Mistake::new(format!("unknown placeholder `{{{place}}}` in a field")).hint(hint))
            }
        },
    });
    Ok(FieldText(parts.collect::<Result<_, _>>()?))
}
