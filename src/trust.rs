//! What a server shows of itself, for somebody to judge. Plain data and the verdict that would hold
//! without them.

pub(crate) mod pins;

use crate::error::Result;
use crate::tls::Certificate;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The certificates of a server, as one connection has shown them. `SecTrust`.
///
/// Comes with a challenge ([`ProtectionSpace::server_trust`](crate::ProtectionSpace::server_trust)), and
/// with the [error](crate::Error::server_trust) of a server that was not trusted.
/// [`Credential::for_trust`](crate::Credential::for_trust) accepts it. Cloning gives the same; two are
/// equal if they are of the same connection.
///
/// ```
/// use urlsession::{AuthenticationMethod, Challenge, ChallengeDisposition, Credential, Delegate};
///
/// /// Trusts one server of a test laboratory whatever it shows, and others by the rules.
/// struct Laboratory;
///
/// impl Delegate for Laboratory {
///     fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
///         match challenge.protection_space().server_trust() {
///             Some(trust) if trust.host() == "rack7.lab.example" => {
///                 if let Err(error) = trust.evaluate() {
///                     eprintln!("accepted nevertheless: {error}");
///                 }
///                 Some(ChallengeDisposition::UseCredential(Some(Credential::for_trust(trust))))
///             }
///             _ => Some(ChallengeDisposition::PerformDefaultHandling),
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct ServerTrust(Arc<Shown>);

struct Shown {
    host: String,
    certificates: Vec<Certificate>,
    verdict: Result<()>,
}

impl ServerTrust {
    pub(crate) fn new(host: &str, certificates: Vec<Certificate>, verdict: Result<()>) -> Self {
        ServerTrust(Arc::new(Shown { host: host.to_owned(), certificates, verdict }))
    }

    /// The host that was to be reached.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The certificates, the server's own first. `SecTrustCopyCertificateChain`.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0.certificates
    }

    /// The SHA-256 of the public key of each certificate, in the same order, as
    /// [`PinnedKeys`](crate::PinnedKeys) has them. A malformed certificate is left out.
    ///
    /// Only the first key is sure to be the server's. The others may be anybody's, as long as nothing shows
    /// that they have issued its certificate; [`PinnedKeys::are_met_by`](crate::PinnedKeys::are_met_by)
    /// looks at that.
    pub fn public_key_sha256(&self) -> Vec<[u8; 32]> {
        self.0.certificates.iter().filter_map(Certificate::public_key_sha256).collect()
    }

    /// What default handling makes of it. `SecTrustEvaluateWithError`.
    ///
    /// # Errors
    ///
    /// Why the server is not to be trusted:
    /// [`ServerCertificateUntrusted`](crate::ErrorKind::ServerCertificateUntrusted) or a kin of it.
    pub fn evaluate(&self) -> Result<()> {
        self.0.verdict.clone()
    }
}

impl PartialEq for ServerTrust {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ServerTrust {}

impl Hash for ServerTrust {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Debug for ServerTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTrust")
            .field("host", &self.0.host)
            .field("certificates", &self.0.certificates.len())
            .field("trusted", &self.0.verdict.is_ok())
            .finish()
    }
}
