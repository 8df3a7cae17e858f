//! [`TlsStream`] against rustls's server, joined in memory.

mod held;

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::sync::Arc;

/// An authority that issues certificates for tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn store(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root()).expect("a root");
        Arc::new(roots)
    }

    fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (params, key) = leaf(names, change);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity { chain: vec![certificate.der().clone()], key: private(&key) }
    }
}

fn leaf(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, "leaf");
    change(&mut params);
    (params, KeyPair::generate().expect("a key"))
}

fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let (params, key) = leaf(&["example.com"], change);
    let certificate = params.self_signed(&key).expect("a certificate");
    Identity { chain: vec![certificate.der().clone()], key: private(&key) }
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(key.serialize_der().into())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

fn server_config(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .expect("a server's identity");
    config.ticketer = rustls::crypto::ring::Ticketer::new().expect("a ticketer");
    config
}

fn server_config_with_clients(identity: &Identity, clients: &Authority, optional: bool) -> ServerConfig {
    let verifier = WebPkiClientVerifier::builder_with_provider(clients.store(), provider());
    let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(BOTH)
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .expect("a server's identity")
}

/// Both ends of a connection, and what is on the way.
struct Pair {
    client: TlsStream,
    server: ServerConnection,
    incoming: Buffer,
    outgoing: SendBuffer,
    /// What the client received.
    received: Vec<u8>,
    is_closed: bool,
}

impl Pair {
    fn new(settings: &TlsSettings, server: &Arc<ServerConfig>) -> Self {
        Pair::to("example.com", settings, server)
    }

    fn to(host: &str, settings: &TlsSettings, server: &Arc<ServerConfig>) -> Self {
        Pair {
            client: TlsStream::new(settings, host).expect("a client"),
            server: ServerConnection::new(server.clone()).expect("a server"),
            incoming: Buffer::new(),
            outgoing: SendBuffer::new(),
            received: Vec::new(),
            is_closed: false,
        }
    }

    /// What the server has to send.
    fn servers_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut bytes).expect("a vector takes all");
        }
        bytes
    }

    /// Gives the server what the client has to send. Its complaints travel to the client.
    fn feed_server(&mut self) {
        let bytes = std::mem::take(&mut self.outgoing);
        let mut rest = bytes.filled();
        while !rest.is_empty() {
            self.server.read_tls(&mut rest).expect("room");
            if self.server.process_new_packets().is_err() {
                break;
            }
        }
    }

    fn handshake(&mut self) -> Result<()> {
        self.handshake_in_pieces_of(usize::MAX)
    }

    fn handshake_in_pieces_of(&mut self, size: usize) -> Result<()> {
        for _ in 0..10 {
            if self.client.handshake(&mut self.incoming, &mut self.outgoing)? == Handshake::Done {
                self.feed_server();
                return Ok(());
            }
            self.feed_server();
            let bytes = self.servers_bytes();
            for piece in bytes.chunks(size) {
                self.incoming.extend(piece);
                // The last piece is for the next turn.
                let _ = self.client.handshake(&mut self.incoming, &mut self.outgoing)?;
            }
        }
        panic!("the handshake does not end");
    }

    /// Runs the handshake and whatever the server thinks of it.
    fn handshake_and_verdict(&mut self) -> Result<()> {
        self.handshake()?;
        self.exchange()
    }

    /// Sends what is there to be sent, both ways.
    fn exchange(&mut self) -> Result<()> {
        self.exchange_in_pieces_of(usize::MAX)
    }

    fn exchange_in_pieces_of(&mut self, size: usize) -> Result<()> {
        self.feed_server();
        let bytes = self.servers_bytes();
        for piece in bytes.chunks(size) {
            self.incoming.extend(piece);
            let received = &mut self.received;
            let decrypted = self.client.decrypt(&mut self.incoming, &mut self.outgoing, &mut |plain| {
                received.extend_from_slice(plain);
                true
            })?;
            assert_ne!(decrypted, Decrypted::Stopped);
            self.is_closed |= decrypted == Decrypted::PeerClosed;
        }
        self.feed_server();
        Ok(())
    }

    fn client_says(&mut self, parts: &[&[u8]]) -> Vec<u8> {
        self.client.encrypt(parts, &mut self.outgoing).expect("a connection to write to");
        let mut heard = Vec::new();
        let bytes = std::mem::take(&mut self.outgoing);
        let mut rest = bytes.filled();
        while !rest.is_empty() {
            self.server.read_tls(&mut rest).expect("room");
            self.server.process_new_packets().expect("valid records");
            let _ = self.server.reader().read_to_end(&mut heard);
        }
        heard
    }

    /// Lets the server say something, in pieces so that its buffer's limit does not matter.
    fn server_says(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut cipher = Vec::new();
        for piece in bytes.chunks(32 * 1024) {
            self.server.writer().write_all(piece).expect("room");
            cipher.extend(self.servers_bytes());
        }
        cipher
    }
}

fn settings(authority: &Authority) -> TlsSettings {
    settings_with(authority, |_| ())
}

fn settings_with(authority: &Authority, change: impl FnOnce(&mut TlsOptions)) -> TlsSettings {
    let mut options = TlsOptions { replaced_roots: Some(vec![authority.root()]), ..TlsOptions::default() };
    change(&mut options);
    TlsSettings::new(&options).expect("settings")
}

fn example() -> (Authority, TlsSettings, Arc<ServerConfig>) {
    let authority = Authority::new("Test Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    let server = Arc::new(server_config(&identity, BOTH));
    let settings = settings(&authority);
    (authority, settings, server)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[test]
fn a_handshake_byte_by_byte() {
    for versions in [&[&TLS12], &[&TLS13]] {
        let authority = Authority::new("Test Authority");
        let identity = authority.issue(&["example.com"], |_| ());
        let server = Arc::new(server_config(&identity, versions));
        let mut pair = Pair::new(&settings(&authority), &server);
        pair.handshake_in_pieces_of(1).expect("a handshake");
        pair.server.writer().write_all(b"hello").expect("room");
        pair.exchange_in_pieces_of(1).expect("data");
        assert_eq!(pair.received, b"hello");
        assert_eq!(pair.client_says(&[b"wor", b"", b"ld"]), b"world");
        assert_eq!(pair.client.info().version, u16::from(versions[0].version));
        assert_eq!(pair.client.peer_certificates(), identity.chain);
        assert!(!pair.client.info().resumed);
    }
}

#[test]
fn data_that_follows_the_handshake_at_once_is_kept_for_decrypt() {
    for versions in [&[&TLS12], &[&TLS13]] {
        let authority = Authority::new("Test Authority");
        let identity = authority.issue(&["example.com"], |_| ());
        let mut config = server_config(&identity, versions);
        config.send_half_rtt_data = true;
        let mut pair = Pair::new(&settings(&authority), &Arc::new(config));
        pair.server.writer().write_all(b"early").expect("room");
        let mut done = Handshake::NeedsInput;
        while done == Handshake::NeedsInput {
            done = pair.client.handshake(&mut pair.incoming, &mut pair.outgoing).expect("a handshake");
            pair.feed_server();
            let bytes = pair.servers_bytes();
            pair.incoming.extend(&bytes);
        }
        assert!(!pair.incoming.is_empty());
        // Writing first must neither lose nor need what is there to be read.
        assert_eq!(pair.client_says(&[b"first"]), b"first");
        let mut heard = Vec::new();
        let mut sink = |plain: &[u8]| {
            heard.extend_from_slice(plain);
            true
        };
        let decrypted = pair.client.decrypt(&mut pair.incoming, &mut pair.outgoing, &mut sink);
        assert_eq!(decrypted.expect("data"), Decrypted::NeedsInput);
        assert_eq!(heard, b"early");
    }
}

#[test]
fn a_mebibyte_both_ways() {
    let (_, settings, server) = example();
    let mut pair = Pair::new(&settings, &server);
    pair.handshake().expect("a handshake");
    let data = pattern(1 << 20);
    let cipher = pair.server_says(&data);

    // Once all at once, then cut at places that are no borders of records.
    for size in [usize::MAX, 1_000, 16_411, 70_001] {
        let cipher = if size == usize::MAX { cipher.clone() } else { pair.server_says(&data) };
        let mut received = Vec::new();
        for piece in cipher.chunks(size) {
            pair.incoming.extend(piece);
            let decrypted = pair.client.decrypt(&mut pair.incoming, &mut pair.outgoing, &mut |plain| {
                assert!(plain.len() <= MAX_PLAINTEXT);
                received.extend_from_slice(plain);
                true
            });
            assert_eq!(decrypted.expect("data"), Decrypted::NeedsInput);
            assert!(pair.incoming.len() < MAX_RECORD);
        }
        assert!(received == data);
        assert!(pair.incoming.is_empty());
    }

    assert!(pair.client_says(&[&data]) == data);
    let parts =
        [&data[..5], &data[5..20_000], &data[20_000..20_001], &data[20_001..100_000], &[], &data[100_000..]];
    assert!(pair.client_says(&parts) == data);
}

#[test]
fn parts_share_records() {
    let (_, settings, server) = example();
    let mut pair = Pair::new(&settings, &server);
    pair.handshake().expect("a handshake");
    let record = |plain: usize| plain + 22;
    let mut cipher_of = |parts: &[&[u8]]| {
        pair.outgoing.consume(usize::MAX);
        pair.client.encrypt(parts, &mut pair.outgoing).expect("records");
        pair.outgoing.len()
    };
    assert_eq!(cipher_of(&[&[1; 100], &[2; 200], &[3; 300]]), record(600));
    assert_eq!(cipher_of(&[&[1; 100], &[2; MAX_PLAINTEXT]]), record(MAX_PLAINTEXT) + record(100));
    assert_eq!(cipher_of(&[&[1; MAX_PLAINTEXT], &[2; 1]]), record(MAX_PLAINTEXT) + record(1));
    assert_eq!(cipher_of(&[&[1; 2 * MAX_PLAINTEXT]]), 2 * record(MAX_PLAINTEXT));
    assert_eq!(cipher_of(&[&[], &[]]), 0);
    assert_eq!(cipher_of(&[]), 0);
}

#[test]
fn a_sink_that_has_enough_leaves_the_rest_encrypted() {
    let (_, settings, server) = example();
    let mut pair = Pair::new(&settings, &server);
    pair.handshake().expect("a handshake");
    let data = pattern(3 * MAX_PLAINTEXT);
    let cipher = pair.server_says(&data);
    pair.incoming.extend(&cipher);
    let mut received = Vec::new();
    let mut stops = 0;
    loop {
        let decrypted = pair.client.decrypt(&mut pair.incoming, &mut pair.outgoing, &mut |plain| {
            received.extend_from_slice(plain);
            false
        });
        match decrypted.expect("data") {
            Decrypted::Stopped => stops += 1,
            Decrypted::NeedsInput => break,
            Decrypted::PeerClosed => panic!("nobody closed"),
        }
        // Writing in between disturbs nothing.
        assert_eq!(pair.client_says(&[b"x"]), b"x");
    }
    assert_eq!(stops, 3);
    assert!(received == data);
}

#[test]
fn keys_are_updated_when_the_server_asks() {
    let (_, settings, server) = example();
    let mut pair = Pair::new(&settings, &server);
    pair.handshake().expect("a handshake");
    for round in 0..3 {
        pair.server.refresh_traffic_keys().expect("a key update");
        pair.server.writer().write_all(&[round]).expect("room");
        pair.exchange().expect("data");
        // The answer to the key update goes before what is written next, under the new key.
        assert_eq!(pair.client_says(&[b"after the update"]), b"after the update");
        assert_eq!(pair.client_says(&[&pattern(100_000)]), pattern(100_000));
    }
    assert_eq!(pair.received, [0, 1, 2]);
}

#[test]
fn messages_in_many_records_do_not_get_in_the_way_of_writing() {
    for versions in [&[&TLS12], &[&TLS13]] {
        let authority = Authority::new("Test Authority");
        let identity = authority.issue(&["example.com"], |_| ());
        let mut config = server_config(&identity, versions);
        // Certificates and tickets are cut into pieces.
        config.max_fragment_size = Some(64);
        let config = Arc::new(config);
        let settings = settings(&authority);
        for size in [1, 7, 100, usize::MAX] {
            let mut pair = Pair::new(&settings, &config);
            pair.handshake_in_pieces_of(size).expect("a handshake");
            pair.server.writer().write_all(b"hello").expect("room");
            let bytes = pair.servers_bytes();
            let mut received = Vec::new();
            for piece in bytes.chunks(size) {
                pair.incoming.extend(piece);
                let decrypted = pair.client.decrypt(&mut pair.incoming, &mut pair.outgoing, &mut |plain| {
                    received.extend_from_slice(plain);
                    true
                });
                assert_eq!(decrypted.expect("data"), Decrypted::NeedsInput);
                assert_eq!(pair.client_says(&[b"meanwhile"]), b"meanwhile");
            }
            assert_eq!(received, b"hello");
            assert!(pair.incoming.is_empty());
            pair.client.close_notify(&mut pair.outgoing);
            pair.feed_server();
        }
    }
}

#[test]
fn sessions_are_resumed() {
    for versions in [&[&TLS12], &[&TLS13]] {
        let authority = Authority::new("Test Authority");
        let identity = authority.issue(&["example.com"], |_| ());
        let config = Arc::new(server_config(&identity, versions));
        let settings = settings(&authority);
        for round in 0..3 {
            let mut pair = Pair::new(&settings, &config);
            pair.handshake().expect("a handshake");
            assert_eq!(pair.client.info().resumed, round > 0);
            assert_eq!(pair.client.peer_certificates(), identity.chain);
            // Tickets of TLS 1.3 come after the handshake.
            pair.exchange().expect("tickets");
            assert_eq!(pair.client_says(&[b"hello"]), b"hello");
        }
        let mut other = Pair::new(&settings_with(&authority, |_| ()), &config);
        other.handshake().expect("a handshake");
        assert!(!other.client.info().resumed);
    }
}

#[test]
fn closing_is_said_and_heard() {
    for versions in [&[&TLS12], &[&TLS13]] {
        let authority = Authority::new("Test Authority");
        let identity = authority.issue(&["example.com"], |_| ());
        let config = Arc::new(server_config(&identity, versions));
        let mut pair = Pair::new(&settings(&authority), &config);
        pair.handshake().expect("a handshake");
        pair.server.writer().write_all(b"the end").expect("room");
        pair.server.send_close_notify();
        pair.exchange_in_pieces_of(3).expect("data and a close");
        assert_eq!(pair.received, b"the end");
        assert!(pair.is_closed);

        // It stays closed, and what comes after is ignored.
        pair.incoming.extend(b"garbage");
        let decrypted = pair.client.decrypt(&mut pair.incoming, &mut pair.outgoing, &mut |_| true);
        assert_eq!(decrypted.expect("no error"), Decrypted::PeerClosed);

        // The other direction is still open.
        assert_eq!(pair.client_says(&[b"bye"]), b"bye");
        pair.client.close_notify(&mut pair.outgoing);
        let once = pair.outgoing.len();
        assert_ne!(once, 0);
        pair.client.close_notify(&mut pair.outgoing);
        assert_eq!(pair.outgoing.len(), once);
        pair.feed_server();
        assert!(pair.server.process_new_packets().expect("a close").peer_has_closed());
        let error = pair.client.encrypt(&[b"more"], &mut pair.outgoing).expect_err("it is closed");
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost);
    }
}

#[test]
fn we_may_close_first_and_still_read() {
    let (_, settings, server) = example();
    let mut pair = Pair::new(&settings, &server);
    pair.handshake().expect("a handshake");
    pair.client.close_notify(&mut pair.outgoing);
    pair.server.writer().write_all(b"an answer").expect("room");
    pair.exchange().expect("data");
    assert_eq!(pair.received, b"an answer");
    assert!(!pair.is_closed);
    pair.server.send_close_notify();
    pair.exchange().expect("a close");
    assert!(pair.is_closed);
}

#[test]
fn a_cut_is_not_a_close() {
    let (_, settings, server) = example();
    let mut pair = Pair::new(&settings, &server);
    pair.handshake().expect("a handshake");
    let cipher = pair.server_says(b"half of it");
    pair.incoming.extend(&cipher[..cipher.len() - 1]);
    let decrypted = pair.client.decrypt(&mut pair.incoming, &mut pair.outgoing, &mut |_| panic!("no data"));
    assert_eq!(decrypted.expect("no error"), Decrypted::NeedsInput);
    assert!(!pair.incoming.is_empty());
}

#[test]
fn damage_is_found_and_stays_an_error() {
    let (_, settings, server) = example();
    let mut pair = Pair::new(&settings, &server);
    pair.handshake().expect("a handshake");
    let mut cipher = pair.server_says(b"precious");
    *cipher.last_mut().expect("a record") ^= 1;
    pair.incoming.extend(&cipher);
    for _ in 0..2 {
        let decrypted =
            pair.client.decrypt(&mut pair.incoming, &mut pair.outgoing, &mut |_| panic!("no data"));
        let error = decrypted.expect_err("damage");
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost);
        assert!(
            error.to_string().starts_with("TLS connection to example.com: what arrived was damaged"),
            "{error}"
        );
    }
    assert!(pair.client.encrypt(&[b"x"], &mut SendBuffer::new()).is_err());
    // The server is told by an alert.
    assert_ne!(pair.outgoing.len(), 0);
    pair.server.read_tls(&mut pair.outgoing.filled()).expect("room");
    let told = pair.server.process_new_packets().expect_err("an alert");
    assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
}

#[test]
fn a_message_without_end_is_not_kept_forever() {
    let (_, settings, _) = example();
    let mut client = TlsStream::new(&settings, "example.com").expect("a client");
    let mut incoming = Buffer::new();
    let mut outgoing = SendBuffer::new();
    let _ = client.handshake(&mut incoming, &mut outgoing).expect("a hello");
    // A server hello of 65,000 bytes, in records of one byte.
    let mut message = vec![2, 0, 0xfd, 0xe8];
    message.resize(65_000, 0);
    let mut error = None;
    for byte in message {
        incoming.extend(&[22, 3, 3, 0, 1, byte]);
        if let Err(found) = client.handshake(&mut incoming, &mut outgoing) {
            error = Some(found);
            break;
        }
        assert!(incoming.len() <= MAX_HELD + MAX_RECORD);
    }
    assert_eq!(error.expect("an error").kind(), ErrorKind::SecureConnectionFailed);
}

#[test]
fn a_hello_retry_is_followed() {
    let authority = Authority::new("Test Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    let mut provider = rustls::crypto::ring::default_provider();
    provider.kx_groups = vec![rustls::crypto::ring::kx_group::SECP384R1];
    let server = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .expect("a server's identity");
    let mut pair = Pair::new(&settings(&authority), &Arc::new(server));
    pair.handshake_in_pieces_of(5).expect("a handshake");
    assert_eq!(pair.client_says(&[b"hello"]), b"hello");
}

#[test]
fn protocols_are_agreed_on() {
    let (authority, _, server) = example();
    let mut server = ServerConfig::clone(&server);
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = Arc::new(server);
    let offer = |protocols: &[&[u8]]| {
        settings_with(&authority, |options| options.alpn = protocols.iter().map(|p| p.to_vec()).collect())
    };

    let both = offer(&[b"http/1.1", b"h2"]);
    let mut pair = Pair::new(&both, &server);
    pair.handshake().expect("a handshake");
    assert_eq!(pair.client.info().alpn.as_deref(), Some(b"h2".as_slice()));

    let mut pair = Pair::new(&both, &server);
    pair.client = TlsStream::with_alpn(&both, "example.com", vec![b"http/1.1".to_vec()]).expect("a client");
    pair.handshake().expect("a handshake");
    assert_eq!(pair.client.info().alpn.as_deref(), Some(b"http/1.1".as_slice()));

    let mut pair = Pair::new(&offer(&[]), &server);
    pair.handshake().expect("a handshake");
    assert_eq!(pair.client.info().alpn, None);

    let error = Pair::new(&offer(&[b"imap"]), &server).handshake().expect_err("nothing in common");
    assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed);
    assert!(error.to_string().contains("none of the application protocols"), "{error}");
}

#[test]
fn names_and_addresses() {
    let authority = Authority::new("Test Authority");
    let identity = authority.issue(&["example.com", "127.0.0.1", "::1"], |_| ());
    let server = Arc::new(server_config(&identity, BOTH));
    let settings = settings(&authority);
    for (host, sni) in [
        ("example.com", Some("example.com")),
        ("EXAMPLE.com.", Some("example.com")),
        ("127.0.0.1", None),
        ("[::1]", None),
        ("::1", None),
        ("[::1%25lo]", None),
    ] {
        let mut pair = Pair::to(host, &settings, &server);
        pair.handshake().unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(pair.server.server_name(), sni, "{host}");
    }
    for host in ["", "[", "a b", "[]", "-", "a\nb", &"a.".repeat(200)] {
        let error = TlsStream::new(&settings, host).expect_err(host);
        assert_eq!(error.kind(), ErrorKind::BadUrl);
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn versions_are_bounded() {
    let authority = Authority::new("Test Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    let old = Arc::new(server_config(&identity, &[&TLS12]));
    let new = Arc::new(server_config(&identity, &[&TLS13]));
    let only_new = settings_with(&authority, |options| options.minimum = TlsVersion::Tls13);
    let only_old = settings_with(&authority, |options| options.maximum = TlsVersion::Tls12);
    Pair::new(&only_new, &new).handshake().expect("a handshake");
    Pair::new(&only_old, &old).handshake().expect("a handshake");
    for (settings, server, version) in [(&only_new, &old, "TLS 1.3"), (&only_old, &new, "TLS 1.2")] {
        let error = Pair::new(settings, server).handshake().expect_err("no common version");
        assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed);
        let expected = format!("the server does not support {version}, the only version");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    let contradiction =
        TlsOptions { minimum: TlsVersion::Tls13, maximum: TlsVersion::Tls12, ..TlsOptions::default() };
    assert!(TlsSettings::new(&contradiction).is_err());
}

/// The error of a handshake with a server of this identity, by a client that trusts the authority.
fn refusal(authority: &Authority, identity: &Identity) -> Error {
    let server = Arc::new(server_config(identity, BOTH));
    let mut pair = Pair::new(&settings(authority), &server);
    let error = pair.handshake().expect_err("a refusal");
    assert_ne!(pair.outgoing.len(), 0, "the server is told");
    assert!(std::error::Error::source(&error).is_some());
    error
}

#[test]
fn certificates_are_refused_for_a_reason() {
    let authority = Authority::new("Test Authority");
    let expect = |identity: &Identity, kind: ErrorKind, part: &str| {
        let error = refusal(&authority, identity);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };

    let expired = authority.issue(&["example.com"], |params| params.not_after = date_time_ymd(2020, 1, 31));
    expect(&expired, ErrorKind::ServerCertificateHasBadDate, "days ago, on 2020-01-31 00:00 UTC");

    let future = authority.issue(&["example.com"], |params| params.not_before = date_time_ymd(3000, 1, 1));
    expect(&future, ErrorKind::ServerCertificateNotYetValid, "days, on 3000-01-01 00:00 UTC");

    let other = authority.issue(&["a.example", "*.b.example", "127.0.0.1"], |_| ());
    let part = "certificate is for a.example, *.b.example, 127.0.0.1, not for example.com";
    expect(&other, ErrorKind::ServerCertificateUntrusted, part);

    let nameless = authority.issue(&[], |_| ());
    expect(&nameless, ErrorKind::ServerCertificateUntrusted, "no host name at all");

    let strange = Authority::new("Some Proxy").issue(&["example.com"], |_| ());
    let part = "certificate of \"leaf\" for example.com was issued by \"Some Proxy\", which leads to no trusted root";
    expect(&strange, ErrorKind::ServerCertificateHasUnknownRoot, part);

    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let alone = self_signed(|params| params.is_ca = is_ca);
        let part = "certificate of \"leaf\" for example.com is self-signed; to trust it, add it with";
        expect(&alone, ErrorKind::ServerCertificateUntrusted, part);
    }

    let client = authority.issue(&["example.com"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    expect(&client, ErrorKind::ServerCertificateUntrusted, "not meant for servers");
}

#[test]
fn a_certificate_that_is_added_is_trusted() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let alone = self_signed(|params| params.is_ca = is_ca);
        let server = Arc::new(server_config(&alone, BOTH));
        let trusting = |certificate: CertificateDer<'static>| {
            TlsSettings::new(&TlsOptions { extra_roots: vec![certificate], ..TlsOptions::default() })
                .expect("settings")
        };
        let settings = trusting(alone.chain[0].clone());
        Pair::new(&settings, &server).handshake().expect("a handshake");
        let error = Pair::to("other.example", &settings, &server).handshake().expect_err("another name");
        assert_eq!(error.kind(), ErrorKind::ServerCertificateUntrusted);
        assert!(error.to_string().contains("is for example.com, not for other.example"), "{error}");

        let expired = self_signed(|params| {
            params.is_ca = is_ca;
            params.not_after = date_time_ymd(2020, 1, 31);
        });
        let server = Arc::new(server_config(&expired, BOTH));
        let error = Pair::new(&trusting(expired.chain[0].clone()), &server).handshake().expect_err("old");
        assert_eq!(error.kind(), ErrorKind::ServerCertificateHasBadDate);
    }
}

#[test]
fn roots_are_bundled_extra_or_replaced() {
    let (authority, _, server) = example();
    let bundled = TlsSettings::new(&TlsOptions::default()).expect("settings");
    let error = Pair::new(&bundled, &server).handshake().expect_err("an unknown root");
    assert_eq!(error.kind(), ErrorKind::ServerCertificateHasUnknownRoot);
    let extra = TlsOptions { extra_roots: vec![authority.root()], ..TlsOptions::default() };
    let extra = TlsSettings::new(&extra).expect("settings");
    Pair::new(&extra, &server).handshake().expect("a handshake");

    let broken = TlsOptions { extra_roots: vec![vec![1, 2, 3].into()], ..TlsOptions::default() };
    let error = TlsSettings::new(&broken).err().expect("a refusal");
    assert!(error.to_string().contains("root certificate 1 cannot be used"), "{error}");
    let none = TlsOptions { replaced_roots: Some(Vec::new()), ..TlsOptions::default() };
    assert!(TlsSettings::new(&none).is_err());
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn either_provider_may_be_chosen_when_both_are_there() {
    let (authority, settings, server) = example();
    Pair::new(&settings, &server).handshake().expect("a handshake with ring");
    let settings = settings_with(&authority, |options| options.provider = Provider::AwsLcRs);
    Pair::new(&settings, &server).handshake().expect("a handshake with aws-lc-rs");
}

#[test]
fn the_platform_may_judge() {
    let (authority, _, server) = example();
    let options =
        TlsOptions { platform_verifier: true, extra_roots: vec![authority.root()], ..TlsOptions::default() };
    match TlsSettings::new(&options) {
        Ok(settings) if cfg!(feature = "platform-verifier") => {
            Pair::new(&settings, &server).handshake().expect("a handshake");
            let strange = Authority::new("Some Proxy").issue(&["example.com"], |_| ());
            let server = Arc::new(server_config(&strange, BOTH));
            let error = Pair::new(&settings, &server).handshake().expect_err("an unknown root");
            assert_eq!(error.kind(), ErrorKind::ServerCertificateHasUnknownRoot);
        }
        Ok(_) => panic!("there is no platform's verifier"),
        Err(error) => assert!(error.to_string().contains("feature platform-verifier"), "{error}"),
    }
}

#[test]
fn anything_is_accepted_on_request_but_not_from_a_thief() {
    let alone = self_signed(|params| params.not_after = date_time_ymd(2020, 1, 31));
    let careless =
        TlsSettings::new(&TlsOptions { accept_invalid: true, ..TlsOptions::default() }).expect("settings");
    for versions in [&[&TLS12], &[&TLS13]] {
        let server = Arc::new(server_config(&alone, versions));
        Pair::to("other.example", &careless, &server).handshake().expect("a handshake");

        // Who shows a certificate without its key is refused all the same.
        let thief = KeyPair::generate().expect("a key");
        let key = rustls::crypto::ring::sign::any_supported_type(&private(&thief)).expect("a key");
        let stolen = rustls::sign::CertifiedKey::new(alone.chain.clone(), key);
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(stolen)));
        let error = Pair::new(&careless, &Arc::new(server)).handshake().expect_err("a thief");
        assert_eq!(error.kind(), ErrorKind::ServerCertificateUntrusted);
        assert!(error.to_string().contains("does not have its key"), "{error}");
    }
}

#[test]
fn client_certificates() {
    let authority = Authority::new("Test Authority");
    let clients = Authority::new("Clients' Authority");
    let identity = authority.issue(&["example.com"], |_| ());
    let with = |identity: Option<Identity>, maximum| {
        settings_with(&authority, |options| {
            options.identity = identity;
            options.maximum = maximum;
        })
    };
    let required = Arc::new(server_config_with_clients(&identity, &clients, false));
    let optional = Arc::new(server_config_with_clients(&identity, &clients, true));
    let good = || Some(clients.issue(&["client"], |_| ()));
    let stranger = || Some(Authority::new("Stranger").issue(&["client"], |_| ()));
    let expired = || Some(clients.issue(&["client"], |params| params.not_after = date_time_ymd(2020, 1, 1)));
    for maximum in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let run = |identity, server| Pair::new(&with(identity, maximum), server).handshake_and_verdict();

        let mut pair = Pair::new(&with(good(), maximum), &required);
        pair.handshake_and_verdict().expect("a known client");
        assert_eq!(pair.server.peer_certificates().map(<[_]>::len), Some(1));
        run(None, &optional).expect("an anonymous client");

        let error = run(None, &required).expect_err("a certificate is required");
        assert_eq!(error.kind(), ErrorKind::ClientCertificateRequired, "{error}");
        let error = run(stranger(), &required).expect_err("an unknown authority");
        assert_eq!(error.kind(), ErrorKind::ClientCertificateRejected, "{error}");
        let error = run(expired(), &required).expect_err("an expired certificate");
        assert_eq!(error.kind(), ErrorKind::ClientCertificateRejected, "{error}");
        assert!(error.to_string().contains("the client certificate has expired"), "{error}");
    }

    let mismatched = Identity {
        chain: clients.issue(&["client"], |_| ()).chain,
        key: clients.issue(&["client"], |_| ()).key,
    };
    let options = TlsOptions { identity: Some(mismatched), ..TlsOptions::default() };
    let error = TlsSettings::new(&options).err().expect("a refusal");
    assert!(error.to_string().contains("client certificate and its key cannot be used"), "{error}");
}

#[test]
fn a_server_that_does_not_speak_tls() {
    let (_, settings, _) = example();
    for (reply, part) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "the server does not speak TLS on this port; use http"),
        ("SSH-2.0-OpenSSH_9.9\r\n", "the server does not speak TLS on this port"),
        ("220 smtp.example.com ESMTP\r\n", "the server does not speak TLS on this port"),
    ] {
        let mut client = TlsStream::new(&settings, "example.com").expect("a client");
        let mut incoming = Buffer::new();
        let mut outgoing = SendBuffer::new();
        let _ = client.handshake(&mut incoming, &mut outgoing).expect("a hello");
        incoming.extend(reply.as_bytes());
        let error = client.handshake(&mut incoming, &mut outgoing).expect_err("no TLS");
        assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed);
        assert!(error.to_string().starts_with(&format!("TLS handshake with example.com: {part}")), "{error}");
    }
}

#[test]
fn noise_does_no_harm() {
    let (_, settings, server) = example();
    // A generator of Marsaglia's kind, so that a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut pair = Pair::new(&settings, &server);
        let _ = pair.client.handshake(&mut pair.incoming, &mut pair.outgoing).expect("a hello");
        pair.feed_server();
        let mut bytes = pair.servers_bytes();
        let at = (random() % bytes.len() as u64) as usize;
        bytes[at] ^= 1 << (random() % 8);
        for piece in bytes.chunks(1 + (random() % 300) as usize) {
            pair.incoming.extend(piece);
            if pair.client.handshake(&mut pair.incoming, &mut pair.outgoing).is_err() {
                break;
            }
            let _ = pair.client.encrypt(&[b"x"], &mut pair.outgoing);
        }
        pair.client.close_notify(&mut pair.outgoing);
    }
}

#[test]
fn nothing_is_sent_or_received_before_the_handshake() {
    let (_, settings, _) = example();
    let mut client = TlsStream::new(&settings, "example.com").expect("a client");
    let (mut incoming, mut outgoing) = (Buffer::new(), SendBuffer::new());
    assert!(client.encrypt(&[b"x"], &mut outgoing).is_err());
    assert!(client.decrypt(&mut incoming, &mut outgoing, &mut |_| true).is_err());
    client.close_notify(&mut outgoing);
    assert!(outgoing.is_empty());
    assert_eq!(client.info(), TlsInfo { version: 0, cipher_suite: 0, alpn: None, resumed: false });
    assert!(format!("{client:?}").contains("example.com"));
}
