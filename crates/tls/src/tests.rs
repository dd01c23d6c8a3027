//! Pairs from files, and the choice between them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType,
};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection, SignatureScheme};
use tempfile::TempDir;

use super::*;

/// A folder with certificates.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A pair for these names, with a key of this kind.
    fn pair(&self, names: &[&str], kind: &'static rcgen::SignatureAlgorithm) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate_for(kind).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse().unwrap()));
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let name = names.join("-").replace('*', "any") + &format!("{kind:?}");
        (self.write(&format!("{name}.pem"), &certificate.pem()), self.write(&format!("{name}.key"), &key.serialize_pem()))
    }

    fn load(&self, names: &[&str]) -> Pair {
        let (chain, key) = self.pair(names, &PKCS_ECDSA_P256_SHA256);
        Pair::load(&chain, &key).unwrap()
    }
}

#[test]
fn a_pair_says_whom_it_is_for_and_until_when() {
    let pair = Files::new().load(&["a.example", "*.b.example"]);
    let facts = pair.facts();
    assert!(["a.example", "x.b.example", "192.0.2.7"].iter().all(|host| facts.names.cover(host)), "{facts:?}");
    assert_eq!(facts.not_after, 2_208_988_800, "2040-01-01");
    assert!(facts.not_before < facts.not_after);
}

#[test]
fn a_wrong_pair_names_the_file_at_fault() {
    let files = Files::new();
    let (chain, key) = files.pair(&["a.example"], &PKCS_ECDSA_P256_SHA256);
    let (_, other) = files.pair(&["b.example"], &PKCS_ECDSA_P256_SHA256);
    let empty = files.write("empty", "");
    let odd = files.write("odd", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let none = PathBuf::from("/no/such/file");
    for (chain, key, message, is_key) in [
        (&none, &key, "cannot read /no/such/file", false),
        (&chain, &none, "cannot read /no/such/file", true),
        (&empty, &key, "there is no certificate in", false),
        (&odd, &key, "the first certificate in", false),
        (&chain, &empty, "there is no private key in", true),
        (&chain, &chain, "there is no private key in", true),
        (&chain, &other, "does not belong to the first certificate", true),
    ] {
        let error = Pair::load(chain, key).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.concerns_key(), is_key, "{error}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn rfc5280_5_a_list_of_revoked_certificates_has_an_end_and_an_authority() {
    let files = Files::new();
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (one, two) = (authority("one"), authority("two"));
    let list = |issuer: &CertifiedIssuer<'static, KeyPair>, year| {
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(year, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(issuer).unwrap().pem().unwrap()
    };
    let authorities = Authorities::load(&files.write("ca", &(one.pem() + &two.pem()))).unwrap();
    let load = |text: &str| Revocations::load(&files.write("list", text), &authorities);
    let both = load(&(list(&one, 2040) + &list(&two, 2041))).unwrap();
    assert_eq!((both.next_update(), both.uncovered()), (2_208_988_800, 0), "the first end counts");
    assert_eq!(load(&list(&two, 2041)).unwrap().uncovered(), 1);
    let odd = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    for (text, message) in [("", "there is no list of revoked certificates in"), (odd, "cannot be read"), (&one.pem(), "there is no list")]
    {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// Everything that either side has for the other goes over, until a side fails or both have nothing to say.
fn exchange(client: &mut ClientConnection, server: &mut ServerConnection) {
    loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut up).unwrap();
        }
        server.read_tls(&mut up.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        client.read_tls(&mut down.as_slice()).unwrap();
        client.process_new_packets().unwrap();
        if up.is_empty() && down.is_empty() {
            return;
        }
    }
}

/// rustls takes the certificate of a resumed session from the ticket, and asks nothing more of it.
#[test]
fn the_certificate_of_a_resumed_session_is_known_with_its_first_message_and_counts_no_longer_than_it_holds() {
    let files = Files::new();
    let issuer = {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let issued = |name: &str, year| {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::new(vec![name.to_owned()]).unwrap());
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (own, own_key) = issued("a.example", 2045);
    let pair = Pair::load(&files.write("own", &own.pem()), &files.write("own.key", &own_key.serialize_pem())).unwrap();
    let authorities = Authorities::load(&files.write("ca", &issuer.pem())).unwrap();
    let clients = Some(ClientCertificates { required: true, authorities: authorities.clone(), revocations: None });
    for (min_version, version) in [(MinVersion::Tls13, &rustls::version::TLS13), (MinVersion::Tls12, &rustls::version::TLS12)] {
        let clients = clients.clone();
        let settings = TlsSettings { pairs: vec![pair.clone()], min_version, clients, ticket_keys: None, hsts: None, http2: true };
        let state = TlsState::new(settings).unwrap();
        let (shown, key) = issued("me", 2040);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let builder = ClientConfig::builder_with_provider(crate::state::provider()).with_protocol_versions(&[version]).unwrap();
        let config = builder.with_root_certificates(authorities.roots().unwrap()).with_client_auth_cert(vec![shown.der().clone()], key);
        let config = Arc::new(config.unwrap());
        for is_resumed in [false, true] {
            let mut client = ClientConnection::new(Arc::clone(&config), "a.example".try_into().unwrap()).unwrap();
            let (mut hello, mut acceptor) = (Vec::new(), Acceptor::default());
            client.write_tls(&mut hello).unwrap();
            acceptor.read_tls(&mut hello.as_slice()).unwrap();
            let accepted = acceptor.accept().unwrap().unwrap();
            let site = state.choose(Some("a.example"), accepted.client_hello().signature_schemes()).unwrap();
            let mut server = accepted.into_connection(Arc::clone(&site.config)).unwrap();
            let known = server.peer_certificates().map(<[_]>::to_vec);
            assert_eq!(known.is_some(), is_resumed, "{version:?}");
            if let Some(chain) = known {
                let at = |year: u64| UnixTime::since_unix_epoch(Duration::from_secs((year - 1970) * 31_557_600 + 86_400 * 30));
                assert_eq!([at(2039), at(2040)].map(|now| state.still_takes(&chain, now)), [true, false]);
            }
            exchange(&mut client, &mut server);
            assert_eq!(server.handshake_kind() == Some(HandshakeKind::Resumed), is_resumed, "{version:?}");
        }
    }
}

fn state(pairs: Vec<Pair>) -> TlsState {
    TlsState::new(TlsSettings { pairs, min_version: MinVersion::Tls12, clients: None, ticket_keys: None, hsts: None, http2: true }).unwrap()
}

#[test]
fn rfc6066_3_the_certificate_is_chosen_by_name() {
    let files = Files::new();
    let state = state(vec![files.load(&["a.example"]), files.load(&["*.b.example"]), files.load(&["x.b.example"])]);
    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let chosen = |name| state.choose(name, &schemes).and_then(|site| site.names.first());
    assert_eq!(chosen(Some("A.example")).as_deref(), Some("a.example"));
    assert_eq!(chosen(Some("x.b.example")).as_deref(), Some("x.b.example"), "the very name wins over a wildcard");
    assert_eq!(chosen(Some("y.b.example")).as_deref(), Some("*.b.example"));
    assert_eq!(chosen(None).as_deref(), Some("a.example"));
    assert_eq!(chosen(Some("192.0.2.1")).as_deref(), Some("a.example"), "SNI carries no addresses");
    assert_eq!(chosen(Some("c.example")), None);
    assert_eq!(chosen(Some("x.y.b.example")), None);
}

#[test]
fn of_two_certificates_for_a_name_the_client_gets_one_it_can_check() {
    let files = Files::new();
    let of = |kind| {
        let (chain, key) = files.pair(&["a.example"], kind);
        Pair::load(&chain, &key).unwrap()
    };
    let (modern, usual) = (of(&PKCS_ED25519), of(&PKCS_ECDSA_P256_SHA256));
    let state = state(vec![modern.clone(), usual.clone()]);
    for name in [Some("a.example"), None] {
        let chosen = |scheme| state.choose(name, &[scheme]).map(|site| site.pair.clone());
        assert_eq!(chosen(SignatureScheme::ECDSA_NISTP256_SHA256), Some(usual.clone()));
        assert_eq!(chosen(SignatureScheme::ED25519), Some(modern.clone()));
        assert_eq!(chosen(SignatureScheme::RSA_PKCS1_SHA256), Some(modern.clone()), "the handshake will say that it does not fit");
    }
}
