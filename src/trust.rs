//! What a server shows of itself, for somebody to judge. Plain data and the verdict that would hold
//! without them.

use crate::error::Result;
use crate::tls::Certificate;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The certificates of a server, as one connection has shown them. `SecTrust`.
///
/// Comes with a challenge ([`ProtectionSpace::server_trust`](crate::ProtectionSpace::server_trust)).
/// [`Credential::for_trust`](crate::Credential::for_trust) accepts it. Cloning gives the same; two are
/// equal if they are of the same connection.
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
