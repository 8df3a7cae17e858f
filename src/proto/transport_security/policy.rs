//! What a program allows: the public [`TransportSecurity`], and the rule that is made of it.

use super::host::{and_above, is_local, without_root};
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::header::quoted;
#[cfg(feature = "tls")]
use crate::tls::TlsVersion;
use std::net::Ipv6Addr;
use url::{Host, Url};

/// How secure the connections of a session have to be: App Transport Security, `NSAppTransportSecurity`.
///
/// As long as nothing else is said, a URL of scheme `http` is loaded only if its host is near: this machine,
/// addresses that are link-local or private, `.local`, `.internal` and `home.arpa`, and names of a single
/// label. Anything else is
/// [`AppTransportSecurityRequiresSecureConnection`](ErrorKind::AppTransportSecurityRequiresSecureConnection),
/// before a byte is sent and before the name is resolved; that a public name leads to a private address makes
/// no difference. Cleartext can be allowed
///
/// - for a host: [`exception`](TransportSecurity::exception) with [`DomainException::allow_cleartext`];
/// - for a session: [`allow_cleartext`](TransportSecurity::allow_cleartext);
/// - for a request: [`Request::allow_cleartext`](crate::Request::allow_cleartext).
///
/// A redirect from https to http is more than that, since somebody relied on https: it is followed if the new
/// host has an exception, or the request allows cleartext. To follow them all is what
/// [`Configuration::allow_insecure_redirects`](crate::Configuration::allow_insecure_redirects) is for.
///
/// What is loaded by a [`Protocol`](crate::Protocol) of the program's own does not go over the network, and is
/// not looked at.
///
/// ```
/// use urlsession::{Configuration, DomainException, ErrorKind, Session, TransportSecurity};
///
/// let session = Session::new(Configuration::ephemeral());
/// let error = session.data_task("http://example.com/").wait().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::AppTransportSecurityRequiresSecureConnection);
///
/// let old = DomainException::new("old.example.com").include_subdomains(true).allow_cleartext(true);
/// let configuration = Configuration::default().transport_security(TransportSecurity::new().exception(old));
/// assert!(configuration.check().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct TransportSecurity {
    allow_cleartext: bool,
    exceptions: Vec<DomainException>,
}

/// What is otherwise for a domain. `NSExceptionDomains`.
///
/// Of several that cover a host the one counts whose domain is the longest, and no other. What it does not say is
/// as it is without it.
///
/// ```
/// # use urlsession::{DomainException, TransportSecurity, Url};
/// let policy = TransportSecurity::new()
///     .exception(DomainException::new("example.com").include_subdomains(true).allow_cleartext(true))
///     .exception(DomainException::new("www.example.com"));
/// assert!(policy.allows(&Url::parse("http://news.example.com/")?));
/// assert!(!policy.allows(&Url::parse("http://www.example.com/")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct DomainException {
    /// What was given, if it is no host.
    host: std::result::Result<Host, String>,
    include_subdomains: bool,
    allow_cleartext: bool,
    requires_forward_secrecy: bool,
    #[cfg(feature = "tls")]
    minimum_tls_version: Option<TlsVersion>,
}

/// What counts for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostPolicy {
    /// Cleartext is allowed by an exception.
    pub(crate) allow_cleartext: bool,
    /// Only suites with forward secrecy.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(crate) requires_forward_secrecy: bool,
    /// In place of the configuration's.
    #[cfg(feature = "tls")]
    pub(crate) minimum_tls_version: Option<TlsVersion>,
}

impl TransportSecurity {
    /// The policy that is there without one.
    pub const fn new() -> Self {
        TransportSecurity { allow_cleartext: false, exceptions: Vec::new() }
    }

    /// Sets whether cleartext may be sent to any host. Off unless set. `NSAllowsArbitraryLoads`. It says
    /// nothing of redirects from https.
    pub fn allow_cleartext(mut self, allow: bool) -> Self {
        self.allow_cleartext = allow;
        self
    }

    /// Whether cleartext may be sent to any host.
    pub fn get_allow_cleartext(&self) -> bool {
        self.allow_cleartext
    }

    /// Adds an exception, in place of one for the same domain.
    pub fn exception(mut self, exception: DomainException) -> Self {
        self.exceptions.retain(|known| known.host != exception.host);
        self.exceptions.push(exception);
        self
    }

    /// The exceptions.
    pub fn get_exceptions(&self) -> &[DomainException] {
        &self.exceptions
    }

    /// Whether a program may load that URL as far as this policy goes: it is not `http:`, its host is near, or
    /// cleartext is allowed. Redirects from https to it are another question.
    pub fn allows(&self, url: &Url) -> bool {
        Allowed { policy: self, insecure_redirects: false, request: false }.check(url, Way::Asked).is_ok()
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// [`ErrorKind::BadUrl`] for the domain of an exception that is none.
    pub(crate) fn check(&self) -> Result<()> {
        match self.exceptions.iter().find_map(|exception| exception.host.as_ref().err()) {
            Some(given) => Err(Error::new(
                ErrorKind::BadUrl,
                format!(
                    "{} is not a domain for an exception of the transport security: give the name of a host, as \
                     `example.com`, or an address, without scheme, port, path and wildcards",
                    quoted(given)
                ),
            )),
            None => Ok(()),
        }
    }

    /// What counts for a host.
    pub(crate) fn policy_for(&self, host: &Host<&str>) -> HostPolicy {
        match self.exception_for(host) {
            Some(exception) => HostPolicy {
                allow_cleartext: exception.allow_cleartext,
                requires_forward_secrecy: exception.requires_forward_secrecy,
                #[cfg(feature = "tls")]
                minimum_tls_version: exception.minimum_tls_version,
            },
            None => HostPolicy {
                allow_cleartext: false,
                requires_forward_secrecy: true,
                #[cfg(feature = "tls")]
                minimum_tls_version: None,
            },
        }
    }

    fn exception_for(&self, host: &Host<&str>) -> Option<&DomainException> {
        if self.exceptions.is_empty() {
            return None;
        }
        let of = |wanted: &Host<&str>, is_above: bool| {
            self.exceptions.iter().find(|exception| {
                let same = exception.host.as_ref().is_ok_and(|host| borrowed(host) == *wanted);
                same && (!is_above || exception.include_subdomains)
            })
        };
        match host {
            Host::Domain(name) => {
                and_above(name).enumerate().find_map(|(number, name)| of(&Host::Domain(name), number > 0))
            }
            address => of(address, false),
        }
    }
}

impl DomainException {
    /// An exception for a host: a name, or an address. One for a malformed name is an error of the configuration.
    pub fn new(domain: impl AsRef<str>) -> Self {
        DomainException {
            host: parse(domain.as_ref()).ok_or_else(|| domain.as_ref().to_owned()),
            include_subdomains: false,
            allow_cleartext: false,
            requires_forward_secrecy: true,
            #[cfg(feature = "tls")]
            minimum_tls_version: None,
        }
    }

    /// The domain, in the form that it has in URLs, or as it was given if it is malformed.
    pub fn get_domain(&self) -> String {
        match &self.host {
            Ok(host) => host.to_string(),
            Err(given) => given.clone(),
        }
    }

    /// Sets whether the names below the domain are meant too. Off unless set. `NSIncludesSubdomains`.
    pub fn include_subdomains(mut self, include: bool) -> Self {
        self.include_subdomains = include;
        self
    }

    /// Whether the names below the domain are meant too.
    pub fn get_include_subdomains(&self) -> bool {
        self.include_subdomains
    }

    /// Sets whether cleartext may be sent to the domain, and redirects from https may lead there. Off unless
    /// set. `NSExceptionAllowsInsecureHTTPLoads`.
    pub fn allow_cleartext(mut self, allow: bool) -> Self {
        self.allow_cleartext = allow;
        self
    }

    /// Whether cleartext may be sent to the domain.
    pub fn get_allow_cleartext(&self) -> bool {
        self.allow_cleartext
    }

    /// Sets the oldest version of TLS that is spoken with the domain, in place of
    /// [`Configuration::tls_minimum_version`](crate::Configuration::tls_minimum_version).
    /// `NSExceptionMinimumTLSVersion`.
    #[cfg(feature = "tls")]
    pub fn minimum_tls_version(mut self, version: TlsVersion) -> Self {
        self.minimum_tls_version = Some(version);
        self
    }

    /// The oldest version of TLS that is spoken with the domain, if it is another one.
    #[cfg(feature = "tls")]
    pub fn get_minimum_tls_version(&self) -> Option<TlsVersion> {
        self.minimum_tls_version
    }

    /// Sets whether a connection has to have forward secrecy. On unless set.
    /// `NSExceptionRequiresForwardSecrecy`. All that is spoken here has it, so turning it off opens nothing.
    pub fn requires_forward_secrecy(mut self, require: bool) -> Self {
        self.requires_forward_secrecy = require;
        self
    }

    /// Whether a connection has to have forward secrecy.
    pub fn get_requires_forward_secrecy(&self) -> bool {
        self.requires_forward_secrecy
    }
}

/// How a task comes to a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The program named it.
    Asked,
    /// A redirect led to it.
    Redirected,
}

/// All that was said about cleartext.
#[derive(Clone, Copy)]
pub(crate) struct Allowed<'a> {
    pub(crate) policy: &'a TransportSecurity,
    /// The session follows redirects from https to http.
    pub(crate) insecure_redirects: bool,
    /// The request may go out in cleartext.
    pub(crate) request: bool,
}

impl Allowed<'_> {
    /// Whether a URL may be loaded over the network.
    pub(crate) fn check(&self, url: &Url, way: Way) -> Result<()> {
        let Some(host) = url.host().filter(|_| is_cleartext(url)) else { return Ok(()) };
        if self.request
            || self.policy.allow_cleartext
            || (self.insecure_redirects && way == Way::Redirected)
            || is_local(&host)
            || self.policy.policy_for(&host).allow_cleartext
        {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::AppTransportSecurityRequiresSecureConnection,
            format!(
                "loading {}: cleartext to a public host is not allowed. Use https, or allow it for the host \
                 (TransportSecurity::exception with DomainException::allow_cleartext), for the session \
                 (TransportSecurity::allow_cleartext) or for the request (Request::allow_cleartext)",
                redacted(url)
            ),
        ))
    }

    /// Whether a redirect may lead there, as far as that depends on where it comes from.
    pub(crate) fn check_redirect(&self, from: &Url, to: &Url) -> Result<()> {
        let is_excepted = || {
            let host = to.host().filter(|_| is_cleartext(to));
            host.is_some_and(|host| self.request || self.policy.policy_for(&host).allow_cleartext)
        };
        if !is_downgrade(from, to) || self.insecure_redirects || is_excepted() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::AppTransportSecurityRequiresSecureConnection,
            format!(
                "{} redirects to {}, and from https to http is not allowed unless there is an exception for the host \
                 (DomainException::allow_cleartext), or the request (Request::allow_cleartext) or the session \
                 (Configuration::allow_insecure_redirects) allows it",
                redacted(from),
                redacted(to)
            ),
        ))
    }
}

/// Whether a redirect leads from https to something else.
pub(crate) fn is_downgrade(from: &Url, to: &Url) -> bool {
    from.scheme() == "https" && to.scheme() != "https"
}

fn is_cleartext(url: &Url) -> bool {
    url.scheme() == "http"
}

/// A host as it is in a URL.
fn parse(domain: &str) -> Option<Host> {
    // Addresses of IPv6 are in brackets in URLs, and nowhere else.
    if let Ok(address) = domain.parse::<Ipv6Addr>() {
        return Some(Host::Ipv6(address));
    }
    match Host::parse(without_root(domain)).ok()? {
        Host::Domain(name) if name.is_empty() || name.contains('*') || name.starts_with('.') => None,
        host => Some(host),
    }
}

fn borrowed(host: &Host) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(address) => Host::Ipv4(*address),
        Host::Ipv6(address) => Host::Ipv6(*address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind::AppTransportSecurityRequiresSecureConnection as Insecure;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn cleartext(domain: &str) -> DomainException {
        DomainException::new(domain).allow_cleartext(true)
    }

    #[test]
    fn the_rule_is_the_table() {
        let strict = TransportSecurity::new();
        let open = TransportSecurity::new().allow_cleartext(true);
        let excepted = TransportSecurity::new().exception(cleartext("example.com"));
        // Asked, from http, from https.
        let outcome = |policy, insecure_redirects, request, to: &str| {
            let allowed = Allowed { policy, insecure_redirects, request };
            let redirected = |from: &str| {
                let passes = allowed.check_redirect(&url(from), &url(to)).is_ok();
                passes && allowed.check(&url(to), Way::Redirected).is_ok()
            };
            let asked = allowed.check(&url(to), Way::Asked).is_ok();
            [asked, redirected("http://from.example/"), redirected("https://from.example/")]
        };
        let public = "http://example.com/";
        assert_eq!(outcome(&strict, false, false, public), [false, false, false]);
        assert_eq!(outcome(&strict, false, false, "http://localhost/"), [true, true, false]);
        assert_eq!(outcome(&excepted, false, false, public), [true, true, true]);
        assert_eq!(outcome(&strict, false, true, public), [true, true, true]);
        assert_eq!(outcome(&open, false, false, public), [true, true, false]);
        assert_eq!(outcome(&strict, true, false, public), [false, true, true]);
        assert_eq!(outcome(&strict, false, false, "https://example.com/"), [true, true, true]);
        // Nobody says of a scheme of the program's own that it is secure.
        assert_eq!(outcome(&open, false, true, "own://example.com/"), [true, true, false]);
    }

    #[test]
    fn messages_name_what_to_do_and_no_secret() {
        let policy = TransportSecurity::new();
        let allowed = Allowed { policy: &policy, insecure_redirects: false, request: false };
        let error = allowed.check(&url("http://u:secret@example.com/?secret"), Way::Asked).unwrap_err();
        assert_eq!(error.kind(), Insecure);
        for part in ["http://example.com/", "DomainException::", "TransportSecurity::", "Request::"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let from = url("https://u:secret@example.com/?secret");
        let redirect = allowed.check_redirect(&from, &url("http://u:secret@localhost/?secret")).unwrap_err();
        assert_eq!(redirect.kind(), Insecure);
        assert!(!format!("{error}{redirect}").contains("secret"));
    }

    #[test]
    fn the_longest_domain_counts() {
        let policy = TransportSecurity::new()
            .exception(cleartext("example.com").include_subdomains(true))
            .exception(DomainException::new("a.example.com").include_subdomains(true))
            .exception(cleartext("exact.test"))
            .exception(cleartext("8.8.8.8"))
            .exception(cleartext("2001:db8::1"))
            .exception(cleartext("BÜCHER.example."));
        for (host, expected) in [
            ("example.com", true),
            ("example.com.", true),
            ("b.example.com", true),
            ("c.b.example.com", true),
            ("a.example.com", false),
            ("b.a.example.com", false),
            ("notexample.com", false),
            ("com", true),
            ("exact.test", true),
            ("sub.exact.test", false),
            ("8.8.8.8", true),
            ("8.8.4.4", false),
            ("[2001:db8::1]", true),
            ("[2001:db8::2]", false),
            ("xn--bcher-kva.example", true),
        ] {
            assert_eq!(policy.allows(&url(&format!("http://{host}/"))), expected, "{host}");
        }
        // The last one that was said of a domain.
        let policy = policy.exception(DomainException::new("exact.test."));
        assert!(!policy.allows(&url("http://exact.test/")));
        assert_eq!(policy.get_exceptions().len(), 6);
    }

    #[test]
    fn what_is_no_domain_is_an_error() {
        for domain in
            ["", ".", "*.example.com", ".example.com", "http://example.com", "example.com/x", "a b", "h:80"]
        {
            let error = TransportSecurity::new().exception(DomainException::new(domain)).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadUrl, "{domain}");
        }
        assert_eq!(DomainException::new("EXAMPLE.com.").get_domain(), "example.com");
        assert_eq!(DomainException::new("::1").get_domain(), "[::1]");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn what_counts_for_tls() {
        let newest = DomainException::new("example.com").minimum_tls_version(TlsVersion::Tls13);
        let policy = TransportSecurity::new().exception(newest.requires_forward_secrecy(false));
        let of = |host| policy.policy_for(&Host::Domain(host));
        assert_eq!(of("example.com").minimum_tls_version, Some(TlsVersion::Tls13));
        assert!(!of("example.com").requires_forward_secrecy);
        assert_eq!(of("www.example.com").minimum_tls_version, None);
        assert!(of("www.example.com").requires_forward_secrecy);
    }
}
