//! What a program says about TLS: certificates, its own identity, roots, versions. Plain data over
//! DER; the connection makes rustls' own types of it.

pub(crate) mod outline;

use crate::error::{Error, ErrorKind, Result};
use outline::Outline;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;

/// An X.509 certificate. `SecCertificate`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// A certificate from DER. It is looked at when the first TLS connection is made.
    pub fn from_der(der: impl Into<Vec<u8>>) -> Self {
        Certificate(CertificateDer::from(der.into()))
    }

    /// All certificates in a PEM file, such as a bundle of roots or a chain. Other things in it are
    /// passed over.
    ///
    /// ```
    /// use urlsession::Certificate;
    ///
    /// let pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    /// let certificates = Certificate::from_pem(pem)?;
    /// assert_eq!(certificates[0].der(), [0x30, 0]);
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecureConnectionFailed`] if it is malformed or there is none in it.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Vec<Certificate>> {
        let all = CertificateDer::pem_slice_iter(pem.as_ref()).map(|der| der.map(Certificate));
        let all = all.collect::<std::result::Result<Vec<_>, _>>();
        let all = all.map_err(|error| malformed("reading certificates from PEM", error))?;
        if all.is_empty() {
            return Err(malformed("reading certificates from PEM", pem::Error::NoItemsFound));
        }
        Ok(all)
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 over the public key with its algorithm (`SubjectPublicKeyInfo` in DER), which is what keys
    /// are pinned by: see [`PinnedKeys`](crate::PinnedKeys). `None` if the certificate is malformed.
    pub fn public_key_sha256(&self) -> Option<[u8; 32]> {
        Outline::of(&self.0).map(|outline| sha256(outline.public_key()))
    }

    pub(crate) fn from_rustls(der: CertificateDer<'static>) -> Self {
        Certificate(der)
    }

    pub(crate) fn as_rustls(&self) -> &CertificateDer<'static> {
        &self.0
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.0.len())
    }
}

/// A certificate with its private key, by which a program shows a server who it is. `SecIdentity`.
///
/// Cloning shares it. The key is never printed.
#[derive(Clone)]
pub struct Identity(Arc<Parts>);

struct Parts {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// An identity from PEM: the certificate with those between it and its root, in that order, and
    /// its private key (PKCS#8, PKCS#1 or SEC1, not encrypted). Both may be the same text.
    ///
    /// ```no_run
    /// use urlsession::{Configuration, Identity};
    ///
    /// let identity = Identity::from_pem(std::fs::read("me.crt")?, std::fs::read("me.key")?)?;
    /// let configuration = Configuration::default().client_identity(identity);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecureConnectionFailed`] if one of them is malformed or missing. Whether the key
    /// belongs to the certificate shows when the first TLS connection is made.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        let chain = Certificate::from_pem(chain)?.into_iter().map(|certificate| certificate.0).collect();
        let pem = key.as_ref();
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
            const ENCRYPTED: &[u8] = b"ENCRYPTED";
            if pem.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
                let message =
                    "the private key is encrypted; decrypt it first (openssl pkey -in KEY -out NEW)";
                return Error::new(ErrorKind::SecureConnectionFailed, message);
            }
            malformed("reading a private key from PEM", error)
        })?;
        Ok(Identity(Arc::new(Parts { chain, key })))
    }

    /// An identity from one PEM text that holds certificates and key, see
    /// [`from_pem`](Identity::from_pem).
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_single_pem(pem: impl AsRef<[u8]>) -> Result<Self> {
        Identity::from_pem(&pem, &pem)
    }

    /// An identity from certificates, its own first, and a private key in DER (PKCS#8, PKCS#1 or
    /// SEC1).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecureConnectionFailed`] if there is no certificate, or the key is none of
    /// these.
    pub fn from_der(chain: impl IntoIterator<Item = Certificate>, key: impl Into<Vec<u8>>) -> Result<Self> {
        let chain: Vec<_> = chain.into_iter().map(|certificate| certificate.0).collect();
        if chain.is_empty() {
            let message = "an identity needs at least its own certificate";
            return Err(Error::new(ErrorKind::SecureConnectionFailed, message));
        }
        // What was wrong with a key is not said: it might tell something of it.
        let key = PrivateKeyDer::try_from(key.into()).map_err(|_| {
            let message = "the private key is not PKCS#8, PKCS#1 or SEC1 in DER";
            Error::new(ErrorKind::SecureConnectionFailed, message)
        })?;
        Ok(Identity(Arc::new(Parts { chain, key })))
    }

    /// The certificate, and those that lead to its root.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.0.chain.iter().cloned().map(Certificate)
    }

    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    pub(crate) fn key(&self) -> &PrivateKeyDer<'static> {
        &self.0.key
    }
}

/// The same certificates and the same key.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.chain == other.0.chain && self.0.key.secret_der() == other.0.key.secret_der())
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates and a private key)", self.0.chain.len())
    }
}

/// Versions of TLS, the older first. `tls_protocol_version_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Whom a session trusts to say who a server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootCertificates {
    /// Mozilla's roots, which come with the program (`webpki-roots`).
    #[default]
    Bundled,
    /// These and no others. With none of them, no server is trusted.
    Only(Vec<Certificate>),
    /// The operating system, by its own rules.
    #[cfg(feature = "platform-verifier")]
    Platform,
}

impl From<Vec<Certificate>> for RootCertificates {
    fn from(certificates: Vec<Certificate>) -> Self {
        RootCertificates::Only(certificates)
    }
}

/// Whose cryptography TLS uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptoProvider {
    /// `ring`: quick to build and to start.
    #[default]
    Ring,
    /// `aws-lc-rs`: can be FIPS-validated, has post-quantum key exchange.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    hash.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

fn malformed(doing: &str, error: pem::Error) -> Error {
    let message = match error {
        pem::Error::NoItemsFound => format!("{doing}: there is none in it"),
        error => format!("{doing}: {error}"),
    };
    Error::new(ErrorKind::SecureConnectionFailed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed(["example.com".to_owned()]).expect("a certificate")
    }

    #[test]
    fn certificates_from_pem() {
        let one = identity().cert.pem();
        let key = identity().signing_key.serialize_pem();
        let bundle = format!("# a comment\n{one}\n{key}\n{}", identity().cert.pem());
        assert_eq!(Certificate::from_pem(&bundle).expect("two").len(), 2);
        for pem in ["", "nothing", &key, "-----BEGIN CERTIFICATE-----\n", &one.replace('A', "!")] {
            let error = Certificate::from_pem(pem).expect_err("none");
            assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed);
        }
    }

    #[test]
    fn identities_from_pem_and_der() {
        let made = identity();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let split = Identity::from_pem(&cert, &key).expect("an identity");
        let single = Identity::from_single_pem(format!("{key}{cert}")).expect("an identity");
        let der = Certificate::from_der(made.cert.der().to_vec());
        let plain = Identity::from_der([der], made.signing_key.serialize_der()).expect("an identity");
        for identity in [split, single, plain] {
            assert_eq!(identity.chain(), [made.cert.der().clone()]);
            assert_eq!(identity.key().secret_der(), made.signing_key.serialize_der());
        }
        assert!(Identity::from_pem(&cert, &cert).is_err());
        assert!(Identity::from_der([], made.signing_key.serialize_der()).is_err());
        assert!(Identity::from_der([Certificate::from_der([0x30, 0])], vec![1]).is_err());
    }

    #[test]
    fn encrypted_keys_are_named_as_such() {
        let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let error = Identity::from_pem(identity().cert.pem(), key).expect_err("encrypted");
        assert!(error.to_string().contains("is encrypted"), "{error}");
    }

    #[test]
    fn debug_never_prints_the_key() {
        let made = identity();
        let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
        let shown = format!("{:?}", identity.expect("an identity"));
        assert_eq!(shown, "Identity(1 certificates and a private key)");
    }
}
