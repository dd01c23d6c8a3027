//! `resolve = { every = "30s", server = "10.0.0.2" }`, and servers that are services (SRV).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::positive;
use super::servers::ServerSpan;
use crate::model::{Resolve, UpstreamServer};
use crate::parse::mistake::{Mistake, Mistakes};
use crate::parse::reader::Table;

const USUAL: Duration = Duration::from_secs(30);
const SERVER_FORM: &str = "the address of a name server in quotes, like \"10.0.0.2\" or \"10.0.0.2:8600\"";
const SERVICE_FORM: &str = "like http://_http._tcp.api.example: service, protocol, domain";
const DNS_PORT: u16 = 53;

/// `servers`: those of the upstream, where they are right.
pub(super) fn read(table: &mut Table<'_>, servers: Option<&[UpstreamServer]>) -> Option<Resolve> {
    let mut resolve = table.table("resolve")?;
    let every = positive(&mut resolve, "every").unwrap_or(USUAL);
    let server = resolve.parse("server", SERVER_FORM, server).and_then(toml::Spanned::into_inner);
    let (span, mistakes) = (resolve.span(), resolve.mistakes());
    resolve.finish();
    if servers.is_some_and(|servers| servers.iter().all(|server| server.url.address().is_some())) {
        let mistake = Mistake::new("`resolve` has no effect: every server is named by its address");
        mistakes.warning(span, mistake.hint("leave it out"));
        return None;
    }
    Some(Resolve { every, server })
}

/// `None` for the system's, which an empty text stands for.
fn server(text: &str) -> Result<Option<SocketAddr>, Mistake> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    let address = address.or_else(|_| text.parse()).ok().filter(|address| address.port() != 0);
    address
        .map(Some)
        .ok_or_else(|| Mistake::new(format!("`{text}` is no address of a name server")).hint(format!("expected {SERVER_FORM}")))
}

/// What a server that is a service needs. `has_name`: whether it is said for whom certificates have to be.
pub(super) fn check_services<'a>(
    servers: impl Iterator<Item = (&'a UpstreamServer, &'a ServerSpan)>,
    is_resolved: bool,
    has_name: bool,
    mistakes: &Mistakes,
) {
    for (server, span) in servers {
        let url = &server.url;
        let Some(service) = url.service() else { continue };
        let mistake = if url.service_domain().is_none() {
            Mistake::new(format!("`{service}` is no service that DNS has records of")).hint(SERVICE_FORM)
        } else if url.authority().port().is_some() {
            Mistake::new(format!("the records of `{service}` name the port of each server")).hint("leave the port out")
        } else if !is_resolved {
            let mistake = Mistake::new(format!("`{service}` is a service, whose servers have to be looked up"));
            mistake.hint("add resolve = { every = \"30s\" }, with `server` where the system's name server does not know it")
        } else if url.is_https() && !has_name {
            let mistake = Mistake::new(format!("nobody says for whom the certificates of `{service}` have to be"));
            mistake.hint("add tls = { server_name = \"api.example\" }")
        } else {
            continue;
        };
        mistakes.error(span.clone(), mistake);
    }
}
