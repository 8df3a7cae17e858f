//! How a server speaks TLS, and what is known of a handshake afterwards.

use super::{Ca, Certs, ca};
use rustls::crypto::ring;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection, SupportedProtocolVersion};
use std::sync::Arc;

/// A server's TLS: by default 1.2 and 1.3, [`Certs::valid`], resumption, no ALPN.
#[derive(Clone, Debug)]
pub struct Tls {
    certs: Certs,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    clients: Option<(CertificateDer, bool)>,
    resumption: Resumption,
}

type CertificateDer = rustls::pki_types::CertificateDer<'static>;

/// How sessions can be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Not at all.
    None,
    /// The server remembers the sessions.
    Remembered,
    /// The ticket has all of the session in it; the server remembers nothing.
    Tickets,
}

/// A handshake that was completed.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// On which connection.
    pub connection: usize,
    /// Full or resumed.
    pub kind: HandshakeKind,
    /// TLS 1.2 or 1.3.
    pub version: ProtocolVersion,
    /// The protocol agreed upon.
    pub alpn: Option<Vec<u8>>,
    /// The name the client asked for.
    pub server_name: Option<String>,
    /// The client's certificates, the leaf first.
    pub client_certificates: Vec<CertificateDer>,
}

impl Tls {
    /// The default.
    pub fn new() -> Tls {
        Tls {
            certs: Certs::valid(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: Vec::new(),
            clients: None,
            resumption: Resumption::Remembered,
        }
    }

    /// Another certificate.
    pub fn certs(mut self, certs: Certs) -> Tls {
        self.certs = certs;
        self
    }

    /// Nothing above TLS 1.2.
    pub fn only_tls12(mut self) -> Tls {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// Nothing below TLS 1.3.
    pub fn only_tls13(mut self) -> Tls {
        self.versions = vec![&rustls::version::TLS13];
        self
    }

    /// The protocols spoken, the preferred first. Without a common one the handshake fails.
    pub fn alpn(mut self, protocols: &[&str]) -> Tls {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Asks for a client certificate by the process's authority, and ends the handshake without.
    pub fn require_client_certificate(mut self) -> Tls {
        self.clients = Some((ca().der(), true));
        self
    }

    /// Asks for one and does without.
    pub fn request_client_certificate(mut self) -> Tls {
        self.clients = Some((ca().der(), false));
        self
    }

    /// How sessions can be resumed.
    pub fn resumption(mut self, resumption: Resumption) -> Tls {
        self.resumption = resumption;
        self
    }

    /// What rustls makes of it.
    pub fn server_config(&self) -> rustls::ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .expect("versions that go with the provider");
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some((root, required)) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(root.clone()).expect("a CA certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = if *required { verifier } else { verifier.allow_unauthenticated() };
                builder
                    .with_client_cert_verifier(verifier.build().expect("a verifier of client certificates"))
            }
        };
        let mut config = builder
            .with_single_cert(self.certs.chain.clone(), self.certs.key())
            .expect("a key that fits the certificate");
        config.alpn_protocols.clone_from(&self.alpn);
        match self.resumption {
            Resumption::Remembered => {}
            Resumption::Tickets => config.ticketer = ring::Ticketer::new().expect("a ticketer"),
            Resumption::None => {
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            }
        }
        config
    }
}

impl Default for Tls {
    fn default() -> Self {
        Tls::new()
    }
}

impl Handshake {
    pub(super) fn of(connection: usize, tls: &ServerConnection) -> Handshake {
        Handshake {
            connection,
            kind: tls.handshake_kind().expect("a completed handshake has a kind"),
            version: tls.protocol_version().expect("a completed handshake has a version"),
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            server_name: tls.server_name().map(str::to_owned),
            client_certificates: tls.peer_certificates().unwrap_or_default().to_vec(),
        }
    }

    /// Whether a former session was taken up again.
    pub fn is_resumed(&self) -> bool {
        self.kind == HandshakeKind::Resumed
    }
}

/// A client's configuration that trusts the process's authority.
pub fn client_config() -> rustls::ClientConfig {
    client_config_with(ca(), None)
}

/// A client's configuration that trusts that authority and has a certificate to show.
pub fn client_config_with(trusted: &Ca, certs: Option<&Certs>) -> rustls::ClientConfig {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that go with the provider")
        .with_root_certificates(trusted.roots());
    match certs {
        None => builder.with_no_client_auth(),
        Some(certs) => builder
            .with_client_auth_cert(certs.chain.clone(), certs.key())
            .expect("a key that fits the certificate"),
    }
}
