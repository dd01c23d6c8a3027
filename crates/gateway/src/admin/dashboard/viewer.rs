//! Who looks at a page, and what may they do there.

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use super::super::access::sessions::Session;
use super::super::endpoints::Shared;
use super::super::refused::parameters;
use crate::config::TokenScope;
use crate::purge::Refused;

/// What a page knows of who asked for it.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Of forms on this page.
    pub(super) form_token: String,
    pub(super) signed_in: bool,
    pub(super) may_purge: bool,
    pub(super) may_fetch: bool,
}

/// The fields of a form, with the viewer who sent it.
pub(super) struct Form {
    pub(super) viewer: Viewer,
    fields: Vec<(String, String)>,
}

impl Form {
    /// A field without spaces around it; empty where there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }
}

/// Whoever may see pages.
pub(super) fn viewer(shared: &Shared, uri: &Uri, headers: &HeaderMap) -> Result<Viewer, Refused> {
    shared.allow(TokenScope::Read, &Method::GET, uri, headers)?;
    Ok(of(shared, shared.session(headers).as_ref(), uri, headers))
}

/// Whoever sent a form of a page of theirs. Everything else is refused before the form is looked at.
pub(super) fn sender(shared: &Shared, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Form, Refused> {
    let session = shared.session(headers);
    // A page is shown by a session, or where no token is needed: its forms come from there.
    let viewer = viewer(shared, uri, headers)?;
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !essence.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This takes a form of the dashboard."));
    }
    let text = std::str::from_utf8(body).map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "The form is not UTF-8."))?;
    let form = Form { viewer, fields: parameters(Some(text))? };
    if !shared.sessions.is_form_token(session.as_ref(), form.field("form_token")) {
        return Err(Refused::new(StatusCode::FORBIDDEN, "The form is not of a page that was shown here: load the page again."));
    }
    Ok(form)
}

fn of(shared: &Shared, session: Option<&Session>, uri: &Uri, headers: &HeaderMap) -> Viewer {
    let active = shared.gateway.active.load();
    let tokens = &active.config.admin.tokens;
    let may = |scope| match session {
        Some(session) if !shared.access.loopback => session.allows(tokens, scope),
        _ => shared.access.check(tokens, scope, uri, headers).is_ok(),
    };
    Viewer {
        form_token: shared.sessions.form_token(session),
        signed_in: session.is_some(),
        may_purge: may(TokenScope::Purge),
        may_fetch: may(TokenScope::Admin),
    }
}
