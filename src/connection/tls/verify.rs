//! Whether a server's certificate is to be believed.
//!
//! The judgement is webpki's or the platform's. [`ServerVerifier`] adds three things: a certificate
//! that the configuration trusts by itself is accepted as a server's own certificate, a chain
//! that ends nowhere is described well enough for a message to say what to do, and keys that are pinned for
//! a host have to be there.

use super::notes;
use crate::tls::outline::{Outline, printable};
use crate::tls::sha256;
use crate::trust::pins::{PinnedDomain, Pins, written};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use std::fmt;
use std::sync::Arc;

/// How many names of a certificate a message lists.
pub(super) const NAMES_SHOWN: usize = 5;

/// Verifies certificates by a judge, and accepts those that the configuration names.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    judge: Arc<dyn ServerCertVerifier>,
    /// Certificates that were configured as roots. A server may present one as its own: a
    /// self-signed certificate made by `openssl req -x509` says it is an authority, and webpki
    /// refuses those as a server's, whatever the roots are.
    own: Vec<CertificateDer<'static>>,
    pinning: Option<Pinning>,
}

/// Keys that hosts have to have.
#[derive(Debug)]
pub(super) struct Pinning {
    pins: Pins,
    /// Of the roots that are known, those with a key that is pinned for some host.
    anchors: Vec<TrustAnchor<'static>>,
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
}

impl ServerVerifier {
    pub(super) fn new(
        judge: Arc<dyn ServerCertVerifier>,
        own: Vec<CertificateDer<'static>>,
        pinning: Option<Pinning>,
    ) -> Self {
        ServerVerifier { judge, own, pinning }
    }

    /// What the rules say, but for what is pinned.
    pub(super) fn verdict(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let (own, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.judge_chain(own, others, name, ocsp, now).map(drop)
    }

    /// Whether a key is there that is pinned for the host, if any is.
    pub(super) fn pinned(
        &self,
        chain: &[CertificateDer<'static>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let Some(pinning) = &self.pinning else { return Ok(()) };
        let Some(pinned) = pinning.pins.of(&name.to_str()) else { return Ok(()) };
        if pinning.is_met(pinned, chain, now) {
            return Ok(());
        }
        let keys = chain.iter().filter_map(|der| Some(sha256(Outline::of(der)?.public_key())));
        let keys = keys.take(NAMES_SHOWN).map(|key| written(&key)).collect();
        Err(CertificateError::Other(OtherError(Arc::new(NotPinned { keys }))).into())
    }

    fn judge_chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.iter().any(|own| own == end_entity) {
            return verify_trusted_by_itself(end_entity, server_name, now);
        }
        self.judge
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| describe(error, end_entity))
    }
}

impl Pinning {
    /// `roots`: all that are known.
    pub(super) fn new(
        pins: Pins,
        roots: &[TrustAnchor<'static>],
        algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
    ) -> Self {
        let mut anchors: Vec<TrustAnchor<'static>> = Vec::new();
        for pinned in pins.iter() {
            for anchor in pinned.keys.among(roots) {
                if !anchors.contains(&anchor) {
                    anchors.push(anchor);
                }
            }
        }
        Pinning { pins, anchors, algorithms }
    }

    fn is_met(&self, pinned: &PinnedDomain, chain: &[CertificateDer<'static>], now: UnixTime) -> bool {
        let anchors = pinned.keys.among(&self.anchors);
        pinned.keys.lead_to(chain, &anchors, self.algorithms, now)
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = || -> Vec<CertificateDer<'static>> {
            let all = std::iter::once(end_entity).chain(intermediates);
            all.map(|der| der.clone().into_owned()).collect()
        };
        let judged = self.judge_chain(end_entity, intermediates, server_name, ocsp_response, now);
        let judged = judged.and_then(|verified| match &self.pinning {
            Some(_) => self.pinned(&chain(), server_name, now).map(|()| verified),
            None => Ok(verified),
        });
        if judged.is_err() {
            notes::note(|notes| notes.refused = chain());
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.judge.root_hint_subjects()
    }
}

/// Accepts any certificate, but only from who has the key to it.
#[derive(Debug)]
pub(super) struct NoVerification {
    algorithms: WebPkiSupportedAlgorithms,
}

impl NoVerification {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        NoVerification { algorithms }
    }
}

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A certificate that leads to no root, with what it says of itself. Travels inside
/// [`CertificateError::Other`], which is why the peer gets the alert `certificate_unknown`.
#[derive(Debug)]
pub(super) struct Unanchored {
    /// What the judge said.
    pub(super) verdict: CertificateError,
    pub(super) self_signed: bool,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    /// The host names it is for, [`NAMES_SHOWN`] at most.
    pub(super) names: Vec<String>,
}

impl fmt::Display for Unanchored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict.fmt(f)
    }
}

impl std::error::Error for Unanchored {}

/// A chain without a key that is pinned. Travels as [`Unanchored`] does.
#[derive(Debug)]
pub(super) struct NotPinned {
    /// The keys that are there, [`NAMES_SHOWN`] at most.
    pub(super) keys: Vec<String>,
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no key that is pinned")
    }
}

impl std::error::Error for NotPinned {}

/// Checks what is left to check of a certificate that the configuration names: its dates and names.
fn verify_trusted_by_itself(
    certificate: &CertificateDer<'_>,
    server_name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let outline = Outline::of(certificate).ok_or(CertificateError::BadEncoding)?;
    let (not_before, not_after) = (outline.not_before, outline.not_after);
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
    Ok(ServerCertVerified::assertion())
}

/// Adds what the certificate says of itself to the verdict that it leads to no root.
fn describe(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let verdict = match error {
        Error::InvalidCertificate(verdict) => verdict,
        error => return error,
    };
    let Some(outline) = Outline::of(certificate) else {
        return verdict.into();
    };
    // An authority's certificate that is presented as a server's is refused before its issuer is
    // looked for.
    let self_signed = outline.is_self_issued();
    let unanchored = match &verdict {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(OtherError(other)) => {
            self_signed && matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    };
    if !unanchored {
        return verdict.into();
    }
    let names = webpki::EndEntityCert::try_from(certificate)
        .map(|parsed| parsed.valid_dns_names().take(NAMES_SHOWN).map(printable).collect())
        .unwrap_or_default();
    let described =
        Unanchored { verdict, self_signed, issuer: outline.issuer(), subject: outline.subject(), names };
    CertificateError::Other(OtherError(Arc::new(described))).into()
}
