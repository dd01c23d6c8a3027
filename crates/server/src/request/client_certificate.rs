//! `Client-Cert` (RFC 9440): the origin is told of the certificate that a client showed, and of nothing that a client says about one. A proxy before
//! this one that is believed about it has checked the certificate itself.

use http::{HeaderMap, HeaderName, HeaderValue};

/// "Client-Cert" (RFC 9440 §2.2).
pub(crate) const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// "Client-Cert-Chain" (RFC 9440 §2.3).
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Removes what the client itself sent under these names (RFC 9440 §4), and puts what its handshake showed in their place. What a peer that
/// `is_believed` says stays, where it has the right form; the certificate that such a peer shows is its own, and no client's.
pub(crate) fn put(headers: &mut HeaderMap, shown: Option<&HeaderValue>, is_believed: impl FnOnce() -> bool) {
    let is_claimed = headers.keys().any(is_claim);
    if !is_claimed && shown.is_none() {
        return;
    }
    let (certificate, chain) = if is_believed() { claimed(headers) } else { (shown.cloned(), Vec::new()) };
    if is_claimed {
        let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
        claims.iter().for_each(|name| drop(headers.remove(name)));
    }
    if let Some(certificate) = certificate {
        headers.insert(CLIENT_CERT, certificate);
        for line in chain {
            headers.append(CLIENT_CERT_CHAIN, line);
        }
    }
}

/// The certificate that a proxy says its client showed, and the lines of its chain. One that is said twice, or is no byte sequence, is none.
fn claimed(headers: &HeaderMap) -> (Option<HeaderValue>, Vec<HeaderValue>) {
    let mut lines = headers.get_all(CLIENT_CERT).iter();
    let certificate = lines.next().filter(|certificate| lines.next().is_none() && is_byte_sequence(certificate.as_bytes()));
    let is_list = |line: &&HeaderValue| line.as_bytes().split(|byte| *byte == b',').all(|item| is_byte_sequence(item.trim_ascii()));
    let chain: Vec<&HeaderValue> = headers.get_all(CLIENT_CERT_CHAIN).iter().collect();
    let chain = if chain.iter().all(is_list) { chain.into_iter().cloned().collect() } else { Vec::new() };
    (certificate.cloned(), chain)
}

/// RFC 9651 §3.3.5, and not empty: `:YWJj:`.
fn is_byte_sequence(bytes: &[u8]) -> bool {
    let Some(encoded) = bytes.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b":")) else { return false };
    let padding = encoded.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &encoded[..encoded.len() - padding];
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !digits.is_empty() && padding <= 2 && encoded.len().is_multiple_of(4) && digits.iter().all(is_digit)
}

/// Either name, also with underscores: origins that read fields as variables (CGI, WSGI) cannot tell them apart.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let spells = |known: &[u8]| {
        name.len() == known.len() && name.iter().zip(known).all(|(byte, known)| byte == known || (*byte == b'_' && *known == b'-'))
    };
    // Nearly every name ends here.
    name.first() == Some(&b'c') && (spells(CLIENT_CERT_CHAIN.as_str().as_bytes()) || spells(CLIENT_CERT.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9440_4_what_a_client_says_of_its_certificate_is_removed() {
        let claims = ["client-cert", "client_cert", "client-cert-chain", "client_cert_chain", "client-cert_chain", "client_cert-chain"];
        for shown in [None, Some(HeaderValue::from_static(":AQ==:"))] {
            let mut headers = HeaderMap::new();
            for name in claims.into_iter().chain(["client-certs", "cookie", "x-client-cert"]) {
                headers.append(name.parse::<HeaderName>().expect("name"), HeaderValue::from_static("claim"));
                headers.append(name.parse::<HeaderName>().expect("name"), HeaderValue::from_static("claim"));
            }
            put(&mut headers, shown.as_ref(), || false);
            assert_eq!(headers.get("client-cert"), shown.as_ref());
            assert_eq!(headers.get_all("client-cert").iter().count(), usize::from(shown.is_some()));
            assert!(claims[1..].iter().all(|name| !headers.contains_key(*name)), "{headers:?}");
            assert!(["client-certs", "cookie", "x-client-cert"].iter().all(|name| headers.get_all(*name).iter().count() == 2));
        }
    }

    /// What is left of these lines where a peer that is believed sends them, and shows a certificate of its own.
    fn believed(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        put(&mut headers, Some(&HeaderValue::from_static(":UFJPWFk=:")), || true);
        headers.iter().map(|(name, value)| format!("{name} {}", value.to_str().expect("text"))).collect()
    }

    #[test]
    fn rfc9440_a_proxy_that_is_believed_tells_of_its_clients_certificate() {
        let (certificate, chain) = (("client-cert", ":YWJj:"), ("client-cert-chain", ":YWJj:, :YWI=:"));
        assert_eq!(believed(&[certificate]), ["client-cert :YWJj:"]);
        assert_eq!(believed(&[certificate, chain, chain]).len(), 3);
        assert_eq!(believed(&[]), [""; 0], "the proxy's own certificate is not its client's");
        assert_eq!(believed(&[chain]), [""; 0], "a chain of no certificate");
        assert_eq!(
            believed(&[certificate, ("client_cert", ":QUJD:")]),
            ["client-cert :YWJj:"],
            "its client's, which the proxy let through"
        );
        assert_eq!(believed(&[certificate, ("client-cert-chain", ":YWJj:, x")]), ["client-cert :YWJj:"]);
        for wrong in [":YWJj", "YWJj", "::", ":YWJ:", ":YWJj=:", ":Y===:", ":YW Jj:", ":YWJj:;a=b", ":YWJj:, :YWJj:"] {
            assert_eq!(believed(&[("client-cert", wrong)]), [""; 0], "{wrong}");
        }
        assert_eq!(believed(&[certificate, certificate]), [""; 0], "of two lines, one may be its client's");
    }
}
