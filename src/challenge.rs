//! Authentication challenges: who asks for what, and what a delegate answers. Plain values that know
//! no protocol.

use crate::error::Error;
use crate::head::ResponseHead;
#[cfg(feature = "tls")]
use crate::tls::Identity;
#[cfg(feature = "tls")]
use crate::trust::ServerTrust;
use std::fmt;
use std::sync::Arc;

/// Somebody wants to know who we are. `URLAuthenticationChallenge`.
///
/// Those about a connection (server trust, client certificate, NTLM, Negotiate) go to
/// [`did_receive_session_challenge`](crate::Delegate::did_receive_session_challenge) first; those about
/// a task, and what the former leaves, to
/// [`did_receive_challenge`](crate::Delegate::did_receive_challenge). Without a delegate, or with one
/// that does not implement them, the stored credential is used, or the one of the URL.
#[derive(Clone, Debug)]
pub struct Challenge {
    protection_space: ProtectionSpace,
    proposed_credential: Option<Credential>,
    previous_failure_count: u32,
    failure_response: Option<Arc<ResponseHead>>,
    error: Option<Error>,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A challenge for a protection space, the first of its kind.
    pub fn new(protection_space: ProtectionSpace) -> Self {
        Challenge {
            protection_space,
            proposed_credential: None,
            previous_failure_count: 0,
            failure_response: None,
            error: None,
            parameters: Vec::new(),
        }
    }

    /// The same challenge with the credential that would be used if nobody objected, or that was just
    /// rejected.
    pub fn with_proposed_credential(mut self, credential: Credential) -> Self {
        self.proposed_credential = Some(credential);
        self
    }

    /// The same challenge after so many failures.
    pub fn with_previous_failure_count(mut self, count: u32) -> Self {
        self.previous_failure_count = count;
        self
    }

    /// The same challenge with the response that brought it.
    pub fn with_failure_response(mut self, response: impl Into<Arc<ResponseHead>>) -> Self {
        self.failure_response = Some(response.into());
        self
    }

    /// The same challenge with the error that brought it.
    pub fn with_error(mut self, error: Error) -> Self {
        self.error = Some(error);
        self
    }

    /// The same challenge with the parameters that the server sent, their names in lower case.
    pub(crate) fn with_parameters(mut self, parameters: &[(String, String)]) -> Self {
        self.parameters = parameters.to_vec();
        self
    }

    /// What the server said besides the realm, such as the `scope` that a bearer token has to have, and the
    /// `error` with the last one (RFC 6750, section 3). The name is in lower case. URLSession tells none of
    /// that.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the credential is for. `protectionSpace`.
    pub fn protection_space(&self) -> &ProtectionSpace {
        &self.protection_space
    }

    /// The credential that default handling would use. After a failure it is the one that was
    /// rejected. `proposedCredential`.
    pub fn proposed_credential(&self) -> Option<&Credential> {
        self.proposed_credential.as_ref()
    }

    /// How many credentials were rejected before. `previousFailureCount`.
    pub fn previous_failure_count(&self) -> u32 {
        self.previous_failure_count
    }

    /// The head of the response that brought the challenge. `failureResponse`.
    pub fn failure_response(&self) -> Option<&ResponseHead> {
        self.failure_response.as_deref()
    }

    /// The error that brought the challenge. `error`.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

/// What a credential is for: a server, or a proxy, or a part of it. `URLProtectionSpace`.
///
/// ```
/// use urlsession::{AuthenticationMethod, ProtectionSpace};
///
/// let space = ProtectionSpace::new("example.com", 443, "https", AuthenticationMethod::Basic).with_realm("staff");
/// assert_eq!(space.realm(), Some("staff"));
/// assert!(space.is_server() && space.receives_credential_securely());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProtectionSpace {
    host: String,
    port: u16,
    protocol: String,
    realm: Option<String>,
    authentication_method: AuthenticationMethod,
    is_proxy: bool,
    #[cfg(feature = "tls")]
    server_trust: Option<ServerTrust>,
    distinguished_names: Arc<[Vec<u8>]>,
}

impl ProtectionSpace {
    /// The protection space of a server, without a realm. `protocol` is the scheme: `https`.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        protocol: impl Into<String>,
        authentication_method: AuthenticationMethod,
    ) -> Self {
        ProtectionSpace {
            host: host.into(),
            port,
            protocol: protocol.into(),
            realm: None,
            authentication_method,
            is_proxy: false,
            #[cfg(feature = "tls")]
            server_trust: None,
            distinguished_names: Arc::default(),
        }
    }

    /// The same protection space with a realm.
    pub fn with_realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = Some(realm.into());
        self
    }

    /// The same protection space of a proxy.
    pub fn on_proxy(mut self) -> Self {
        self.is_proxy = true;
        self
    }

    /// The same protection space with what the server shows of itself.
    #[cfg(feature = "tls")]
    pub(crate) fn with_server_trust(mut self, trust: ServerTrust) -> Self {
        self.server_trust = Some(trust);
        self
    }

    /// The same protection space with the authorities whose certificates the server takes, as DER.
    #[cfg(feature = "tls")]
    pub(crate) fn with_distinguished_names(mut self, names: Vec<Vec<u8>>) -> Self {
        self.distinguished_names = names.into();
        self
    }

    /// The host. `host`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 is the one that the protocol has by default. `port`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The scheme of the server, or the kind of the proxy. `protocol`.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// What the server calls the part of it that is protected, where it has a name. `realm`.
    pub fn realm(&self) -> Option<&str> {
        self.realm.as_deref()
    }

    /// How to authenticate. `authenticationMethod`.
    pub fn authentication_method(&self) -> &AuthenticationMethod {
        &self.authentication_method
    }

    /// Whether it is a proxy that asks. `isProxy()`.
    pub fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    /// Whether it is a server that asks, and not a proxy.
    pub fn is_server(&self) -> bool {
        !self.is_proxy
    }

    /// What the server shows of itself, if that is to be judged ([`AuthenticationMethod::ServerTrust`]).
    /// `serverTrust`.
    #[cfg(feature = "tls")]
    pub fn server_trust(&self) -> Option<&ServerTrust> {
        self.server_trust.as_ref()
    }

    /// The names of the authorities whose certificates the server takes
    /// ([`AuthenticationMethod::ClientCertificate`]), each an X.501 `Name` in DER. None if it names
    /// none. `distinguishedNames`.
    pub fn distinguished_names(&self) -> &[Vec<u8>] {
        &self.distinguished_names
    }

    /// Whether nobody on the way can read the credential. `receivesCredentialSecurely`.
    pub fn receives_credential_securely(&self) -> bool {
        use AuthenticationMethod::*;
        match self.authentication_method {
            Digest | Ntlm | Negotiate | ServerTrust | ClientCertificate => true,
            Basic | Bearer | Other(_) => self.protocol.eq_ignore_ascii_case("https"),
        }
    }
}

/// How to authenticate. `NSURLAuthenticationMethod…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthenticationMethod {
    /// User name and password as they are (RFC 7617).
    Basic,
    /// A digest of user name and password (RFC 7616).
    Digest,
    /// A token (RFC 6750). URLSession has no name for it.
    Bearer,
    /// NTLM.
    Ntlm,
    /// Negotiate: Kerberos or NTLM (RFC 4559).
    Negotiate,
    /// The server shows its certificate, and it is to be judged.
    ServerTrust,
    /// The server wants a certificate.
    ClientCertificate,
    /// Another one, by its name.
    Other(String),
}

impl AuthenticationMethod {
    /// Whether it is about a connection rather than a task, so that the session is asked before the
    /// task.
    pub fn is_session_wide(&self) -> bool {
        use AuthenticationMethod::*;
        matches!(self, ServerTrust | ClientCertificate | Ntlm | Negotiate)
    }
}

/// What shows who we are, or whom we trust. `URLCredential`.
///
/// ```
/// use urlsession::{Credential, Persistence};
///
/// let credential = Credential::new("me", "secret", Persistence::ForSession);
/// assert_eq!(credential.password(), Some("secret"));
/// assert!(!format!("{credential:?}").contains("secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    kind: Kind,
    persistence: Persistence,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Password {
        user: String,
        password: String,
    },
    Token(String),
    #[cfg(feature = "tls")]
    Identity(Identity),
    #[cfg(feature = "tls")]
    Trust(ServerTrust),
}

impl Credential {
    /// A user name and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>, persistence: Persistence) -> Self {
        Credential { kind: Kind::Password { user: user.into(), password: password.into() }, persistence }
    }

    /// A bearer token (RFC 6750). URLSession has none.
    pub fn token(token: impl Into<String>, persistence: Persistence) -> Self {
        Credential { kind: Kind::Token(token.into()), persistence }
    }

    /// A certificate with its key, for a server that asks for one. It is kept no longer than the
    /// session. `init(identity:certificates:persistence:)`.
    #[cfg(feature = "tls")]
    pub fn with_identity(identity: Identity) -> Self {
        Credential { kind: Kind::Identity(identity), persistence: Persistence::ForSession }
    }

    /// Accepts a server as it is, whatever is wrong with its certificate and its name. It counts for
    /// the connection whose challenge brought the trust, and no other. `init(trust:)`.
    #[cfg(feature = "tls")]
    pub fn for_trust(trust: &ServerTrust) -> Self {
        Credential { kind: Kind::Trust(trust.clone()), persistence: Persistence::None }
    }

    /// The user name, if it is one of user name and password. `user`.
    pub fn user(&self) -> Option<&str> {
        match &self.kind {
            Kind::Password { user, .. } => Some(user),
            _ => None,
        }
    }

    /// The password, if it is one of user name and password. `password`.
    pub fn password(&self) -> Option<&str> {
        match &self.kind {
            Kind::Password { password, .. } => Some(password),
            _ => None,
        }
    }

    /// The token, if it is one.
    pub fn bearer_token(&self) -> Option<&str> {
        match &self.kind {
            Kind::Token(token) => Some(token),
            _ => None,
        }
    }

    /// The certificate with its key, if it is one. `identity`.
    #[cfg(feature = "tls")]
    pub fn identity(&self) -> Option<&Identity> {
        match &self.kind {
            Kind::Identity(identity) => Some(identity),
            _ => None,
        }
    }

    /// What it accepts, if it is for a server's certificate.
    #[cfg(feature = "tls")]
    pub fn trust(&self) -> Option<&ServerTrust> {
        match &self.kind {
            Kind::Trust(trust) => Some(trust),
            _ => None,
        }
    }

    /// For how long it is kept. `persistence`.
    pub fn persistence(&self) -> Persistence {
        self.persistence
    }

    /// The same credential, kept for another time. Certificates and trust stay what they are.
    pub fn with_persistence(mut self, persistence: Persistence) -> Self {
        if matches!(self.kind, Kind::Password { .. } | Kind::Token(_)) {
            self.persistence = persistence;
        }
        self
    }
}

impl fmt::Debug for Credential {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credential");
        match &self.kind {
            Kind::Password { user, .. } => shown.field("user", user),
            Kind::Token(_) => shown.field("token", &"…"),
            #[cfg(feature = "tls")]
            Kind::Identity(identity) => shown.field("identity", identity),
            #[cfg(feature = "tls")]
            Kind::Trust(trust) => shown.field("trust", trust),
        };
        shown.field("persistence", &self.persistence).finish_non_exhaustive()
    }
}

/// For how long a credential is kept. `URLCredential.Persistence`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Persistence {
    /// For this use only.
    None,
    /// As long as the session.
    #[default]
    ForSession,
    /// Beyond the end of the program.
    Permanent,
}

/// What a delegate makes of a challenge. `URLSession.AuthChallengeDisposition`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeDisposition {
    /// Goes on with this credential, or with none.
    UseCredential(Option<Credential>),
    /// Does what would be done without a delegate: uses the proposed credential if it was not rejected,
    /// and delivers the response if it was or if there is none.
    #[default]
    PerformDefaultHandling,
    /// Cancels the task.
    CancelChallenge,
    /// Leaves this protection space, and goes on with the next that is offered.
    RejectProtectionSpace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_printed() {
        let space = ProtectionSpace::new("example.com", 0, "http", AuthenticationMethod::Basic);
        let credential = Credential::new("me", "hidden", Persistence::default());
        let challenge = Challenge::new(space).with_proposed_credential(credential.clone());
        let used = ChallengeDisposition::UseCredential(Some(credential));
        for text in [format!("{challenge:?}"), format!("{used:?}")] {
            assert!(text.contains("me") && !text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn who_may_read_a_credential() {
        let secure = |protocol: &str, method| {
            ProtectionSpace::new("example.com", 0, protocol, method).receives_credential_securely()
        };
        assert!(!secure("http", AuthenticationMethod::Basic));
        assert!(secure("HTTPS", AuthenticationMethod::Basic));
        assert!(secure("http", AuthenticationMethod::Digest));
        assert!(!secure("socks5", AuthenticationMethod::Other("x".into())));
    }
}
