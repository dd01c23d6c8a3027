//! `[telemetry.traces]`.

use http::{HeaderName, HeaderValue};
use toml::Spanned;

use crate::model::{TraceLink, Traces};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::secret;
use crate::sections::upstreams::parse_url;

const ENDPOINT_FORM: &str = "a URL in quotes, like \"http://127.0.0.1:4318\"";
const LINK_HINT: &str = "like link = \"https://jaeger.example.com/trace/{trace_id}\"";
const HEADER_HINT: &str = "a value in quotes, or where it is: \"env:NAME\", \"file:PATH\"";

/// `[telemetry]`.
pub(crate) fn read(root: &mut Table<'_>) -> Option<Traces> {
    let mut table = root.table("telemetry")?;
    let traces = table.table("traces").and_then(traces);
    table.finish();
    traces
}

fn traces(mut table: Table<'_>) -> Option<Traces> {
    table.require("endpoint", "like endpoint = \"http://127.0.0.1:4318\"");
    let endpoint = table.parse("endpoint", ENDPOINT_FORM, parse_url);
    let sample = table.fraction("sample").map_or(0.01, Spanned::into_inner);
    let service = table.parse("service", "a name in quotes", |text| match text.trim() {
        "" => Err(Mistake::new("`service` is empty").hint("leave it out for \"larder\"")),
        name => Ok(name.to_owned()),
    });
    let link = table.parse("link", "a URL with {trace_id} in it, in quotes", link);
    let headers = table.named_texts("headers", header).unwrap_or_default();
    table.finish();
    Some(Traces {
        endpoint: endpoint?.into_inner(),
        sample,
        service: service.map_or_else(|| "larder".to_owned(), Spanned::into_inner),
        link: link.map(Spanned::into_inner),
        headers: headers.into_iter().map(Spanned::into_inner).collect(),
    })
}

fn link(text: &str) -> Result<TraceLink, Mistake> {
    // Pages show it as a link, so it may be nothing that a browser would run.
    let is_web = |uri: http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    if !text.replace("{trace_id}", "0").parse().is_ok_and(is_web) {
        return Err(Mistake::new("`link` is not the URL of a page").hint(LINK_HINT));
    }
    match text.split_once("{trace_id}") {
        Some((before, after)) if !after.contains("{trace_id}") => Ok(TraceLink { before: before.to_owned(), after: after.to_owned() }),
        _ => Err(Mistake::new("`link` has `{trace_id}` once, where the ID of a trace stands").hint(LINK_HINT)),
    }
}

fn header(name: &str, text: &str) -> Result<(HeaderName, HeaderValue), Mistake> {
    let name = HeaderName::try_from(name)
        .map_err(|_| Mistake::new(format!("`{name}` is not the name of a header field")).hint("like authorization"))?;
    let value = secret::read(text, HEADER_HINT)?.unwrap_or_else(|| text.to_owned());
    let mut value =
        HeaderValue::try_from(value).map_err(|_| Mistake::new(format!("`{name}` has a value that no field can have")).hint(HEADER_HINT))?;
    // Whatever it is, it is of no use in a log.
    value.set_sensitive(true);
    Ok((name, value))
}
