//! A cookie as the program sees it: a plain value with what RFC 6265bis keeps of one (section 5.7). Whether
//! a server may set it, and which requests it goes with, is in `proto::cookie`.

mod builder;

use crate::error::Result;
use crate::proto::cookie::received;
use crate::proto::public_suffix::PublicSuffixes;
pub use builder::CookieBuilder;
pub(crate) use builder::{check, is_control};
use http::header::{HeaderMap, HeaderValue};
use std::fmt;
use std::time::SystemTime;
use url::Url;

/// The longest name and value together, in bytes (RFC 6265bis, section 5.7).
pub(crate) const LONGEST_PAIR: usize = 4096;
/// The longest value of an attribute, in bytes (section 5.6).
pub(crate) const LONGEST_ATTRIBUTE: usize = 1024;

/// A cookie: a name and a value that a server has sent, or the program made up, and where they go.
/// `HTTPCookie`.
///
/// `Debug` does not show the value, which may be as good as a password.
///
/// ```
/// use urlsession::{Cookie, SameSite, Url, http::HeaderMap};
///
/// let cookie = Cookie::builder("theme", "dark").domain("example.com").secure(true).build()?;
/// assert!(cookie.is_session_only() && !cookie.is_host_only());
///
/// // What a response sets.
/// let mut headers = HeaderMap::new();
/// headers.append("set-cookie", "id=1234; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax".parse()?);
/// let url = Url::parse("https://www.example.com/login")?;
/// let cookies = Cookie::parse_set_cookie(&headers, &url);
/// assert_eq!((cookies[0].name(), cookies[0].value()), ("id", "1234"));
/// assert_eq!((cookies[0].domain(), cookies[0].path()), ("www.example.com", "/"));
/// assert_eq!(cookies[0].same_site(), Some(SameSite::Lax));
/// assert!(!format!("{:?}", cookies[0]).contains("1234"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) domain: String,
    pub(crate) path: String,
    pub(crate) expires: Option<SystemTime>,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) flags: Flags,
}

/// What is so of a cookie, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) host_only: bool,
    /// Name and value came in ISO-8859-1, and go back in it: a cookie is bytes, and those that are no UTF-8
    /// are not to be changed by us.
    pub(crate) latin1: bool,
}

/// Whether a cookie goes with requests that another site has caused. `HTTPCookieStringPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SameSite {
    /// With all requests. Such a cookie is [secure](Cookie::is_secure).
    None,
    /// With those of the same site, and when a user goes there from another one.
    Lax,
    /// With those of the same site only.
    Strict,
}

impl Cookie {
    /// Makes a cookie of the program's own.
    pub fn builder(name: impl Into<String>, value: impl Into<String>) -> CookieBuilder {
        CookieBuilder::new(name.into(), value.into())
    }

    /// A cookie for one host and all its paths, to the end of the session. The rest is said by the
    /// [builder](Cookie::builder).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadUrl`](crate::ErrorKind::BadUrl) for what is malformed.
    pub fn new(name: impl Into<String>, value: impl Into<String>, host: &str) -> Result<Cookie> {
        Cookie::builder(name, value).host(host).build()
    }

    /// The cookies that a response from a URL sets, as RFC 6265bis has them understood. What is malformed
    /// or may not be set from there is left out, and logged. An expired cookie is a word to remove it.
    /// `cookies(withResponseHeaderFields:for:)`.
    pub fn parse_set_cookie(headers: &HeaderMap, url: &Url) -> Vec<Cookie> {
        let suffixes = PublicSuffixes::built_in();
        received(headers, url, false, &suffixes, SystemTime::now()).collect()
    }

    /// The `Cookie` header that sends these cookies, in their order; `None` if there are none.
    /// `requestHeaderFields(with:)`.
    ///
    /// ```
    /// use urlsession::Cookie;
    ///
    /// let cookies = [Cookie::new("a", "1", "example.com")?, Cookie::new("b", "2", "example.com")?];
    /// assert_eq!(Cookie::to_header(&cookies).unwrap(), "a=1; b=2");
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    pub fn to_header<'a>(cookies: impl IntoIterator<Item = &'a Cookie>) -> Option<HeaderValue> {
        let mut line = Vec::new();
        cookies.into_iter().for_each(|cookie| cookie.push_to(&mut line));
        header_value(line)
    }

    /// The name, which may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The host, or the domain that it is for with all that is below, in lower case and the ASCII form of
    /// internationalised names. Other than `HTTPCookie`'s it begins with no dot in either case; see
    /// [`is_host_only`](Cookie::is_host_only).
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The path that it is for, with all that is below.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// When it ends; `None` for one that ends with the session. `expiresDate`.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Whether it goes over https only.
    pub fn is_secure(&self) -> bool {
        self.flags.secure
    }

    /// Whether it is not for scripts of a page. Nothing depends on that here.
    pub fn is_http_only(&self) -> bool {
        self.flags.http_only
    }

    /// Whether it goes with requests that other sites cause; `None` if the server did not say, which counts
    /// as [`SameSite::Lax`]. `sameSitePolicy`.
    pub fn same_site(&self) -> Option<SameSite> {
        self.same_site
    }

    /// Whether it has no date at which it ends.
    pub fn is_session_only(&self) -> bool {
        self.expires.is_none()
    }

    /// Whether it is for that very host, and not for those below it.
    pub fn is_host_only(&self) -> bool {
        self.flags.host_only
    }

    /// Whether it is past its end.
    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Adds it to the value of a `Cookie` header (RFC 6265bis, section 5.8.3).
    pub(crate) fn push_to(&self, line: &mut Vec<u8>) {
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        if !self.name.is_empty() {
            self.push_text(&self.name, line);
            line.push(b'=');
        }
        self.push_text(&self.value, line);
    }

    /// Adds its name or its value as it came.
    pub(crate) fn push_text(&self, text: &str, out: &mut Vec<u8>) {
        if self.flags.latin1 {
            // Each of these characters was a byte.
            out.extend(text.chars().filter_map(|character| u8::try_from(character).ok()));
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// A `Cookie` header, which is not printed.
pub(crate) fn header_value(line: Vec<u8>) -> Option<HeaderValue> {
    if line.is_empty() {
        return None;
    }
    let mut value = HeaderValue::from_maybe_shared(bytes::Bytes::from(line)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("value", &format_args!("({} bytes)", self.value.len()))
            .field("domain", &self.domain)
            .field("path", &self.path)
            .field("expires", &self.expires)
            .field("secure", &self.flags.secure)
            .field("http_only", &self.flags.http_only)
            .field("same_site", &self.same_site)
            .field("host_only", &self.flags.host_only)
            .finish()
    }
}
