//! What a connection asks before it says anything of us: is the server to be trusted, and who are we to
//! be?
//!
//! Where somebody is asked, rustls accepts every certificate whose key the server has, and its answer, with
//! our certificate and Finished in it, is held back until the server was accepted. What a connection
//! would be resumed by is kept only if the rules would have accepted it too: an exception is for the one
//! connection that it was made for.

use super::notes;
use super::verify::ServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, ResolvesClientCert, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, NamedGroup, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a connection has to ask, and what was answered.
pub(super) struct Question {
    pub(super) judge: Arc<ServerVerifier>,
    pub(super) name: ServerName<'static>,
    /// Where what it would be resumed by goes, if that is kept at all.
    pub(super) keeper: Option<Arc<Keeper>>,
    pub(super) ocsp: Vec<u8>,
    pub(super) authorities: Option<Vec<Vec<u8>>>,
    pub(super) is_trusted: bool,
    pub(super) is_identified: bool,
}

impl Question {
    /// Takes in what rustls has told since.
    pub(super) fn hear(&mut self) {
        let notes = notes::take();
        if !notes.ocsp.is_empty() {
            self.ocsp = notes.ocsp;
        }
        if notes.authorities.is_some() {
            self.authorities = notes.authorities;
        }
    }

    /// The server is trusted. `by_exception`: in spite of the rules.
    pub(super) fn accept(&mut self, by_exception: bool) {
        self.is_trusted = true;
        if let (Some(keeper), false) = (&self.keeper, by_exception) {
            keeper.keeps.store(true, Ordering::Release);
        }
    }
}

/// Accepts every certificate, from who has the key to it, for somebody to judge later.
#[derive(Debug)]
pub(super) struct Deferred(pub(super) Arc<ServerVerifier>);

impl ServerCertVerifier for Deferred {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        notes::note(|notes| notes.ocsp = ocsp_response.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Shows the certificate there is, and notes that one was asked for.
#[derive(Debug)]
pub(super) struct Noting(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Noting {
    fn resolve(&self, authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let authorities = authorities.iter().map(|name| name.to_vec()).collect();
        notes::note(|notes| notes.authorities = Some(authorities));
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// The sessions that can be resumed, as one connection sees them: it adds its own only once it was found
/// to be good.
pub(super) struct Keeper {
    store: Arc<dyn ClientSessionStore>,
    keeps: AtomicBool,
}

impl Keeper {
    pub(super) fn new(store: Arc<dyn ClientSessionStore>) -> Self {
        Keeper { store, keeps: AtomicBool::new(false) }
    }

    fn keeps(&self) -> bool {
        self.keeps.load(Ordering::Acquire)
    }
}

impl ClientSessionStore for Keeper {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.store.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.store.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if self.keeps() {
            self.store.set_tls12_session(server_name, value);
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.store.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.store.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        if self.keeps() {
            self.store.insert_tls13_ticket(server_name, value);
        }
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.store.take_tls13_ticket(server_name)
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("keeps", &self.keeps()).finish_non_exhaustive()
    }
}
