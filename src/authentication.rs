//! Authentication schemes that a program brings itself, for servers and proxies that want another one than
//! Basic, Digest or Bearer: what negotiates over several round trips (NTLM, Negotiate), and what signs
//! every request (AWS Signature Version 4, HMAC schemes).
//!
//! A scheme is the factory, an exchange is one run of it, a value between two messages:
//!
//! ```text
//!                 ┌──── 401 with a challenge of the scheme ────┐
//!                 ▼                                            │
//! begin ─▶ respond(challenge) ─▶ Send(headers) ─▶ the request again ─▶ another answer ─▶ finish
//!                 └▶ GiveUp: the next challenge, or the 401 is the result
//! ```
//!
//! `begin` is called when a challenge names the scheme, or for each request to a place where the scheme
//! [signs every request](AuthenticationScheme::signs_every_request); there the first `respond` has no
//! challenge. What is called here knows no connection and no task: rounds, credentials and pinning are
//! the loader's.

use crate::challenge::{AuthenticationMethod, Credential, ProtectionSpace};
use crate::error::{Error, ErrorKind, Result};
use crate::header;
use http::Method;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use std::fmt;
use std::sync::Arc;
use url::Url;

/// A way to authenticate that the library does not have.
/// [`Configuration::authentication_scheme`](crate::Configuration::authentication_scheme) takes it.
///
/// | scheme | [`signs_every_request`](Self::signs_every_request) | [`binds_to_connection`](Self::binds_to_connection) | [`has_own_credentials`](Self::has_own_credentials) |
/// |---|---|---|---|
/// | NTLM | no | yes | no |
/// | Negotiate | no | yes | yes, with a ticket cache |
/// | AWS Signature Version 4 | at its hosts | no | yes |
///
/// Schemes are shared by all tasks of a session, and are called on whatever thread carries a task. They may
/// block, for example to ask for a ticket; that keeps the thread, and the idle timeout counts. A panic
/// fails the task.
///
/// ```
/// use urlsession::{
///     AuthenticatingRequest, AuthenticationExchange, AuthenticationScheme, AuthenticationStep, Configuration,
///     Credential, ProtectionSpace, Result, Session, http, http::HeaderValue,
/// };
///
/// /// Signs what goes to one host with a key.
/// #[derive(Clone)]
/// struct Signer {
///     host: &'static str,
///     key: u64,
/// }
///
/// impl AuthenticationScheme for Signer {
///     fn name(&self) -> &str {
///         "Example-Sum"
///     }
///     fn signs_every_request(&self, space: &ProtectionSpace) -> bool {
///         space.host() == self.host
///     }
///     fn has_own_credentials(&self) -> bool {
///         true
///     }
///     fn begin(&self, _: &ProtectionSpace, _: Option<&Credential>) -> Result<Box<dyn AuthenticationExchange>> {
///         Ok(Box::new(self.clone()))
///     }
/// }
///
/// impl AuthenticationExchange for Signer {
///     fn respond(&mut self, _: Option<&str>, request: &AuthenticatingRequest<'_>) -> Result<AuthenticationStep> {
///         // Not to be taken for cryptography.
///         let body: u64 = request.body().unwrap_or_default().iter().map(|&byte| u64::from(byte)).sum();
///         let path = request.url().path().len() as u64;
///         let value = HeaderValue::from_str(&format!("Example-Sum {}", self.key ^ body ^ path)).expect("digits");
///         Ok(AuthenticationStep::authorize(request, value))
///     }
/// }
///
/// let signer = Signer { host: "api.example.com", key: 7 };
/// let session = Session::new(Configuration::ephemeral().authentication_scheme(signer.clone()));
///
/// // A scheme can be tested without a server.
/// let url = "https://api.example.com/items".parse().unwrap();
/// let (method, headers) = (http::Method::POST, http::HeaderMap::new());
/// let request = AuthenticatingRequest::new(&method, &url, &headers, Some(b"\x01"));
/// let AuthenticationStep::Send(added) = signer.clone().respond(None, &request)? else { panic!("it gave up") };
/// assert_eq!(added["authorization"], "Example-Sum 0");
/// # Ok::<(), urlsession::Error>(())
/// ```
pub trait AuthenticationScheme: Send + Sync + 'static {
    /// The name that challenges have for it, such as `NTLM`. Case does not matter.
    ///
    /// A scheme with the name of one that the library has (`Digest`) takes its place.
    fn name(&self) -> &str;

    /// Whether every request to this place is to be signed, unasked. No unless it is overridden.
    ///
    /// It is asked for each request as it goes out, with redirects, retries and answers to challenges, with
    /// a space of the request's origin, without realm. Say yes only to hosts whose keys the scheme has: a
    /// redirect may lead anywhere.
    ///
    /// With several schemes that say yes the one that was registered first signs. A request that has an
    /// `Authorization` of its own is not signed.
    fn signs_every_request(&self, space: &ProtectionSpace) -> bool {
        let _ = space;
        false
    }

    /// Whether what is authenticated is the connection, and not the request: all messages of an exchange go
    /// over one, and nobody with another credential gets it afterwards. No unless it is overridden.
    ///
    /// A connection that the server closes in mid-exchange ends the exchange; it is begun once more.
    fn binds_to_connection(&self) -> bool {
        false
    }

    /// Whether it has credentials itself: keys it was made with, or a ticket cache. Then it is begun
    /// without asking anybody, with the credential that is stored for the space, if there is one; and the
    /// delegate is asked after that was refused. No unless it is overridden.
    fn has_own_credentials(&self) -> bool {
        false
    }

    /// Begins an exchange with whom the space names. The realm is that of the challenge, if it has one.
    ///
    /// # Errors
    /// What keeps it from being begun, such as a missing credential. It fails the task.
    fn begin(
        &self,
        space: &ProtectionSpace,
        credential: Option<&Credential>,
    ) -> Result<Box<dyn AuthenticationExchange>>;
}

/// A shared scheme is a scheme.
impl<S: AuthenticationScheme + ?Sized> AuthenticationScheme for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn signs_every_request(&self, space: &ProtectionSpace) -> bool {
        (**self).signs_every_request(space)
    }

    fn binds_to_connection(&self) -> bool {
        (**self).binds_to_connection()
    }

    fn has_own_credentials(&self) -> bool {
        (**self).has_own_credentials()
    }

    fn begin(
        &self,
        space: &ProtectionSpace,
        credential: Option<&Credential>,
    ) -> Result<Box<dyn AuthenticationExchange>> {
        (**self).begin(space, credential)
    }
}

/// One run of an [`AuthenticationScheme`]: from the first challenge, or the unasked beginning, to the
/// answer that counts.
pub trait AuthenticationExchange: Send {
    /// Answers a challenge with headers for the request, which is then sent (again).
    ///
    /// The challenge is what stands behind the name of the scheme: empty, a token68 (`TlRMTVNTUAAC…`) or
    /// parameters (`realm="x", id=3`). It is `None` when nobody has asked yet. A further challenge of the
    /// same scheme in answer to that comes here again; a task gives 60 answers at most.
    ///
    /// # Errors
    /// What makes it pointless to go on. It fails the task.
    fn respond(
        &mut self,
        challenge: Option<&str>,
        request: &AuthenticatingRequest<'_>,
    ) -> Result<AuthenticationStep>;

    /// The server let the request pass. `challenge` is what stands behind the scheme's name in
    /// `WWW-Authenticate` of that response, where there is one: with Negotiate, the server's own proof.
    /// Unless it is overridden anything will do.
    ///
    /// # Errors
    /// That the server did not prove who it is. It fails the task.
    fn finish(&mut self, challenge: Option<&str>) -> Result<()> {
        let _ = challenge;
        Ok(())
    }
}

/// What an exchange does next.
#[derive(Clone)]
#[non_exhaustive]
pub enum AuthenticationStep {
    /// Sends the request with these headers, each in place of all of its name that the request has. They
    /// are for this one message: neither a redirect nor the next message takes them along. `Host`,
    /// `Connection` and what frames the body cannot be among them.
    Send(HeaderMap),
    /// Leaves it: the credential was refused, or the challenge makes no sense. The next challenge is
    /// tried, and if there is none the response is the result.
    GiveUp,
}

impl AuthenticationStep {
    /// Sends the request with its `Authorization`, or with its `Proxy-Authorization` if it is a proxy
    /// that asks.
    pub fn authorize(request: &AuthenticatingRequest<'_>, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        AuthenticationStep::Send(HeaderMap::from_iter([(request.header_name(), value)]))
    }
}

impl fmt::Debug for AuthenticationStep {
    /// Without the values, any of which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthenticationStep::Send(headers) => {
                f.write_str("Send")?;
                f.debug_list().entries(headers.keys()).finish()
            }
            AuthenticationStep::GiveUp => f.write_str("GiveUp"),
        }
    }
}

/// The request that is to be authenticated, as it will be sent.
#[derive(Clone, Copy)]
pub struct AuthenticatingRequest<'a> {
    method: &'a Method,
    url: &'a Url,
    headers: &'a HeaderMap,
    body: Option<&'a [u8]>,
    by_proxy: bool,
}

impl<'a> AuthenticatingRequest<'a> {
    /// A request to a server. `body` is empty where there is none.
    pub fn new(method: &'a Method, url: &'a Url, headers: &'a HeaderMap, body: Option<&'a [u8]>) -> Self {
        AuthenticatingRequest { method, url, headers, body, by_proxy: false }
    }

    /// The same request, about which a proxy asks.
    pub fn by_proxy(mut self) -> Self {
        self.by_proxy = true;
        self
    }

    /// The method.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The URL, without user name and password.
    pub fn url(&self) -> &'a Url {
        self.url
    }

    /// The headers of the request and of the configuration. Those that the library adds when it sends are
    /// not among them: `Host`, what frames the body, cookies.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The body, if it is in memory or if there is none. `None` is one that comes from a file or a stream.
    pub fn body(&self) -> Option<&'a [u8]> {
        self.body
    }

    /// Whether it is a proxy that asks.
    pub fn is_by_proxy(&self) -> bool {
        self.by_proxy
    }

    /// The header that the answer goes into: `Authorization`, or `Proxy-Authorization`.
    pub fn header_name(&self) -> HeaderName {
        if self.by_proxy { PROXY_AUTHORIZATION } else { AUTHORIZATION }
    }
}

impl fmt::Debug for AuthenticatingRequest<'_> {
    /// Without the body and what is secret in the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticatingRequest")
            .field("method", self.method)
            .field("url", &crate::error::redacted(self.url).as_str())
            .field("headers", &header::Shown(self.headers))
            .field("by_proxy", &self.by_proxy)
            .finish_non_exhaustive()
    }
}

/// The method that a scheme of this name is, in a protection space.
pub(crate) fn method(scheme: &str) -> AuthenticationMethod {
    const KNOWN: [(&str, AuthenticationMethod); 5] = [
        ("Basic", AuthenticationMethod::Basic),
        ("Digest", AuthenticationMethod::Digest),
        ("Bearer", AuthenticationMethod::Bearer),
        ("NTLM", AuthenticationMethod::Ntlm),
        ("Negotiate", AuthenticationMethod::Negotiate),
    ];
    let known = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme));
    known.map_or_else(|| AuthenticationMethod::Other(scheme.to_owned()), |(_, method)| method.clone())
}

/// Puts the headers of a step among those of a request.
pub(crate) fn add(headers: &mut HeaderMap, scheme: &str, added: HeaderMap) -> Result<()> {
    const RESERVED: [HeaderName; 7] =
        [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    if let Some(name) = RESERVED.iter().find(|name| added.contains_key(*name)) {
        return Err(Error::new(
            ErrorKind::BadUrl,
            format!("authentication scheme {scheme}: header `{name}` is not for a scheme to set"),
        ));
    }
    header::merge(headers, added)
}

#[cfg(test)]
mod tests;
