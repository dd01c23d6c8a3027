//! `[[listeners]]`.

use crate::model::{Listen, Listener, ServerOptions};
use crate::parse::reader::Table;
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
    Some(Listener { listen: listen?, tls, http2, options, counted_apart })
}
