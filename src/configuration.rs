//! What a session is to go by: limits, headers, redirects, trust. A plain value that is copied
//! into the session when that is made; knows nothing of how the session goes by it.

mod cache_policy;
mod caching;
mod cookies;
mod credentials;
#[cfg(feature = "tls")]
mod pins;
mod places;
mod transport_security;

use crate::authentication::AuthenticationScheme;
use crate::error::{Error, ErrorKind, Result};
use crate::header;
use crate::netrc::Netrc;
use crate::proto::caching::CachePolicy;
use crate::proto::transport_security::policy::TransportSecurity;
use crate::protocol::Protocol;
use crate::resolver::Resolver;
use crate::retry::RetryPolicy;
use crate::storage::{Cache, Choice, CookieAcceptPolicy, CookieStorage, CredentialStorage, HstsStorage};
#[cfg(feature = "tls")]
use crate::tls::{Certificate, CryptoProvider, Identity, RootCertificates, TlsVersion};
#[cfg(feature = "tls")]
use crate::trust::pins::Pins;
use http::header::{self as names, HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The properties of a session: `URLSessionConfiguration`.
///
/// Methods that set a property take and give back the configuration, and have the plain name; the
/// property is read by the same name behind `get_`. A session copies its configuration when it is
/// made, and a clone has nothing to do with what it was made of, except that they share a
/// [`resolver`](Configuration::resolver) and [`protocol`](Configuration::protocol)s.
///
/// Nothing here fails. What is malformed is remembered: [`check`](Configuration::check) tells it,
/// and every task of a session with such a configuration fails with it.
///
/// ```
/// use std::time::Duration;
/// use urlsession::Configuration;
///
/// let configuration = Configuration::default()
///     .timeout_for_request(Duration::from_secs(10))
///     .additional_header("accept-language", "en")
///     .maximum_connections_per_host(2);
/// assert_eq!(configuration.get_maximum_connections_per_host(), 2);
/// assert_eq!(configuration.get_timeout_for_resource(), Duration::from_secs(7 * 24 * 60 * 60));
/// assert!(configuration.check().is_ok());
///
/// let configuration = configuration.additional_header("host", "example.com");
/// assert!(configuration.check().unwrap_err().to_string().contains("`host`"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Configuration {
    pub(crate) kind: Kind,
    pub(crate) timeout_for_request: Duration,
    pub(crate) timeout_for_resource: Duration,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) additional_headers: HeaderMap,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) maximum_connections_per_host: usize,
    pub(crate) maximum_idle_connections_per_host: Option<usize>,
    pub(crate) idle_connection_timeout: Duration,
    pub(crate) maximum_workers: usize,
    pub(crate) redirect_limit: u32,
    pub(crate) strip_authorization_on_redirect: bool,
    pub(crate) allow_insecure_redirects: bool,
    pub(crate) automatic_decoding: bool,
    pub(crate) retry: RetryPolicy,
    pub(crate) maximum_body_in_memory: u64,
    pub(crate) maximum_header_bytes: usize,
    pub(crate) maximum_headers: usize,
    pub(crate) cache_policy: CachePolicy,
    pub(crate) download_directory: Option<PathBuf>,
    pub(crate) application: Option<String>,
    pub(crate) cookie_storage: Choice<CookieStorage>,
    pub(crate) cookie_accept_policy: CookieAcceptPolicy,
    pub(crate) set_cookies: bool,
    pub(crate) storage_directory: Option<PathBuf>,
    pub(crate) cache: Choice<Cache>,
    pub(crate) transport_security: TransportSecurity,
    pub(crate) hsts_storage: Choice<HstsStorage>,
    pub(crate) resolver: Option<Arc<dyn Resolver>>,
    protocols: Vec<Arc<dyn Protocol>>,
    authentication_schemes: Vec<Arc<dyn AuthenticationScheme>>,
    pub(crate) credential_storage: Choice<CredentialStorage>,
    netrc: Option<Netrc>,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsProperties,
    /// The first thing that was wrong.
    error: Option<Error>,
}

/// Which of Apple's configurations it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Default,
    Ephemeral,
}

/// The properties that TLS is set up by.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub(crate) struct TlsProperties {
    pub(crate) minimum_version: TlsVersion,
    pub(crate) maximum_version: TlsVersion,
    pub(crate) roots: RootCertificates,
    /// Trusted besides `roots`.
    pub(crate) added_roots: Vec<Certificate>,
    pub(crate) client_identity: Option<Identity>,
    pub(crate) accept_invalid_certificates: bool,
    pub(crate) pins: Pins,
    pub(crate) crypto_provider: CryptoProvider,
}

impl Default for Configuration {
    /// The configuration that [`Session::shared`](crate::Session::shared) has. `default`.
    fn default() -> Self {
        Configuration {
            kind: Kind::Default,
            timeout_for_request: Duration::from_secs(60),
            timeout_for_resource: Duration::from_secs(7 * 24 * 60 * 60),
            connect_timeout: None,
            additional_headers: HeaderMap::new(),
            user_agent: Some(HeaderValue::from_static(concat!("urlsession/", env!("CARGO_PKG_VERSION")))),
            maximum_connections_per_host: 6,
            maximum_idle_connections_per_host: None,
            idle_connection_timeout: Duration::from_secs(90),
            maximum_workers: 8,
            redirect_limit: 20,
            strip_authorization_on_redirect: false,
            allow_insecure_redirects: false,
            automatic_decoding: true,
            retry: RetryPolicy::none(),
            maximum_body_in_memory: 512 * 1024 * 1024,
            maximum_header_bytes: 256 * 1024,
            maximum_headers: 256,
            cache_policy: CachePolicy::UseProtocol,
            download_directory: None,
            application: None,
            cookie_storage: Choice::Automatic,
            cookie_accept_policy: CookieAcceptPolicy::OnlyFromMainDocumentDomain,
            set_cookies: true,
            storage_directory: None,
            cache: Choice::Automatic,
            transport_security: TransportSecurity::new(),
            hsts_storage: Choice::Automatic,
            resolver: None,
            protocols: Vec::new(),
            authentication_schemes: Vec::new(),
            credential_storage: Choice::Automatic,
            netrc: None,
            #[cfg(feature = "tls")]
            tls: TlsProperties {
                minimum_version: TlsVersion::Tls12,
                maximum_version: TlsVersion::Tls13,
                roots: RootCertificates::Bundled,
                added_roots: Vec::new(),
                client_identity: None,
                accept_invalid_certificates: false,
                pins: Pins::default(),
                crypto_provider: CryptoProvider::default(),
            },
            error: None,
        }
    }
}

/// The setter and the getter of properties that are a value of their type and no more.
macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident, $get:ident: $type:ty;)*) => { $(
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }

        #[doc = concat!("What [`", stringify!($name), "`](Configuration::", stringify!($name), ") has set.")]
        pub fn $get(&self) -> $type {
            self.$name
        }
    )* };
}

impl Configuration {
    /// A configuration whose sessions keep nothing on disk, whatever directory it or the program names. `ephemeral`.
    ///
    /// Each has storages of its own, in memory, which end with it, unless the configuration brings others.
    pub fn ephemeral() -> Self {
        Configuration { kind: Kind::Ephemeral, ..Configuration::default() }
    }

    /// Whether it was made by [`ephemeral`](Configuration::ephemeral).
    pub fn is_ephemeral(&self) -> bool {
        self.kind == Kind::Ephemeral
    }

    /// What is wrong with the configuration, if something is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadUrl`] for a header that is malformed or reserved, and
    /// [`ErrorKind::SecureConnectionFailed`] for properties of TLS that no connection can meet.
    pub fn check(&self) -> Result<()> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        #[cfg(feature = "tls")]
        if self.tls.minimum_version > self.tls.maximum_version {
            let message = "tls_minimum_version is above tls_maximum_version";
            return Err(Error::new(ErrorKind::SecureConnectionFailed, message));
        }
        Ok(())
    }

    properties! {
        /// Sets how long nothing may arrive or be sent. 60 s unless set. `timeoutIntervalForRequest`.
        ///
        /// It covers resolving, connecting and waiting for the response, and starts anew whenever
        /// data moves. [`Request::timeout`](crate::Request::timeout) goes before it.
        /// [`Duration::MAX`] is no limit.
        timeout_for_request, get_timeout_for_request: Duration;

        /// Sets how long a whole task may take, over redirects and retries. 7 days unless set.
        /// `timeoutIntervalForResource`.
        timeout_for_resource, get_timeout_for_resource: Duration;

        /// Sets how long a connection may stay open after its last use. 90 s unless set;
        /// zero keeps none.
        idle_connection_timeout, get_idle_connection_timeout: Duration;

        /// Sets how many redirects a task follows; one more is
        /// [`HttpTooManyRedirects`](ErrorKind::HttpTooManyRedirects). 20 unless set.
        redirect_limit, get_redirect_limit: u32;

        /// Sets whether a redirect to the same origin loses `Authorization`, `Proxy-Authorization`
        /// and a `Cookie` set by hand too, as in URLSession. Off unless set: only one to another
        /// scheme, host or port does.
        strip_authorization_on_redirect, get_strip_authorization_on_redirect: bool;

        /// Sets whether redirects may lead from https to http, and to http at public hosts, whatever
        /// [`TransportSecurity`] says. Off unless set.
        allow_insecure_redirects, get_allow_insecure_redirects: bool;

        /// Sets whether bodies are decoded as their `Content-Encoding` says, and servers told so.
        /// On unless set. A request with an `Accept-Encoding` of its own goes without in any case.
        automatic_decoding, get_automatic_decoding: bool;

        /// Sets the length in bytes up to which a task gives a body as a whole; a longer one is
        /// [`DataLengthExceedsMaximum`](ErrorKind::DataLengthExceedsMaximum). 512 MiB unless set.
        /// It counts what comes out of decoding, so it is also the limit of what a small response
        /// can be blown up to.
        maximum_body_in_memory, get_maximum_body_in_memory: u64;
    }

    /// Sets how long making a connection may take: resolving, TCP and TLS. No limit of its own
    /// unless set. URLSession has no such property.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// What [`connect_timeout`](Configuration::connect_timeout) has set.
    pub fn get_connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// Sets a header for every request, which one of the same name in a request goes before.
    /// `httpAdditionalHeaders`.
    ///
    /// `Authorization`, `Connection`, `Content-Length`, `Host`, `Proxy-Authenticate`,
    /// `Proxy-Authorization`, `Transfer-Encoding` and `WWW-Authenticate` are not for here; they are
    /// an error, as a malformed header is.
    pub fn additional_header<V>(self, name: impl AsRef<[u8]>, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        self.attempt(|configuration| {
            let (name, value) = header::field(name.as_ref(), value)?;
            not_reserved(&name)?;
            header::insert(&mut configuration.additional_headers, name, value)
        })
    }

    /// Sets many headers for every request, as [`additional_header`](Configuration::additional_header)
    /// does. Those set before stay, unless they have the same name.
    pub fn additional_headers(self, headers: HeaderMap) -> Self {
        self.attempt(|configuration| {
            headers.keys().try_for_each(not_reserved)?;
            header::merge(&mut configuration.additional_headers, headers)
        })
    }

    /// The headers for every request.
    pub fn get_additional_headers(&self) -> &HeaderMap {
        &self.additional_headers
    }

    /// Sets `User-Agent` for every request; an empty one is not sent. `urlsession/VERSION` unless
    /// set. A header of that name in the request or among the additional ones goes before it.
    pub fn user_agent<V>(self, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        self.attempt(|configuration| {
            let (_, value) = header::field(names::USER_AGENT.as_ref(), value)?;
            configuration.user_agent = Some(value).filter(|value| !value.is_empty());
            Ok(())
        })
    }

    /// The `User-Agent` for every request, if one is sent.
    pub fn get_user_agent(&self) -> Option<&HeaderValue> {
        self.user_agent.as_ref()
    }

    /// Sets how many connections a session has to one host at a time, at least 1. 6 unless set.
    /// `httpMaximumConnectionsPerHost`. Tasks beyond that wait.
    pub fn maximum_connections_per_host(mut self, maximum: usize) -> Self {
        self.maximum_connections_per_host = maximum.max(1);
        self
    }

    /// How many connections a session has to one host at a time.
    pub fn get_maximum_connections_per_host(&self) -> usize {
        self.maximum_connections_per_host
    }

    /// Sets how many connections to one host stay open for reuse. As many as there may be at a
    /// time unless set; with 0, none does.
    pub fn maximum_idle_connections_per_host(mut self, maximum: usize) -> Self {
        self.maximum_idle_connections_per_host = Some(maximum);
        self
    }

    /// How many connections to one host stay open for reuse.
    pub fn get_maximum_idle_connections_per_host(&self) -> usize {
        self.maximum_idle_connections_per_host.unwrap_or(self.maximum_connections_per_host)
    }

    /// Sets how many threads a session has at most, at least 1. 8 unless set. They start when there
    /// is work for them; what is stuck in the operating system does not count.
    pub fn maximum_workers(mut self, maximum: usize) -> Self {
        self.maximum_workers = maximum.max(1);
        self
    }

    /// How many threads a session has at most.
    pub fn get_maximum_workers(&self) -> usize {
        self.maximum_workers
    }

    /// Sets how long the head of a response may be, in bytes, at least 1,024. 256 KiB unless set.
    pub fn maximum_header_bytes(mut self, maximum: usize) -> Self {
        self.maximum_header_bytes = maximum.max(1024);
        self
    }

    /// How long the head of a response may be, in bytes.
    pub fn get_maximum_header_bytes(&self) -> usize {
        self.maximum_header_bytes
    }

    /// Sets how many headers a response may have, from 1 to 10,000. 256 unless set.
    pub fn maximum_headers(mut self, maximum: usize) -> Self {
        // The upper end keeps clear of what a HeaderMap can hold.
        self.maximum_headers = maximum.clamp(1, 10_000);
        self
    }

    /// How many headers a response may have.
    pub fn get_maximum_headers(&self) -> usize {
        self.maximum_headers
    }

    /// Sets the directory of downloads that are given no other, for the time until they are moved
    /// elsewhere. The system's for temporary files unless set; it has to exist.
    pub fn download_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.download_directory = Some(path.into());
        self
    }

    /// The directory of downloads that are given no other.
    pub fn get_download_directory(&self) -> PathBuf {
        self.download_directory.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// Sets how often a task that failed is tried again. Never unless set.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How often a task that failed is tried again.
    pub fn get_retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// Sets who resolves host names, in place of the operating system; see [`Resolver`].
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Who resolves host names, if it is not the operating system.
    pub fn get_resolver(&self) -> Option<&Arc<dyn Resolver>> {
        self.resolver.as_ref()
    }

    /// Adds a loader of the program's own, for a scheme of its own or in place of a server. Those that were
    /// added first are asked first, and all before what is built in. `protocolClasses`.
    ///
    /// Clones of the configuration share it.
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        self.protocols.push(Arc::new(protocol));
        self
    }

    /// The loaders that were added.
    pub fn get_protocols(&self) -> &[Arc<dyn Protocol>] {
        &self.protocols
    }

    /// Does something that can go wrong, and keeps the first error.
    fn attempt(mut self, change: impl FnOnce(&mut Self) -> Result<()>) -> Self {
        if let Err(error) = change(&mut self) {
            self.error.get_or_insert(error);
        }
        self
    }
}

/// TLS, with the feature `tls`.
#[cfg(feature = "tls")]
impl Configuration {
    /// Sets the oldest version of TLS that is spoken. 1.2 unless set.
    /// `tlsMinimumSupportedProtocolVersion`.
    pub fn tls_minimum_version(mut self, version: TlsVersion) -> Self {
        self.tls.minimum_version = version;
        self
    }

    /// The oldest version of TLS that is spoken.
    pub fn get_tls_minimum_version(&self) -> TlsVersion {
        self.tls.minimum_version
    }

    /// Sets the newest version of TLS that is spoken. 1.3 unless set.
    /// `tlsMaximumSupportedProtocolVersion`.
    pub fn tls_maximum_version(mut self, version: TlsVersion) -> Self {
        self.tls.maximum_version = version;
        self
    }

    /// The newest version of TLS that is spoken.
    pub fn get_tls_maximum_version(&self) -> TlsVersion {
        self.tls.maximum_version
    }

    /// Sets whom to trust, in place of Mozilla's roots: a `Vec` of certificates, or another of
    /// [`RootCertificates`].
    pub fn root_certificates(mut self, roots: impl Into<RootCertificates>) -> Self {
        self.tls.roots = roots.into();
        self
    }

    /// Whom to trust, besides the certificates that were added.
    pub fn get_root_certificates(&self) -> &RootCertificates {
        &self.tls.roots
    }

    /// Trusts a certificate too, such as a company's own root.
    pub fn add_root_certificate(mut self, certificate: Certificate) -> Self {
        self.tls.added_roots.push(certificate);
        self
    }

    /// The certificates that were added to the roots.
    pub fn get_added_root_certificates(&self) -> &[Certificate] {
        &self.tls.added_roots
    }

    /// Lets the operating system say which servers are to be trusted.
    #[cfg(feature = "platform-verifier")]
    pub fn use_platform_verifier(self) -> Self {
        self.root_certificates(RootCertificates::Platform)
    }

    /// Sets the certificate that is shown to servers that ask for one.
    pub fn client_identity(mut self, identity: Identity) -> Self {
        self.tls.client_identity = Some(identity);
        self
    }

    /// The certificate that is shown to servers that ask for one.
    pub fn get_client_identity(&self) -> Option<&Identity> {
        self.tls.client_identity.as_ref()
    }

    /// Sets whether any certificate of a server will do. Off unless set.
    ///
    /// With this, whoever is on the way can read and change everything. For a test server,
    /// [`add_root_certificate`](Configuration::add_root_certificate) is as easy.
    pub fn danger_accept_invalid_certificates(mut self, accept: bool) -> Self {
        self.tls.accept_invalid_certificates = accept;
        self
    }

    /// Whether any certificate of a server will do.
    pub fn get_danger_accept_invalid_certificates(&self) -> bool {
        self.tls.accept_invalid_certificates
    }

    /// Sets whose cryptography is used. [`CryptoProvider::Ring`] unless set. What the process has
    /// as rustls' default plays no part.
    pub fn crypto_provider(mut self, provider: CryptoProvider) -> Self {
        self.tls.crypto_provider = provider;
        self
    }

    /// Whose cryptography is used.
    pub fn get_crypto_provider(&self) -> CryptoProvider {
        self.tls.crypto_provider
    }
}

impl fmt::Debug for Configuration {
    /// Without what is secret in the headers, and the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Configuration");
        shown
            .field("kind", &self.kind)
            .field("timeout_for_request", &self.timeout_for_request)
            .field("timeout_for_resource", &self.timeout_for_resource)
            .field("connect_timeout", &self.connect_timeout)
            .field("additional_headers", &header::Shown(&self.additional_headers))
            .field("user_agent", &self.user_agent)
            .field("maximum_connections_per_host", &self.maximum_connections_per_host)
            .field("maximum_idle_connections_per_host", &self.get_maximum_idle_connections_per_host())
            .field("idle_connection_timeout", &self.idle_connection_timeout)
            .field("maximum_workers", &self.maximum_workers)
            .field("redirect_limit", &self.redirect_limit)
            .field("strip_authorization_on_redirect", &self.strip_authorization_on_redirect)
            .field("allow_insecure_redirects", &self.allow_insecure_redirects)
            .field("automatic_decoding", &self.automatic_decoding)
            .field("retry", &self.retry)
            .field("maximum_body_in_memory", &self.maximum_body_in_memory)
            .field("maximum_header_bytes", &self.maximum_header_bytes)
            .field("maximum_headers", &self.maximum_headers)
            .field("cache_policy", &self.cache_policy)
            .field("download_directory", &self.get_download_directory())
            .field("application", &self.application)
            .field("storage_directory", &self.storage_directory)
            .field("cache", &self.cache)
            .field("cookie_storage", &self.cookie_storage)
            .field("cookie_accept_policy", &self.cookie_accept_policy)
            .field("set_cookies", &self.set_cookies)
            .field("transport_security", &self.transport_security)
            .field("resolver", &self.resolver)
            .field("protocols", &self.protocols.len())
            .field("authentication_schemes", &self.authentication_schemes.len())
            .field("credential_storage", &self.credential_storage)
            .field("netrc", &self.netrc);
        #[cfg(feature = "tls")]
        shown.field("tls", &self.tls);
        shown.field("error", &self.error).finish()
    }
}

/// Headers that are the business of the connection or of one request: those that Apple
/// reserves, and Transfer-Encoding, which frames bodies as Content-Length does.
fn not_reserved(name: &HeaderName) -> Result<()> {
    const RESERVED: [HeaderName; 8] = [
        names::AUTHORIZATION,
        names::CONNECTION,
        names::CONTENT_LENGTH,
        names::HOST,
        names::PROXY_AUTHENTICATE,
        names::PROXY_AUTHORIZATION,
        names::TRANSFER_ENCODING,
        names::WWW_AUTHENTICATE,
    ];
    if RESERVED.contains(name) {
        let message =
            format!("header `{name}` is reserved and cannot be an additional header of a configuration");
        return Err(Error::new(ErrorKind::BadUrl, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_headers_are_refused() {
        for name in ["Authorization", "connection", "HOST", "content-length", "transfer-encoding"] {
            let error = Configuration::default().additional_header(name, "x").check().expect_err(name);
            assert!(error.to_string().contains(&format!("`{}`", name.to_lowercase())), "{error}");
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_bytes(name.as_bytes()).expect("a name"), HeaderValue::from(1));
            assert!(Configuration::default().additional_headers(headers).check().is_err());
        }
        assert!(Configuration::default().additional_header("a", "\r\nb: c").check().is_err());
        assert!(Configuration::default().user_agent("a\nb").check().is_err());
        assert!(Configuration::default().additional_header("accept", "x").check().is_ok());
    }

    #[test]
    fn a_clone_is_independent() {
        let first = Configuration::default().additional_header("a", "1");
        let second = first.clone().additional_header("a", "2").redirect_limit(1);
        assert_eq!(first.get_additional_headers()["a"], "1");
        assert_eq!(second.get_additional_headers()["a"], "2");
        assert_eq!(first.get_redirect_limit(), 20);
    }

    #[test]
    fn limits_stay_in_their_range() {
        let configuration = Configuration::ephemeral()
            .maximum_connections_per_host(0)
            .maximum_workers(0)
            .maximum_header_bytes(0)
            .maximum_headers(usize::MAX);
        assert!(configuration.is_ephemeral());
        assert_eq!(configuration.get_maximum_connections_per_host(), 1);
        assert_eq!(configuration.get_maximum_idle_connections_per_host(), 1);
        assert_eq!(configuration.get_maximum_workers(), 1);
        assert_eq!(configuration.get_maximum_header_bytes(), 1024);
        assert_eq!(configuration.get_maximum_headers(), 10_000);
    }

    #[test]
    fn the_user_agent_can_be_left_out() {
        let default = Configuration::default();
        let name = concat!("urlsession/", env!("CARGO_PKG_VERSION"));
        assert_eq!(default.get_user_agent().and_then(|value| value.to_str().ok()), Some(name));
        assert_eq!(default.user_agent("").get_user_agent(), None);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn versions_in_the_wrong_order_are_an_error() {
        let configuration = Configuration::default()
            .tls_minimum_version(TlsVersion::Tls13)
            .tls_maximum_version(TlsVersion::Tls12);
        let error = configuration.check().expect_err("none is left");
        assert_eq!(error.kind(), ErrorKind::SecureConnectionFailed);
    }
}
