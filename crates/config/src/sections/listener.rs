//! `[[listeners]]`.

use crate::model::{Listen, Listener, ProxyProtocol, Redirect, ServerOptions};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::cache::{items, network};
use crate::sections::server::{ADDRESS_FORM, limits, placed};
use crate::sections::tls;

/// The listeners, with the settings of `[server]` where they have none of their own.
pub(crate) fn read(root: &mut Table<'_>, server: &ServerOptions) -> Vec<Listener> {
    root.tables("listeners").into_iter().filter_map(|table| listener(table, server)).collect()
}

fn listener(mut table: Table<'_>, server: &ServerOptions) -> Option<Listener> {
    table.require("address", "like address = \"0.0.0.0:443\"");
    let listen = table.parse("address", ADDRESS_FORM, Listen::parse).map(placed);
    let http2 = table.boolean("http2").unwrap_or(true);
    let tls = table.table("tls").map(|tls| tls::read(tls, http2));
    let redirect = redirect(&mut table);
    let proxy_protocol = table.table("proxy_protocol").and_then(proxy_protocol);
    let mut options = *server;
    limits(&mut table, &mut options);
    if let Some(streams) = table.integer("max_streams", 1..=1_000_000).and_then(|streams| u32::try_from(streams).ok()) {
        options.max_streams = streams;
    }
    let counted_apart = table.has("max_connections");
    table.finish();
    // A listener whose certificates are wrong is no listener in clear text.
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    Some(Listener { listen: listen?, tls, http2, redirect, proxy_protocol, options, counted_apart })
}

/// `"https"`, or `"https:8443"`.
fn redirect(table: &mut Table<'_>) -> Option<Redirect> {
    const FORM: &str = "\"https\", or with the port that clients see: \"https:8443\"";
    let redirect = table.parse("redirect", FORM, |text| {
        let port = match text.strip_prefix("https") {
            Some("") => Some(None),
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port != 0).map(Some),
            None => None,
        };
        let mistake = || Mistake::new(format!("`{text}` is no place to send clients to")).hint(FORM);
        port.map(|port| Redirect { port }).ok_or_else(mistake)
    })?;
    if table.has("tls") {
        let mistake = Mistake::new("a listener with `tls` cannot send clients to https: they are there already");
        table.mistakes().error(redirect.span(), mistake.hint("put `redirect` into the listener for port 80"));
    }
    Some(redirect.into_inner())
}

fn proxy_protocol(mut table: Table<'_>) -> Option<ProxyProtocol> {
    const HINT: &str = "like proxy_protocol = { from = [\"10.0.0.0/8\"] }: the addresses of the proxies before this listener";
    table.require("from", HINT);
    let from = table.list("from", "networks in quotes, like \"10.0.0.0/8\"", network);
    let required = table.boolean("required").unwrap_or(true);
    if let Some(empty) = from.as_ref().filter(|from| from.get_ref().is_empty()) {
        table.mistakes().error(empty.span(), Mistake::new("`from` names no network").hint(HINT));
    }
    table.finish();
    Some(ProxyProtocol { from: items(from?), required })
}
