//! `Client-Cert` (RFC 9440): the origin is told of the certificate that a client showed, and of nothing that a client says about one.

use http::{HeaderMap, HeaderName, HeaderValue};

/// "Client-Cert" (RFC 9440 §2.2).
pub(crate) const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CHAIN: &[u8] = b"client-cert-chain";

/// Removes what the client itself sent under these names (RFC 9440 §4), and puts what its handshake showed in their place.
pub(crate) fn put(headers: &mut HeaderMap, shown: Option<&HeaderValue>) {
    if headers.keys().any(is_claim) {
        let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
        claims.iter().for_each(|name| drop(headers.remove(name)));
    }
    if let Some(shown) = shown {
        headers.insert(CLIENT_CERT, shown.clone());
    }
}

/// Either name, also with underscores: origins that read fields as variables (CGI, WSGI) cannot tell them apart.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let spells = |known: &[u8]| {
        name.len() == known.len() && name.iter().zip(known).all(|(byte, known)| byte == known || (*byte == b'_' && *known == b'-'))
    };
    // Nearly every name ends here.
    name.first() == Some(&b'c') && (spells(CHAIN) || spells(CLIENT_CERT.as_str().as_bytes()))
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
            put(&mut headers, shown.as_ref());
            assert_eq!(headers.get("client-cert"), shown.as_ref());
            assert_eq!(headers.get_all("client-cert").iter().count(), usize::from(shown.is_some()));
            assert!(claims[1..].iter().all(|name| !headers.contains_key(*name)), "{headers:?}");
            assert!(["client-certs", "cookie", "x-client-cert"].iter().all(|name| headers.get_all(*name).iter().count() == 2));
        }
    }
}
