//! What a session's TLS connections have in common: versions, roots, identity, resumption.
//!
//! [`Common`] is built once per session from [`TlsOptions`]. It parses extra roots and the identity
//! once; Mozilla's roots are parsed at compile time and only referred to. A [`TlsSettings`] is made of it
//! for each kind of connection, by its [`Terms`]: each has its own store of sessions to resume, so that
//! nothing is resumed on other terms than it was begun on.

use super::question::{Deferred, Noting};
use super::verify::{NoVerification, Pinning, ServerVerifier};
use crate::error::{Error, ErrorKind, Result};
use crate::trust::pins::Pins;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption, WebPkiServerVerifier,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::fmt;
use std::sync::Arc;

/// Of how many TLS 1.3 tickets a session keeps track, 8 for each of the 256 servers used last.
const RESUMABLE_SESSIONS: usize = 8 * 256;

/// A version of TLS. Older ones are not supported at all (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::Tls12 => "TLS 1.2",
            TlsVersion::Tls13 => "TLS 1.3",
        })
    }
}

/// Where the cryptography comes from. Both may be compiled in; the process default of rustls is
/// never asked for, since it panics then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// `ring`.
    Ring,
    /// `aws-lc-rs`.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

/// A client certificate with its private key.
pub(crate) struct Identity {
    /// The certificate, then those that issued it, each issued by the next.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub(crate) key: PrivateKeyDer<'static>,
}

/// What [`TlsSettings`] are made from.
pub(crate) struct TlsOptions {
    /// The lowest version to offer.
    pub(crate) minimum: TlsVersion,
    /// The highest version to offer.
    pub(crate) maximum: TlsVersion,
    /// Certificates to trust beside the bundled (or the platform's) roots.
    pub(crate) extra_roots: Vec<CertificateDer<'static>>,
    /// Certificates to trust instead of the bundled and the platform's roots.
    pub(crate) replaced_roots: Option<Vec<CertificateDer<'static>>>,
    /// What to answer a server that asks for a client certificate.
    pub(crate) identity: Option<Identity>,
    /// Accept any server certificate. The server still has to prove that it has the key to it.
    pub(crate) accept_invalid: bool,
    /// Let the operating system judge certificates, unless `replaced_roots` are given.
    pub(crate) platform_verifier: bool,
    /// Where the cryptography comes from.
    pub(crate) provider: Provider,
    /// Application protocols to offer, best first (RFC 7301).
    pub(crate) alpn: Vec<Vec<u8>>,
    /// Keys that hosts have to have, whoever else trusts them.
    pub(crate) pins: Pins,
}

impl Default for TlsOptions {
    fn default() -> Self {
        TlsOptions {
            minimum: TlsVersion::Tls12,
            maximum: TlsVersion::Tls13,
            extra_roots: Vec::new(),
            replaced_roots: None,
            identity: None,
            accept_invalid: false,
            platform_verifier: false,
            provider: Provider::Ring,
            alpn: Vec::new(),
            pins: Pins::default(),
        }
    }
}

/// In what the connections of a session differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The lowest version to offer, if it is another than that of the session.
    pub(crate) minimum: Option<TlsVersion>,
    pub(crate) offer: Offer,
    pub(crate) judge: Judge,
}

/// What to answer a server that asks for a client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Offer {
    /// What the configuration has, if it has one.
    #[default]
    Configured,
    /// Nothing.
    Nothing,
    /// This one, which somebody gave for the server.
    Given(crate::tls::Identity),
}

/// Who says whether a server is to be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Judge {
    /// The rules, as soon as it shows its certificates.
    #[default]
    Rules,
    /// A delegate that many tasks have, which need not be asked again for what is resumed.
    Delegate,
    /// A delegate that one task has. What others were told is of no concern to it, nor the other way
    /// round: nothing is resumed.
    OwnDelegate,
}

/// The settings that all TLS connections on the same terms share, and their store of sessions to resume.
/// Cloning is cheap and shares the store.
#[derive(Clone)]
pub(crate) struct TlsSettings {
    pub(super) config: Arc<ClientConfig>,
    pub(super) facts: Facts,
    /// What the rules are by which somebody may judge.
    pub(super) judge: Option<Arc<ServerVerifier>>,
    /// Where what a judged connection can be resumed by goes.
    pub(super) store: Option<Arc<dyn ClientSessionStore>>,
}

/// What messages about failures say of the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) minimum: TlsVersion,
    pub(super) maximum: TlsVersion,
    pub(super) has_identity: bool,
    /// The identity was given for the server, and not configured.
    pub(super) is_given: bool,
}

/// What the settings of a session have in common.
pub(crate) struct Common {
    provider: Arc<CryptoProvider>,
    verifier: Arc<ServerVerifier>,
    identity: Option<Arc<CertifiedKey>>,
    minimum: TlsVersion,
    maximum: TlsVersion,
    alpn: Vec<Vec<u8>>,
}

impl Common {
    /// # Errors
    /// [`ErrorKind::SecureConnectionFailed`] if a root or the identity does not parse, or there are no
    /// roots.
    pub(crate) fn new(options: &TlsOptions) -> Result<Self> {
        let provider = Arc::new(match options.provider {
            Provider::Ring => rustls::crypto::ring::default_provider(),
            #[cfg(feature = "aws-lc-rs")]
            Provider::AwsLcRs => rustls::crypto::aws_lc_rs::default_provider(),
        });
        let identity = options.identity.as_ref();
        let identity =
            identity.map(|identity| certified(identity.chain.clone(), identity.key.clone_key(), &provider));
        Ok(Common {
            verifier: Arc::new(verifier(options, &provider)?),
            identity: identity.transpose()?,
            provider,
            minimum: options.minimum,
            maximum: options.maximum,
            alpn: options.alpn.clone(),
        })
    }

    /// The settings on some terms, with a new store of sessions to resume.
    ///
    /// # Errors
    /// [`ErrorKind::SecureConnectionFailed`] if the versions exclude each other or the identity does not
    /// parse.
    pub(crate) fn settings(&self, terms: &Terms) -> Result<TlsSettings> {
        let minimum = terms.minimum.unwrap_or(self.minimum);
        let identity = match &terms.offer {
            Offer::Configured => self.identity.clone(),
            Offer::Nothing => None,
            Offer::Given(identity) => {
                Some(certified(identity.chain().to_vec(), identity.key().clone_key(), &self.provider)?)
            }
        };
        let facts = Facts {
            minimum,
            maximum: self.maximum,
            has_identity: identity.is_some(),
            is_given: matches!(terms.offer, Offer::Given(_)),
        };
        let judged = terms.judge != Judge::Rules;
        let verifier: Arc<dyn ServerCertVerifier> = match judged {
            true => Arc::new(Deferred(Arc::clone(&self.verifier))),
            false => Arc::clone(&self.verifier) as _,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions(minimum, self.maximum)?)
            .map_err(|error| unusable("no cipher suite for the TLS versions of the configuration", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            identity if judged => {
                builder.with_client_cert_resolver(Arc::new(Noting(identity)) as Arc<dyn ResolvesClientCert>)
            }
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        let mut store: Option<Arc<dyn ClientSessionStore>> = None;
        match terms.judge {
            Judge::Rules => config.resumption = Resumption::in_memory_sessions(RESUMABLE_SESSIONS),
            // Each connection has its own way to it.
            Judge::Delegate => store = Some(Arc::new(ClientSessionMemoryCache::new(RESUMABLE_SESSIONS))),
            Judge::OwnDelegate => config.resumption = Resumption::disabled(),
        }
        let judge = judged.then(|| Arc::clone(&self.verifier));
        Ok(TlsSettings { config: Arc::new(config), facts, judge, store })
    }
}

impl TlsSettings {
    /// Settings from options, on the terms of the options.
    #[cfg(test)]
    pub(crate) fn new(options: &TlsOptions) -> Result<Self> {
        Common::new(options)?.settings(&Terms::default())
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>> {
    CertifiedKey::from_der(chain, key, provider)
        .map(Arc::new)
        .map_err(|error| unusable("the client certificate and its key cannot be used", error))
}

fn versions(
    minimum: TlsVersion,
    maximum: TlsVersion,
) -> Result<&'static [&'static SupportedProtocolVersion]> {
    use rustls::version::{TLS12, TLS13};
    static ONLY_12: [&SupportedProtocolVersion; 1] = [&TLS12];
    static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match (minimum, maximum) {
        (TlsVersion::Tls12, TlsVersion::Tls12) => Ok(&ONLY_12),
        (TlsVersion::Tls12, TlsVersion::Tls13) => Ok(&BOTH),
        (TlsVersion::Tls13, TlsVersion::Tls13) => Ok(&ONLY_13),
        (TlsVersion::Tls13, TlsVersion::Tls12) => Err(Error::new(
            ErrorKind::SecureConnectionFailed,
            format!("setting up TLS: the minimum version {minimum} is above the maximum version {maximum}"),
        )),
    }
}

fn verifier(options: &TlsOptions, provider: &Arc<CryptoProvider>) -> Result<ServerVerifier> {
    let mut own = options.replaced_roots.clone().unwrap_or_default();
    own.extend_from_slice(&options.extra_roots);
    let mut roots = RootCertStore::empty();
    if options.replaced_roots.is_none() && !options.platform_verifier {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for (index, root) in own.iter().enumerate() {
        let added = roots.add(root.as_ref().into());
        // What nobody goes by need not be any good.
        if !options.accept_invalid {
            added.map_err(|error| {
                unusable(&format!("root certificate {} cannot be used", index + 1), error)
            })?;
        }
    }
    let algorithms = provider.signature_verification_algorithms;
    let has_pins = options.pins.iter().next().is_some();
    let pinning = has_pins.then(|| Pinning::new(options.pins.clone(), &roots.roots, algorithms.all));
    if options.accept_invalid {
        return Ok(ServerVerifier::new(Arc::new(NoVerification::new(algorithms)), Vec::new(), pinning));
    }
    let judge = if options.platform_verifier && options.replaced_roots.is_none() {
        platform_verifier(&options.extra_roots, provider)?
    } else {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| unusable("there are no root certificates", error))?
    };
    Ok(ServerVerifier::new(judge, own, pinning))
}

#[cfg(feature = "platform-verifier")]
fn platform_verifier(
    extra: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    rustls_platform_verifier::Verifier::new_with_extra_roots(extra.iter().cloned(), Arc::clone(provider))
        .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
        .map_err(|error| unusable("the platform's certificate verifier cannot be used", error))
}

#[cfg(not(feature = "platform-verifier"))]
fn platform_verifier(
    _: &[CertificateDer<'static>],
    _: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    Err(Error::new(
        ErrorKind::SecureConnectionFailed,
        "setting up TLS: the platform's certificate verifier needs the feature platform-verifier",
    ))
}

fn unusable(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::SecureConnectionFailed, format!("setting up TLS: {what}")).with_source(error)
}
