//! `listen`, certificates, and servers that only send clients to https.

use std::net::SocketAddr;

use super::output::{Listener, Output};
use super::scope::Scope;
use super::syntax::Directive;
use crate::Note;

/// Reads the listeners of a server. Several servers may share one.
pub(super) fn collect(server: &Directive, scope: Scope<'_>, output: &mut Output, notes: &mut Vec<Note>) {
    let redirects = redirects(scope);
    let listens: Vec<&Directive> = server.block.iter().filter(|directive| directive.name == "listen").collect();
    for directive in &listens {
        let Some(address) = address(directive.arg(0)) else {
            notes.push(directive.note(format!("`listen {}` is no address that can be carried over", directive.arg(0))));
            continue;
        };
        let has = |word: &str| directive.args.iter().any(|arg| arg == word);
        let is_tls = has("ssl");
        let certificates = if is_tls { certificates(scope) } else { Vec::new() };
        if is_tls && certificates.is_empty() {
            notes.push(directive.note("a listener with `ssl` needs ssl_certificate and ssl_certificate_key"));
            continue;
        }
        let proxy_protocol = if has("proxy_protocol") { networks(scope) } else { Vec::new() };
        if has("proxy_protocol") && proxy_protocol.is_empty() {
            notes.push(directive.note("`proxy_protocol`: say in `proxy_protocol = { from = [...] }` whose headers are believed"));
        }
        let http2 = has("http2") || scope.is_on("http2");
        let listener =
            Listener { address, certificates, min_version: min_version(scope), http2, proxy_protocol, redirects: redirects && !is_tls };
        merge(output, listener);
    }
    if let Some(field) = scope.one("real_ip_header") {
        let is_usual = field.arg(0).eq_ignore_ascii_case("x-forwarded-for") || field.arg(0) == "proxy_protocol";
        if !is_usual {
            notes.push(field.note(format!("`real_ip_header {}`: Forwarded and X-Forwarded-For are what is believed", field.arg(0))));
        }
        let new: Vec<String> = networks(scope).into_iter().filter(|network| !output.trusted_proxies.contains(network)).collect();
        output.trusted_proxies.extend(new);
    }
}

/// Who can reach a server by its addresses, the fewest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Processes of this machine, or nobody knows.
    Machine,
    /// Addresses of a private network.
    Network,
    /// Everybody, as far as the configuration says.
    Everybody,
}

/// Who can reach this server.
pub(super) fn reach(server: &Directive) -> Reach {
    let listens = server.block.iter().filter(|directive| directive.name == "listen");
    let of = |directive: &Directive| match address(directive.arg(0)).and_then(|address| address.parse::<SocketAddr>().ok()) {
        Some(address) if address.ip().is_loopback() => Reach::Machine,
        Some(SocketAddr::V4(address)) if address.ip().is_private() => Reach::Network,
        Some(SocketAddr::V6(address)) if address.ip().is_unique_local() => Reach::Network,
        Some(_) => Reach::Everybody,
        None => Reach::Machine,
    };
    // Without `listen`, nginx takes port 80 of every address.
    listens.map(of).max().unwrap_or(Reach::Everybody)
}

/// Servers on one address share a listener, and its certificates.
fn merge(output: &mut Output, listener: Listener) {
    let Some(known) = output.listeners.iter_mut().find(|known| known.address == listener.address) else {
        output.listeners.push(listener);
        return;
    };
    known.http2 |= listener.http2;
    // One server that answers is enough.
    known.redirects &= listener.redirects;
    let new: Vec<_> = listener.certificates.into_iter().filter(|pair| !known.certificates.contains(pair)).collect();
    known.certificates.extend(new);
}

/// `80`, `127.0.0.1:80`, `[::]:443`, `*:80`, `unix:/run/a.sock`.
fn address(text: &str) -> Option<String> {
    if text.starts_with("unix:") {
        return Some(text.to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return Some(format!("0.0.0.0:{text}"));
    }
    let with_port = if let Some(port) = text.strip_prefix("*:") {
        format!("0.0.0.0:{port}")
    } else if text.ends_with(']') || !text.contains(':') {
        format!("{text}:80")
    } else {
        text.to_owned()
    };
    let with_address = with_port.replacen("localhost:", "127.0.0.1:", 1);
    with_address.parse::<SocketAddr>().ok().map(|address| address.to_string())
}

fn certificates(scope: Scope<'_>) -> Vec<(String, String)> {
    let keys = scope.all("ssl_certificate_key");
    scope.all("ssl_certificate").iter().zip(keys).map(|(chain, key)| (chain.arg(0).to_owned(), key.arg(0).to_owned())).collect()
}

fn min_version(scope: Scope<'_>) -> Option<&'static str> {
    let protocols = scope.one("ssl_protocols")?;
    let has = |version: &str| protocols.args.iter().any(|arg| arg == version);
    (has("TLSv1.3") && !has("TLSv1.2")).then_some("1.3")
}

fn networks(scope: Scope<'_>) -> Vec<String> {
    let all = scope.all("set_real_ip_from").into_iter().map(|directive| directive.arg(0).to_owned());
    all.filter(|network| network.parse::<std::net::IpAddr>().is_ok() || network.contains('/')).collect()
}

/// Whether all that the server does is `return 301 https://…`; besides, it may turn away what that is not for.
pub(super) fn redirects(scope: Scope<'_>) -> bool {
    let leads_to_https = |directive: &Directive| {
        directive.name == "return" && matches!(directive.arg(0), "301" | "302" | "307" | "308") && directive.arg(1).starts_with("https://")
    };
    let within = |directive: &Directive| matches!(directive.name.as_str(), "location" | "if") && directive.block.iter().any(leads_to_https);
    let passes =
        scope.block.iter().any(|directive| directive.name == "location" && directive.block.iter().any(|inner| inner.name == "proxy_pass"));
    // What the server returns comes before its locations.
    scope.block.iter().any(leads_to_https) || (!passes && scope.block.iter().any(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_nginx_means_them() {
        for (nginx, larder) in [
            ("80", Some("0.0.0.0:80")),
            ("*:8080", Some("0.0.0.0:8080")),
            ("127.0.0.1:81", Some("127.0.0.1:81")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("[::]:443", Some("[::]:443")),
            ("[::1]", Some("[::1]:80")),
            ("localhost:8000", Some("127.0.0.1:8000")),
            ("unix:/run/a.sock", Some("unix:/run/a.sock")),
            ("backend.example:80", None),
            ("", None),
        ] {
            assert_eq!(address(nginx).as_deref(), larder, "{nginx}");
        }
    }
}
