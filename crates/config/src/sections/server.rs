//! `[server]` and `[admin]`.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use crate::model::listen::{Listen, Origin};
use crate::model::{Admin, Server, ServerOptions};
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Table, choose};
use crate::sections::cache::{items, network};
use crate::sections::overrides::Overrides;
use crate::sections::tokens;
use crate::sections::upstreams::positive;
use larder_message::client::Trust;

pub(crate) const ADDRESS_FORM: &str = "an address in quotes, like \"127.0.0.1:8080\"";

/// `[server]`.
pub(crate) fn server(root: &mut Table<'_>, overrides: &Overrides) -> Server {
    let mut server = overrides.usual_server();
    if root.has("listeners") {
        // There is no default beside them.
        server.listen = Vec::new();
    }
    let Some(mut table) = root.table("server") else { return server };
    if let Some(listen) = listeners(&mut table) {
        server.listen = listen;
    }
    if let Some(networks) = table.list("trusted_proxies", "networks in quotes, like \"10.0.0.0/8\"", network) {
        server.trusted_proxies = items(networks);
    }
    if let Some(trust) = trust(&mut table, !server.trusted_proxies.is_empty()) {
        server.trust = trust;
    }
    if let Some(time) = table.duration("drain_delay") {
        server.drain_delay = time.into_inner();
    }
    if let Some(has_ids) = table.boolean("request_id") {
        server.request_id = has_ids;
    }
    server.state_dir = table.parse("state_dir", "a folder in quotes, like \"/var/lib/larder\"", state_dir).map(Spanned::into_inner);
    options(&mut table, &mut server.options);
    table.finish();
    server
}

/// Where the process starts is no place to find files again.
fn state_dir(path: &str) -> Result<PathBuf, Mistake> {
    let path = PathBuf::from(path);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Mistake::new(format!("`{}` is not an absolute path", path.display())).hint("like \"/var/lib/larder\""))
}

/// The keys that say how connections are treated.
fn options(table: &mut Table<'_>, options: &mut ServerOptions) {
    if let Some(time) = table.duration("drain_timeout") {
        options.drain_timeout = time.into_inner();
    }
    for (key, target) in [("header_read_timeout", &mut options.header_read_timeout), ("write_timeout", &mut options.write_timeout)] {
        if let Some(timeout) = positive(table, key) {
            *target = timeout;
        }
    }
    limits(table, options);
    // 8 KiB is the least buffer that hyper takes.
    if let Some(size) = table.bytes("max_header_bytes", 8 << 10..=1 << 20).and_then(|size| usize::try_from(size.into_inner()).ok()) {
        options.max_header_bytes = size;
    }
}

/// The keys that a listener may have of its own.
pub(crate) fn limits(table: &mut Table<'_>, options: &mut ServerOptions) {
    for (key, target) in [("idle_timeout", &mut options.idle_timeout), ("tunnel_idle", &mut options.tunnel_idle)] {
        if let Some(timeout) = positive(table, key) {
            *target = timeout;
        }
    }
    if let Some(rate) = table.bytes("min_upload_rate", 0..=1 << 30) {
        options.min_upload_rate = rate.into_inner();
    }
    if let Some(count) = table.integer("max_connections", 1..=1_000_000).and_then(|count| u32::try_from(count).ok()) {
        options.max_connections = count;
    }
}

/// The facts that trusted proxies are believed about.
fn trust(table: &mut Table<'_>, anyone: bool) -> Option<Trust> {
    type Set = fn(&mut Trust);
    const WORDS: [(&str, Set); 4] = [
        ("for", |trust| trust.client = true),
        ("proto", |trust| trust.scheme = true),
        ("host", |trust| trust.host = true),
        ("client-cert", |trust| trust.certificate = true),
    ];
    let list = table.list("trust", "\"for\", \"proto\", \"host\", \"client-cert\"", |text| choose("`trust`", text, &WORDS))?;
    let span = list.span();
    let mut trust = Trust { client: false, scheme: false, host: false, certificate: false };
    for believe in items(list) {
        believe(&mut trust);
    }
    if !anyone && trust != Trust::default() {
        let mistake = Mistake::new("`trust` says what is believed of `trusted_proxies`, and there are none");
        table.mistakes().warning(span, mistake.hint("add trusted_proxies = [\"10.0.0.0/8\"], or leave it out"));
    }
    Some(trust)
}

/// One address, or a list of them.
fn listeners(table: &mut Table<'_>) -> Option<Vec<Listen>> {
    let list = if table.get("listen").is_some_and(|value| matches!(value.get_ref(), DeValue::Array(_))) {
        let list = table.list("listen", ADDRESS_FORM, Listen::parse)?;
        if list.get_ref().is_empty() {
            table
                .mistakes()
                .error(list.span(), Mistake::new("`listen` names no address").hint("like [\"127.0.0.1:8080\", \"[::1]:8080\"]"));
        }
        list.into_inner()
    } else {
        vec![table.parse("listen", "an address in quotes, like \"127.0.0.1:8080\", or a list of them", Listen::parse)?]
    };
    Some(list.into_iter().map(placed).collect())
}

pub(crate) fn placed(listen: Spanned<Listen>) -> Listen {
    let span = listen.span();
    listen.into_inner().with_origin(Origin::File(span))
}

/// `[admin]`.
pub(crate) fn admin(root: &mut Table<'_>) -> Admin {
    let default = Admin::default();
    let Some(mut table) = root.table("admin") else { return default };
    let listen = table.parse("listen", ADDRESS_FORM, Listen::parse).map(placed);
    let tokens = tokens::read(&mut table);
    table.finish();
    Admin { listen: listen.unwrap_or(default.listen), tokens }
}
