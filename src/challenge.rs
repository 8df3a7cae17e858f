//! Authentication challenges: who asks for what, and what a delegate answers. Plain values that know
//! no protocol.

use crate::error::Error;
use crate::head::ResponseHead;
use std::fmt;
use std::sync::Arc;

/// Somebody wants to know who we are. `URLAuthenticationChallenge`.
///
/// A delegate answers it in [`did_receive_challenge`](crate::Delegate::did_receive_challenge). For now
/// only own protocols raise challenges ([`ProtocolClient::challenge`](crate::ProtocolClient::challenge)).
#[derive(Clone, Debug)]
pub struct Challenge {
    protection_space: ProtectionSpace,
    proposed_credential: Option<Credential>,
    previous_failure_count: u32,
    failure_response: Option<Arc<ResponseHead>>,
    error: Option<Error>,
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

/// User name and password. `URLCredential`.
///
/// ```
/// use urlsession::{Credential, Persistence};
///
/// let credential = Credential::new("me", "secret", Persistence::ForSession);
/// assert_eq!(credential.password(), "secret");
/// assert!(!format!("{credential:?}").contains("secret"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    user: String,
    password: String,
    persistence: Persistence,
}

impl Credential {
    /// A user name and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>, persistence: Persistence) -> Self {
        Credential { user: user.into(), password: password.into(), persistence }
    }

    /// The user name. `user`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password. `password`.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// For how long it is kept. `persistence`.
    pub fn persistence(&self) -> Persistence {
        self.persistence
    }
}

impl fmt::Debug for Credential {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("user", &self.user)
            .field("persistence", &self.persistence)
            .finish_non_exhaustive()
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
    /// Does what would be done without a delegate: uses the proposed credential if it was not rejected.
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
