//! Cookies of the program's own.

use super::{Cookie, Flags, LONGEST_ATTRIBUTE, LONGEST_PAIR, SameSite};
use crate::error::{Error, ErrorKind, Result};
use crate::header::quoted;
use crate::proto::cookie::{Refusal, check_prefix};
use std::time::{Duration, SystemTime};
use url::{Host, Url};

/// Makes a [`Cookie`] of its properties, see [`Cookie::builder`]. It has to be told the domain, the host, or
/// a URL; the path is `/` unless set.
///
/// ```
/// use std::time::Duration;
/// use urlsession::{Cookie, SameSite};
///
/// let cookie = Cookie::builder("id", "1234")
///     .host("example.com")
///     .path("/shop")
///     .max_age(Duration::from_secs(3600))
///     .secure(true)
///     .http_only(true)
///     .same_site(SameSite::Strict)
///     .build()?;
/// assert!(cookie.is_host_only() && !cookie.is_session_only());
///
/// let error = Cookie::builder("id", "a;b").host("example.com").build().unwrap_err();
/// assert!(error.to_string().contains("`;`"));
/// # Ok::<(), urlsession::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct CookieBuilder {
    name: String,
    value: String,
    /// And whether it is for that host alone.
    domain: Option<(String, bool)>,
    path: String,
    expires: Option<SystemTime>,
    same_site: Option<SameSite>,
    secure: bool,
    http_only: bool,
}

impl CookieBuilder {
    pub(super) fn new(name: String, value: String) -> Self {
        CookieBuilder {
            name,
            value,
            domain: None,
            path: "/".into(),
            expires: None,
            same_site: None,
            secure: false,
            http_only: false,
        }
    }

    /// Sets the domain, for which it is with all that is below. A dot at the beginning changes nothing.
    pub fn domain(mut self, domain: impl AsRef<str>) -> Self {
        let domain = domain.as_ref();
        self.domain = Some((domain.strip_prefix('.').unwrap_or(domain).to_owned(), false));
        self
    }

    /// Sets the host, for which it is alone: a name or an address.
    pub fn host(mut self, host: impl AsRef<str>) -> Self {
        self.domain = Some((host.as_ref().to_owned(), true));
        self
    }

    /// Sets the host to that of a URL, which also tells whether the cookie is secure. `originURL`.
    pub fn url(mut self, url: &Url) -> Self {
        self.secure |= url.scheme() == "https";
        self.host(url.host_str().unwrap_or_default())
    }

    /// Sets the path, for which it is with all that is below.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets when it ends. With the session unless set.
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Sets in what time from now it ends.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.expires = SystemTime::now().checked_add(age);
        self
    }

    /// Sets whether it goes over https only. Off unless set.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets whether it is not for scripts of a page. Off unless set.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Sets whether it goes with requests that other sites cause. As [`SameSite::Lax`] unless set.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// The cookie.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadUrl`] if domain and host are missing, if something is malformed or too long, or if
    /// the name promises what is not so (`__Host-` and `__Secure-`).
    pub fn build(self) -> Result<Cookie> {
        let (domain, host_only) = self.domain.ok_or_else(|| {
            malformed(&self.name, "has neither a domain nor a host; set one of them on the builder")
        })?;
        let domain = match Host::parse(&domain) {
            Ok(host) => host.to_string(),
            // An address of version 6 may come without brackets.
            Err(_) => match domain.parse() {
                Ok(address) => Host::<String>::Ipv6(address).to_string(),
                Err(_) => {
                    return Err(malformed(
                        &self.name,
                        &format!("is for {}, which is no host", quoted(&domain)),
                    ));
                }
            },
        };
        let cookie = Cookie {
            name: self.name,
            value: self.value,
            domain,
            path: self.path,
            expires: self.expires,
            same_site: self.same_site,
            flags: Flags { secure: self.secure, http_only: self.http_only, host_only, latin1: false },
        };
        match check(&cookie) {
            Some(wrong) => Err(malformed(&cookie.name, wrong)),
            None => Ok(cookie),
        }
    }
}

/// What is wrong with a cookie that no server has sent.
pub(crate) fn check(cookie: &Cookie) -> Option<&'static str> {
    let (name, value) = (&cookie.name, &cookie.value);
    let is_bad = |text: &str| text.bytes().any(|byte| byte == b';' || is_control(byte));
    let is_padded = |text: &str| text.trim_matches([' ', '\t']) != text;
    let wide = cookie.flags.latin1 && name.chars().chain(value.chars()).any(|character| character > '\u{ff}');
    if name.is_empty() && value.is_empty() {
        return Some("has neither a name nor a value");
    }
    if is_bad(name) || name.contains('=') || is_padded(name) {
        return Some("has `=`, `;`, a control character, or space at an end of its name");
    }
    if is_bad(value) || is_padded(value) || wide {
        return Some("has `;`, a control character, or space at an end of its value");
    }
    let bytes = |text: &str| if cookie.flags.latin1 { text.chars().count() } else { text.len() };
    if bytes(name) + bytes(value) > LONGEST_PAIR {
        return Some("is longer than 4,096 bytes, name and value together");
    }
    let path = &cookie.path;
    if !path.starts_with('/') || path.bytes().any(is_control) || path.len() > LONGEST_ATTRIBUTE {
        return Some("has a path that does not begin with `/`, has a control character, or is too long");
    }
    if cookie.domain.is_empty() || cookie.domain.len() > LONGEST_ATTRIBUTE || !is_host(&cookie.domain) {
        return Some("has a domain that is no host");
    }
    match check_prefix(cookie, cookie.path == "/") {
        Err(Refusal::SameSiteNone) => Some("is `SameSite=None` and not secure"),
        Err(_) => Some("has a name with a prefix (`__Secure-`, `__Host-`) that promises what is not so"),
        Ok(()) => None,
    }
}

/// Control characters that no cookie may have (RFC 6265bis, section 5.6): all but the tab.
pub(crate) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Whether it is what a host is in a URL.
fn is_host(domain: &str) -> bool {
    !domain.starts_with('.')
        && domain.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b'/')
}

fn malformed(name: &str, wrong: &str) -> Error {
    Error::new(ErrorKind::BadUrl, format!("the cookie {} {wrong}", quoted(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_cookie() {
        let builder = || Cookie::builder("a", "b").host("example.com");
        for (wrong, builder) in [
            ("neither a domain nor a host", Cookie::builder("a", "b")),
            ("no host", builder().host("a b")),
            ("no host", builder().domain("")),
            ("no host", builder().domain("..example.com")),
            ("neither a name nor a value", Cookie::builder("", "").host("h")),
            ("its name", Cookie::builder("a=b", "").host("h")),
            ("its name", Cookie::builder(" a", "").host("h")),
            ("its value", Cookie::builder("a", "b\r\nc").host("h")),
            ("its value", Cookie::builder("a", "b ").host("h")),
            ("4,096", Cookie::builder("a", "b".repeat(4096)).host("h")),
            ("path", builder().path("x")),
            ("path", builder().path("/x\n")),
            ("path", builder().path(format!("/{}", "x".repeat(1024)))),
            ("SameSite=None", builder().same_site(SameSite::None)),
            ("prefix", Cookie::builder("__secure-a", "b").host("h")),
            ("prefix", Cookie::builder("__Host-a", "b").domain("example.com").secure(true)),
            ("prefix", Cookie::builder("__Host-a", "b").host("h").secure(true).path("/x")),
        ] {
            let error = builder.build().expect_err(wrong);
            assert_eq!(error.kind(), ErrorKind::BadUrl);
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn hosts_in_their_form() {
        for (host, form) in [
            ("EXAMPLE.com", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("127.1", "127.0.0.1"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(Cookie::new("a", "b", host).expect(host).domain(), form);
        }
        let cookie = Cookie::builder("a", "b").domain(".Example.com").build().expect("a cookie");
        assert_eq!((cookie.domain(), cookie.is_host_only()), ("example.com", false));
        let url = Url::parse("https://user@example.com:444/x").expect("a URL");
        let cookie = Cookie::builder("a", "b").url(&url).build().expect("a cookie");
        assert!(cookie.is_host_only() && cookie.is_secure() && cookie.path() == "/");
    }
}
