//! `[[listeners]]`.

use crate::model::{Listen, ListenKind, Listener, ProxyProtocol, Redirect, ServerOptions, SocketFile};
use crate::parse::mistake::Mistake;
use crate::parse::reader::Table;
use crate::sections::cache::{items, network};
use crate::sections::server::{ADDRESS_FORM, limits, placed};
use crate::sections::tls;

/// The listeners, with the settings of `[server]` where they have none of their own.
pub(crate) fn read(root: &mut Table<'_>, server: &ServerOptions, has_acme: bool) -> Vec<Listener> {
    root.tables("listeners").into_iter().filter_map(|table| listener(table, server, has_acme)).collect()
}

fn listener(mut table: Table<'_>, server: &ServerOptions, has_acme: bool) -> Option<Listener> {
    table.require("address", "like address = \"0.0.0.0:443\"");
    let listen = table.parse("address", ADDRESS_FORM, Listen::parse_any).map(placed);
    let is_unix = listen.as_ref().is_none_or(|listen| matches!(listen.kind(), ListenKind::Unix(_)));
    let socket_file = socket_file(&mut table, is_unix);
    let http2 = table.boolean("http2").unwrap_or(true);
    let tls = table.table("tls").map(|tls| tls::read(tls, http2, has_acme));
    let redirect = redirect(&mut table);
    let proxy_protocol = table.table("proxy_protocol").and_then(|proxies| proxy_protocol(proxies, listen.as_ref()));
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
    Some(Listener { listen: listen?, socket_file, tls, http2, redirect, proxy_protocol, options, counted_apart })
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

/// `mode = "0660"` and `group = "www-data"`.
fn socket_file(table: &mut Table<'_>, is_unix: bool) -> SocketFile {
    let mut file = SocketFile::default();
    let mode = table.parse("mode", "permissions in quotes, like \"0660\"", |text| {
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.ok_or_else(|| Mistake::new(format!("`{text}` is no permission of a file")).hint("three octal digits, like \"0660\""))
    });
    let group = table.parse("group", "a group in quotes, like \"www-data\"", |text| {
        let group = text.parse().ok().or_else(|| group_of(&std::fs::read_to_string("/etc/group").unwrap_or_default(), text));
        group.ok_or_else(|| Mistake::new(format!("there is no group `{text}`")).hint("a name in /etc/group, or a number"))
    });
    for span in [mode.as_ref().map(|mode| mode.span()), group.as_ref().map(|group| group.span())].into_iter().flatten() {
        if !is_unix {
            let mistake =
                Mistake::new("only a Unix socket has permissions").hint("leave it out, or listen on \"unix:/run/larder/larder.sock\"");
            table.mistakes().error(span, mistake);
        }
    }
    file.mode = mode.map_or(file.mode, toml::Spanned::into_inner);
    file.group = group.map(toml::Spanned::into_inner);
    file
}

/// The number of a group in the text of `/etc/group`.
fn group_of(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten())
}

fn proxy_protocol(mut table: Table<'_>, listen: Option<&Listen>) -> Option<ProxyProtocol> {
    const HINT: &str = "like proxy_protocol = { from = [\"10.0.0.0/8\"] }: the addresses of the proxies before this listener";
    table.require("from", HINT);
    let from = table.list("from", "networks in quotes, like \"10.0.0.0/8\"", network);
    let required = table.boolean("required").unwrap_or(true);
    if let Some(empty) = from.as_ref().filter(|from| from.get_ref().is_empty()) {
        table.mistakes().error(empty.span(), Mistake::new("`from` names no network").hint(HINT));
    }
    if let Some(ListenKind::Unix(_)) = listen.map(Listen::kind) {
        let mistake = Mistake::new("a Unix socket has no peers with addresses, so no PROXY header can be believed there");
        table.mistakes().error(table.span(), mistake.hint("use an address of TCP, or `trusted_proxies` in [server] with 127.0.0.1"));
    }
    table.finish();
    Some(ProxyProtocol { from: items(from?), required })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_number() {
        let text = "root:x:0:\nwww-data:x:33:a,b\nodd\n";
        assert_eq!((group_of(text, "www-data"), group_of(text, "root")), (Some(33), Some(0)));
        assert_eq!((group_of(text, "www"), group_of(text, "odd"), group_of(text, "x")), (None, None, None));
    }
}
