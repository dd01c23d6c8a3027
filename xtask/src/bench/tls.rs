//! The certificate that all servers have under TLS, and connections that are made for one request each.

use std::path::Path;

use super::Result;
use super::load::Counted;
use super::process::output;

/// Makes a certificate for 127.0.0.1 with a key on P-256, as public authorities issue them; returns the files of chain and key.
pub(super) fn certificate(directory: &Path) -> Result<[String; 2]> {
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| directory.join(name).to_string_lossy().into_owned());
    let curve = "ec_paramgen_curve:prime256v1";
    let made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1"];
    let files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", &chain];
    output("openssl", &[made.as_slice(), &files].concat())?;
    Ok([chain, key])
}

/// The same in one file, as HAProxy wants it.
pub(super) fn certificate_with_key(directory: &Path) -> Result<String> {
    let [chain, key] = certificate(directory)?;
    let both = directory.join("both.pem");
    std::fs::write(&both, std::fs::read_to_string(chain)? + &std::fs::read_to_string(key)?)?;
    Ok(both.to_string_lossy().into_owned())
}

/// One connection after the other for `seconds`, each for one request of `target`: with full handshakes, or each but the first `resumed`.
pub(super) fn connections(core: u32, port: u16, target: &str, resumed: bool, seconds: u64) -> Result<Counted> {
    let (core, server, seconds) = (core.to_string(), format!("127.0.0.1:{port}"), seconds.to_string());
    let kind = if resumed { "-reuse" } else { "-new" };
    let text = output("taskset", &["-c", &core, "openssl", "s_time", "-connect", &server, kind, "-www", target, "-time", &seconds])?;
    let counted = parse_s_time(&text).ok_or_else(|| format!("openssl s_time said something unexpected:\n{text}"))?;
    // A dot-like mark a connection: `r` for a resumed one, `*` for a full handshake.
    let full = text.bytes().filter(|&byte| byte == b'*').count();
    if resumed && full > 1 { Err(format!("{full} connections were not resumed").into()) } else { Ok(counted) }
}

fn parse_s_time(text: &str) -> Option<Counted> {
    let line = text.lines().rev().find(|line| line.contains(" connections in ") && line.contains(" real seconds"))?;
    let (count, rest) = line.trim().split_once(" connections in ")?;
    let seconds: f64 = rest.split_whitespace().next()?.parse().ok()?;
    let requests: u64 = count.parse().ok()?;
    Some(Counted { requests, per_second: requests as f64 / seconds.max(1.0), failed: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_time_is_understood() {
        let text = "Collecting connection statistics for 2 seconds\n***\n\n3 connections in 0.01s; 300.00 connections/user sec, bytes read 0\n\
                    4000 connections in 2 real seconds, 0 bytes read per connection\n";
        assert_eq!(parse_s_time(text), Some(Counted { requests: 4000, per_second: 2000.0, failed: 0 }));
        assert_eq!(parse_s_time("connect: refused"), None);
    }
}
