//! nginx: `proxy_cache` and what stands around it.

mod access;
mod conditions;
mod fields;
mod keys;
mod lifetimes;
mod listeners;
mod locations;
mod names;
mod output;
mod scope;
mod syntax;
mod upstreams;
mod values;

use std::path::Path;

use crate::{ImportError, Imported, Note};
use locations::routes_of;
use output::Output;
use scope::Scope;
use syntax::{Directive, Include};

/// Directives that need no equivalent: Larder does by itself what they ask for, or they are about nginx itself.
const NEEDLESS: &[&str] = &[
    "access_log",
    "aio",
    "charset",
    "default_type",
    "error_log",
    "gzip_comp_level",
    "gzip_disable",
    "gzip_proxied",
    "gzip_static",
    "gzip_vary",
    "index",
    "keepalive_requests",
    "keepalive_timeout",
    "log_format",
    "open_file_cache",
    "output_buffers",
    "proxy_buffer_size",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_cache_background_update",
    "proxy_cache_convert_head",
    "proxy_cache_lock",
    "proxy_cache_lock_age",
    "proxy_cache_lock_timeout",
    "proxy_cache_revalidate",
    "proxy_http_version",
    "proxy_max_temp_file_size",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_temp_path",
    "reset_timedout_connection",
    "resolver",
    "sendfile",
    "server_names_hash_bucket_size",
    "server_tokens",
    "ssl_ciphers",
    "ssl_dhparam",
    "ssl_ecdh_curve",
    "ssl_prefer_server_ciphers",
    "ssl_session_cache",
    "ssl_session_tickets",
    "ssl_session_timeout",
    "tcp_nodelay",
    "tcp_nopush",
    "types",
    "types_hash_max_size",
];

/// Carries over the configuration in this file, with what it includes.
///
/// # Errors
/// A file that cannot be read, or is no configuration of nginx.
pub fn nginx(path: &Path) -> Result<Imported, ImportError> {
    let file = path.display().to_string();
    let text = syntax::read(path)?;
    Ok(imported(&syntax::parse(&text, &file, Include::Beside(path))?))
}

/// Carries over a text, such as `nginx -T` prints, under this name. What it includes is left out: `nginx -T` has it in the text already.
///
/// # Errors
/// A text that is no configuration of nginx.
pub fn nginx_text(text: &str, file: &str) -> Result<Imported, ImportError> {
    Ok(imported(&syntax::parse(text, file, Include::No)?))
}

fn imported(directives: &[Directive]) -> Imported {
    // A file of conf.d is what stands in `http`; a whole configuration has the block, and in the text of `nginx -T` files follow it.
    let inner: Vec<Directive> = directives
        .iter()
        .flat_map(|directive| if directive.name == "http" { directive.block.clone() } else { vec![directive.clone()] })
        .collect();
    let (mut output, mut notes) = (Output::default(), Vec::new());
    let http = Scope::new(&inner);
    upstreams::collect(&inner, &mut output, &mut notes);
    lifetimes::collect_stores(&inner, &mut output, &mut notes);
    let servers = || inner.iter().filter(|directive| directive.name == "server");
    let widest = servers().filter(|server| !listeners::redirects(http.within(&server.block))).map(listeners::reach).max();
    for server in servers() {
        let scope = http.within(&server.block);
        if Some(listeners::reach(server)) < widest {
            notes.push(server.note(
                "this server is left out: fewer clients reach its addresses than those of others, and a route is for all listeners; run a Larder of its own for it",
            ));
            continue;
        }
        listeners::collect(server, scope, &mut output, &mut notes);
        routes_of(server, scope, &mut output, &mut notes);
    }
    output.refuse(&mut notes);
    notes.extend(inner.iter().filter_map(|directive| unknown(directive, &["server", "upstream", "proxy_cache_path", "map"])));
    notes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    notes.dedup();
    Imported { config: output.text(), notes }
}

/// A note about a directive that nobody here reads.
fn unknown(directive: &Directive, known: &[&str]) -> Option<Note> {
    const READ_IN_ANY_SCOPE: &[&str] = &[
        "add_header",
        "client_max_body_size",
        "gzip",
        "gzip_min_length",
        "gzip_types",
        "proxy_cache",
        "proxy_cache_bypass",
        "proxy_cache_key",
        "proxy_cache_methods",
        "proxy_cache_min_uses",
        "proxy_cache_use_stale",
        "proxy_cache_valid",
        "proxy_connect_timeout",
        "proxy_hide_header",
        "proxy_ignore_headers",
        "proxy_no_cache",
        "proxy_pass_header",
        "proxy_read_timeout",
        "proxy_send_timeout",
        "proxy_set_header",
        "ssl_certificate",
        "ssl_certificate_key",
        "ssl_protocols",
        "set_real_ip_from",
        "real_ip_header",
    ];
    // What stands beside `http` is about the process.
    const PROCESS: &[&str] = &["user", "worker_processes", "worker_rlimit_nofile", "pid", "events", "load_module", "daemon", "include"];
    let name = directive.name.as_str();
    let is_known = known.contains(&name) || NEEDLESS.contains(&name) || READ_IN_ANY_SCOPE.contains(&name) || PROCESS.contains(&name);
    (!is_known).then(|| directive.note(format!("`{name}` has no equivalent here")))
}
