//! Handshakes in which somebody is asked.

use super::*;
use crate::trust::pins::{PinnedKeys, Pins};

fn judged(judge: Judge, authority: &Authority, change: impl FnOnce(&mut TlsOptions)) -> TlsSettings {
    let mut options = TlsOptions { replaced_roots: Some(vec![authority.root()]), ..TlsOptions::default() };
    change(&mut options);
    let terms = Terms { judge, ..Terms::default() };
    settings::Common::new(&options).and_then(|common| common.settings(&terms)).expect("settings")
}

fn key_of(identity: &Identity) -> PinnedKeys {
    let certificate = Certificate::from_rustls(identity.chain[0].clone());
    PinnedKeys::from_sha256(certificate.public_key_sha256())
}

fn pins(host: &str, keys: PinnedKeys) -> Pins {
    let mut pins = Pins::default();
    pins.add(host, false, keys).expect("a host");
    pins
}

impl Pair {
    /// Runs the handshake up to its end, or to a question.
    fn until_asked(&mut self, size: usize) -> Result<Handshake> {
        for _ in 0..10 {
            let bytes = self.servers_bytes();
            let pieces = if bytes.is_empty() { vec![&bytes[..]] } else { bytes.chunks(size).collect() };
            for piece in pieces {
                self.incoming.extend(piece);
                match self.client.handshake(&mut self.incoming, &mut self.outgoing)? {
                    Handshake::NeedsInput => self.feed_server(),
                    asked => return Ok(asked),
                }
            }
        }
        panic!("the handshake does not end");
    }
}

#[test]
fn the_server_is_judged_before_anything_of_ours_leaves() {
    let authority = Authority::new("Test Authority");
    let good = authority.issue(&["example.com"], |_| ());
    let bad = self_signed(|params| params.not_after = date_time_ymd(2020, 1, 31));
    for versions in [&[&TLS12], &[&TLS13]] {
        for size in [usize::MAX, 1, 700] {
            for (identity, is_good) in [(&good, true), (&bad, false)] {
                let settings = judged(Judge::Delegate, &authority, |_| ());
                let mut pair = Pair::new(&settings, &Arc::new(server_config(identity, versions)));
                assert_eq!(pair.until_asked(size).expect("a question"), Handshake::NeedsTrust);
                assert!(pair.server.is_handshaking(), "it has not got our Finished");
                // Asking again changes nothing.
                let again = pair.client.handshake(&mut pair.incoming, &mut pair.outgoing);
                assert_eq!(again.expect("a question"), Handshake::NeedsTrust);
                let trust = pair.client.server_trust().expect("a chain");
                assert_eq!(trust.host(), "example.com");
                let shown = trust.certificates().iter().map(|shown| shown.as_rustls().clone());
                assert_eq!(shown.collect::<Vec<_>>(), identity.chain);
                match trust.evaluate() {
                    Ok(()) => assert!(is_good),
                    Err(error) => {
                        // Word for word what is said without a question.
                        let rules = super::settings(&authority);
                        let server = Arc::new(server_config(identity, versions));
                        let expected = Pair::new(&rules, &server).handshake().expect_err("untrusted");
                        assert_eq!(error.to_string(), expected.to_string());
                        let certificates = expected.server_trust().expect("the chain").certificates();
                        assert_eq!(certificates, trust.certificates());
                    }
                }
                pair.client.accept(!is_good);
                assert_eq!(pair.until_asked(size).expect("a handshake"), Handshake::Done);
                pair.exchange().expect("tickets");
                assert_eq!(pair.client_says(&[b"hello"]), b"hello");
            }
        }
    }
}

#[test]
fn whoever_lacks_the_key_is_not_even_asked_about() {
    let authority = Authority::new("Test Authority");
    let owner = authority.issue(&["example.com"], |_| ());
    for versions in [&[&TLS12], &[&TLS13]] {
        let thief = KeyPair::generate().expect("a key");
        let key = rustls::crypto::ring::sign::any_supported_type(&private(&thief)).expect("a key");
        let stolen = rustls::sign::CertifiedKey::new(owner.chain.clone(), key);
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen)));
        let settings = judged(Judge::Delegate, &authority, |_| ());
        let error = Pair::new(&settings, &Arc::new(server)).until_asked(usize::MAX).expect_err("a thief");
        assert!(error.to_string().contains("does not have its key"), "{error}");
    }
}

#[test]
fn only_what_the_rules_accept_is_resumed_and_only_where_one_delegate_decides() {
    let authority = Authority::new("Test Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    for versions in [&[&TLS12], &[&TLS13]] {
        let server = Arc::new(server_config(&identity, versions));
        let connect = |settings: &TlsSettings, by_exception: bool| {
            let mut pair = Pair::new(settings, &server);
            let asked = pair.until_asked(usize::MAX).expect("a handshake");
            if asked == Handshake::NeedsTrust {
                pair.client.accept(by_exception);
                assert_eq!(pair.until_asked(usize::MAX).expect("a handshake"), Handshake::Done);
            }
            pair.exchange().expect("tickets");
            assert_eq!(pair.client_says(&[b"hello"]), b"hello");
            let resumed = pair.client.info().resumed;
            assert_eq!(resumed, asked == Handshake::Done, "asked unless it is resumed");
            resumed
        };
        let shared = judged(Judge::Delegate, &authority, |_| ());
        assert_eq!([true, true, false].map(|exception| connect(&shared, exception)), [false, false, false]);
        assert!(connect(&shared, false), "the one before was good");
        assert!(connect(&shared, false), "and has left more");
        let own = judged(Judge::OwnDelegate, &authority, |_| ());
        assert_eq!([false, false].map(|exception| connect(&own, exception)), [false, false]);
    }
}

#[test]
fn a_client_certificate_is_asked_for_after_the_server_was_judged() {
    let authority = Authority::new("Test Authority");
    let clients = Authority::new("Clients' Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    let server = Arc::new(server_config_with_clients(&identity, &clients, true));
    let root = clients.root();
    let anchor = webpki::anchor_from_trusted_cert(&root).expect("an anchor");
    let name = crate::tls::outline::sequence(anchor.subject.as_ref());
    for maximum in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for known in [false, true] {
            let ours = known.then(|| clients.issue(&["client"], |_| ()));
            let settings = judged(Judge::Delegate, &authority, |options| {
                options.maximum = maximum;
                options.identity = ours;
            });
            let mut pair = Pair::new(&settings, &server);
            assert_eq!(pair.client.has_identity(), known);
            assert_eq!(pair.until_asked(usize::MAX).expect("a question"), Handshake::NeedsTrust);
            pair.client.accept(false);
            assert_eq!(pair.until_asked(usize::MAX).expect("a question"), Handshake::NeedsIdentity);
            assert!(pair.server.is_handshaking());
            assert_eq!(pair.client.authorities(), std::slice::from_ref(&name));
            pair.client.identify();
            assert_eq!(pair.until_asked(usize::MAX).expect("a handshake"), Handshake::Done);
            pair.exchange().expect("a verdict");
            assert_eq!(pair.server.peer_certificates().is_some(), known);
        }
    }
}

#[test]
fn what_is_held_back_does_not_leave_with_an_alert() {
    let authority = Authority::new("Test Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    let settings = judged(Judge::Delegate, &authority, |_| ());
    let mut pair = Pair::new(&settings, &Arc::new(server_config(&identity, &[&TLS12])));
    let begun = pair.client.handshake(&mut pair.incoming, &mut pair.outgoing);
    assert_eq!(begun.expect("a hello"), Handshake::NeedsInput);
    pair.feed_server();
    let mut bytes = pair.servers_bytes();
    // Behind ServerHelloDone, in the same record, comes a message that has no place there.
    let mut at = 0;
    while let Some(end) = record_end(&bytes, at).filter(|end| *end < bytes.len()) {
        at = end;
    }
    let length = u16::from_be_bytes([bytes[at + 3], bytes[at + 4]]) + 4;
    bytes[at + 3..at + 5].copy_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&[14, 0, 0, 0]);
    pair.incoming.extend(&bytes);
    let error = pair.client.handshake(&mut pair.incoming, &mut pair.outgoing).expect_err("a second Done");
    assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed, "{error}");
    // At most an alert, and nothing of the flight that ServerHelloDone brings about.
    const ALERT: u8 = 21;
    assert!(pair.outgoing.is_empty() || pair.outgoing.filled().first() == Some(&ALERT));
    assert!(pair.outgoing.len() <= 7, "nobody has accepted that server: {error}");
}

#[test]
fn pinned_keys_have_to_be_there_whoever_judges() {
    let authority = Authority::new("Test Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    let other = key_of(&authority.issue(&["example.com"], |_| ()));
    let of_root = Identity { chain: vec![authority.root()], key: identity.key.clone_key() };
    let server = Arc::new(server_config(&identity, BOTH));
    for (host, keys, is_met) in [
        ("example.com", key_of(&identity), true),
        // The root is not sent along, but is known.
        ("example.com", key_of(&of_root), true),
        ("example.com", other.clone(), false),
        ("*", other.clone(), false),
        ("other.example", other.clone(), true),
    ] {
        for careless in [false, true] {
            let change = |options: &mut TlsOptions| {
                options.pins = pins(host, keys.clone());
                options.accept_invalid = careless;
            };
            let rules = settings_with(&authority, change);
            let delegate = judged(Judge::Delegate, &authority, change);
            let mut asked = Pair::new(&delegate, &server);
            assert_eq!(asked.until_asked(usize::MAX).expect("a question"), Handshake::NeedsTrust);
            let results = [Pair::new(&rules, &server).handshake(), asked.client.server_trust().map(drop)];
            for result in results {
                let Err(error) = result else {
                    assert!(is_met, "{host}");
                    continue;
                };
                assert!(!is_met, "{host}: {error}");
                assert_eq!(error.kind(), ErrorKind::ServerCertificateUntrusted);
                for said in ["example.com", "pin_public_keys", &key_of(&identity).to_string()] {
                    assert!(error.to_string().contains(said), "{said}: {error}");
                }
                assert_eq!(error.server_trust().expect("the chain").certificates().len(), 1);
            }
            if !is_met {
                // There is no way on from there.
                asked.client.accept(true);
                assert!(asked.until_asked(usize::MAX).is_err());
            }
        }
    }
}

#[test]
fn every_cipher_suite_on_offer_has_forward_secrecy() {
    let providers = [
        Provider::Ring,
        #[cfg(feature = "aws-lc-rs")]
        Provider::AwsLcRs,
    ];
    for provider in providers {
        let options = TlsOptions { provider, ..TlsOptions::default() };
        let settings = TlsSettings::new(&options).expect("settings");
        let suites = &settings.config.crypto_provider().cipher_suites;
        assert!(!suites.is_empty());
        for suite in suites {
            // Every suite of TLS 1.3 has it; of TLS 1.2 those with an ephemeral key exchange.
            let name = format!("{:?}", suite.suite());
            assert!(name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"), "{name}");
        }
    }
}
