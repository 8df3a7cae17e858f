//! What to make of a redirect: whether to follow it, where to, and what of the request goes along
//! (RFC 9110, sections 10.2.2 and 15.4; the URL rules are WHATWG's).
//!
//! Knows nothing of the number of hops, of cookies that a store adds, or of who is asked. What it
//! decides where the specifications leave room:
//!
//! - 300, 304, 305 and 306 are answers, not redirects. So is a redirect without `Location`, with
//!   an empty or unparsable one, or with several that differ.
//! - 301 and 302 turn POST into GET, 303 turns everything but HEAD into GET, all without the body.
//! - Whitespace around `Location` is dropped. Bytes that are not UTF-8 are percent-encoded as they
//!   are, so that the server gets back what it sent. A backslash is a slash.
//! - User name and password come from `Location` only: those of the URL that redirects stay behind.

use super::transport_security::policy::{Allowed, is_downgrade};
use crate::error::{Error, ErrorKind, Result, redacted};
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use std::borrow::Cow;
use std::fmt::Write;
use url::Url;

/// What was asked, as far as a redirect depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The method.
    pub(crate) method: &'a Method,
    /// Where it went: an http or https URL.
    pub(crate) url: &'a Url,
    /// The request's own headers.
    pub(crate) headers: &'a HeaderMap,
    /// Whether it had a body.
    pub(crate) has_body: bool,
}

/// What the session says about redirects.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Whether https may lead to http.
    pub(crate) allowed: Allowed<'a>,
    /// The secure URL in place of a cleartext one, if its host has asked for that (RFC 6797).
    pub(crate) upgraded: &'a dyn Fn(&Url) -> Option<Url>,
    /// Whether credentials are stripped even if the origin stays the same, as Apple does.
    pub(crate) strip_always: bool,
}

/// The request that a redirect leads to.
#[derive(Debug)]
pub(crate) struct NewRequest {
    /// The method.
    pub(crate) method: Method,
    /// An http or https URL. Its user name and password, if any, are from `Location`.
    pub(crate) url: Url,
    /// What may go along of the headers.
    pub(crate) headers: HeaderMap,
    /// Whether the body is to be sent again. If it cannot be, that is an error of the task.
    pub(crate) keep_body: bool,
}

/// What a response asks for.
#[derive(Debug)]
pub(crate) enum Redirect {
    /// Another request. Boxed, since most responses are not redirects.
    Follow(Box<NewRequest>),
    /// Nothing: it is the answer.
    Deliver,
}

/// Decides on a response by its status and headers.
///
/// Fails with `AppTransportSecurityRequiresSecureConnection` if it leads from https to http,
/// `UnsupportedUrl` if to another scheme, `RedirectToNonExistentLocation` if to a URL without host.
pub(crate) fn redirect(
    asked: &Asked<'_>,
    status: StatusCode,
    response: &HeaderMap,
    rules: Rules<'_>,
) -> Result<Redirect> {
    let Some((method, keep_body)) = rewritten(asked, status) else { return Ok(Redirect::Deliver) };
    let Some(url) = target(asked.url, response)? else { return Ok(Redirect::Deliver) };
    let url = (rules.upgraded)(&url).unwrap_or(url);
    rules.allowed.check_redirect(asked.url, &url)?;
    let headers = headers(asked, &url, &method, keep_body, rules);
    Ok(Redirect::Follow(Box::new(NewRequest { method, url, headers, keep_body })))
}

/// Where `Location` leads, if there is one that can be parsed, be it from https to http. Fails as [`redirect`]
/// does otherwise.
pub(crate) fn target(from: &Url, response: &HeaderMap) -> Result<Option<Url>> {
    let Some(location) = location(response) else { return Ok(None) };
    let Some(url) = resolve(from, &location)? else { return Ok(None) };
    check_scheme(from, &url)?;
    Ok(Some(url))
}

/// Whether scheme, host and port are the same.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// The method that goes on and whether the body does, if this status redirects.
fn rewritten(asked: &Asked<'_>, status: StatusCode) -> Option<(Method, bool)> {
    let kept = || (asked.method.clone(), asked.has_body);
    match status.as_u16() {
        301 | 302 if *asked.method == Method::POST => Some((Method::GET, false)),
        301 | 302 | 307 | 308 => Some(kept()),
        303 if *asked.method == Method::HEAD => Some((Method::HEAD, false)),
        303 => Some((Method::GET, false)),
        _ => None,
    }
}

/// The one value of `Location`. Two that differ may be a response that was split by what a user
/// put into it; following either is a guess.
fn location(response: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut values = response.get_all(header::LOCATION).iter().map(|value| value.as_bytes().trim_ascii());
    let location = values.next().filter(|location| !location.is_empty())?;
    if values.any(|other| other != location) {
        return None;
    }
    Some(match std::str::from_utf8(location) {
        Ok(location) => Cow::Borrowed(location),
        Err(_) => {
            let mut encoded = String::with_capacity(location.len() * 3);
            for &byte in location {
                if byte.is_ascii() {
                    encoded.push(char::from(byte));
                } else {
                    // Writing to a String does not fail.
                    let _ = write!(encoded, "%{byte:02X}");
                }
            }
            Cow::Owned(encoded)
        }
    })
}

fn resolve(from: &Url, location: &str) -> Result<Option<Url>> {
    // Resolving keeps the base's user name and password, which Location did not name.
    let mut base = from.clone();
    let stripped = base.set_username("").and_then(|()| base.set_password(None));
    let mut url = match base.join(location) {
        Ok(url) if stripped.is_ok() => url,
        Err(url::ParseError::EmptyHost) => {
            return Err(Error::new(
                ErrorKind::RedirectToNonExistentLocation,
                format!("{} redirects to a URL without host", redacted(from)),
            ));
        }
        _ => return Ok(None),
    };
    // RFC 9110, section 10.2.2: the fragment is inherited if there is no new one.
    if url.fragment().is_none() {
        url.set_fragment(from.fragment());
    }
    Ok(Some(url))
}

fn check_scheme(from: &Url, to: &Url) -> Result<()> {
    match to.scheme() {
        "http" | "https" => Ok(()),
        // A scheme of the program's own stays within itself.
        scheme if scheme == from.scheme() => Ok(()),
        // Not the whole of it: a `data:` or `javascript:` URL may be anything.
        scheme => {
            let scheme = scheme.get(..20).unwrap_or(scheme);
            let message = format!("{} redirects to \"{scheme}:…\", not to http or https", redacted(from));
            Err(Error::new(ErrorKind::UnsupportedUrl, message))
        }
    }
}

fn headers(asked: &Asked<'_>, url: &Url, method: &Method, keep_body: bool, rules: Rules<'_>) -> HeaderMap {
    let mut headers = asked.headers.clone();
    if method != asked.method || (asked.has_body && !keep_body) {
        remove_if(&mut headers, describes_body);
    }
    let same_origin = same_origin(asked.url, url);
    if !same_origin || rules.strip_always {
        for name in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE] {
            headers.remove(name);
        }
    }
    if !same_origin {
        headers.remove(header::HOST);
    }
    // RFC 9110, section 10.1.3.
    if is_downgrade(asked.url, url) {
        headers.remove(header::REFERER);
    }
    headers
}

/// Headers that are about a body: without it they would be wrong, or would announce one.
pub(crate) fn describes_body(name: &HeaderName) -> bool {
    name.as_str().starts_with("content-")
        || [header::TRANSFER_ENCODING, header::TRAILER, header::EXPECT].contains(name)
}

/// Removes all fields whose names fulfil a condition.
pub(crate) fn remove_if(headers: &mut HeaderMap, condition: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers.keys().filter(|name| condition(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::transport_security::policy::TransportSecurity;
    use http::HeaderValue;

    static POLICY: TransportSecurity = TransportSecurity::new();
    const STRICT: Rules<'static> = Rules {
        allowed: Allowed { policy: &POLICY, insecure_redirects: false, request: false },
        upgraded: &|_| None,
        strip_always: false,
    };

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        map
    }

    fn ask(
        method: &str,
        url: &str,
        status: u16,
        response: &[(&str, &str)],
        rules: Rules<'_>,
    ) -> Result<Redirect> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = Url::parse(url).expect("a URL");
        let sent = map(&[
            ("authorization", "Basic c2VjcmV0"),
            ("proxy-authorization", "Basic cHJveHk="),
            ("cookie", "a=b"),
            ("host", "by-hand"),
            ("referer", "https://h/secret"),
            ("content-type", "text/plain"),
            ("content-length", "3"),
            ("content-language", "en"),
            ("content-digest", "x"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("x-list", "1"),
            ("x-list", "2"),
        ]);
        let has_body = method != Method::GET && method != Method::HEAD;
        let asked = Asked { method: &method, url: &url, headers: &sent, has_body };
        redirect(&asked, StatusCode::from_u16(status).expect("a status"), &map(response), rules)
    }

    fn follow(method: &str, url: &str, status: u16, location: &str) -> NewRequest {
        match ask(method, url, status, &[("location", location)], STRICT) {
            Ok(Redirect::Follow(request)) => *request,
            other => panic!("{url} with {location:?}: {other:?}"),
        }
    }

    fn to(url: &str, location: &str) -> String {
        follow("GET", url, 302, location).url.into()
    }

    fn delivered(status: u16, response: &[(&str, &str)]) -> bool {
        matches!(ask("GET", "http://h/", status, response, STRICT), Ok(Redirect::Deliver))
    }

    fn refused(url: &str, location: &str) -> ErrorKind {
        let error = ask("GET", url, 302, &[("location", location)], STRICT).expect_err(location);
        assert!(!error.to_string().contains("secret"), "{error}");
        error.kind()
    }

    #[test]
    fn methods_and_bodies() {
        for (status, method, new, keep_body) in [
            (301, "GET", "GET", false),
            (301, "POST", "GET", false),
            (301, "PUT", "PUT", true),
            (301, "HEAD", "HEAD", false),
            (302, "POST", "GET", false),
            (302, "DELETE", "DELETE", true),
            (302, "post", "post", true),
            (303, "POST", "GET", false),
            (303, "PUT", "GET", false),
            (303, "DELETE", "GET", false),
            (303, "HEAD", "HEAD", false),
            (303, "GET", "GET", false),
            (307, "POST", "POST", true),
            (307, "GET", "GET", false),
            (308, "POST", "POST", true),
            (308, "PATCH", "PATCH", true),
        ] {
            let request = follow(method, "http://h/", status, "/new");
            assert_eq!(request.method.as_str(), new, "{status} {method}");
            assert_eq!(request.keep_body, keep_body, "{status} {method}");
            let kept = request.headers.contains_key("content-type");
            assert_eq!(kept, method == new, "{status} {method}");
        }
    }

    #[test]
    fn what_describes_a_dropped_body_goes_with_it() {
        let names = [
            "content-type",
            "content-length",
            "content-language",
            "content-digest",
            "transfer-encoding",
            "expect",
        ];
        let request = follow("POST", "http://h/", 302, "/new");
        assert!(names.iter().all(|name| !request.headers.contains_key(*name)));
        assert_eq!(request.headers.get_all("x-list").iter().collect::<Vec<_>>(), ["1", "2"]);
        let request = follow("POST", "http://h/", 307, "/new");
        assert!(names.iter().all(|name| request.headers.contains_key(*name)));
    }

    #[test]
    fn a_get_with_a_body_loses_it_by_303() {
        let url = Url::parse("http://h/").expect("a URL");
        let headers = map(&[("content-type", "text/plain")]);
        let asked = Asked { method: &Method::GET, url: &url, headers: &headers, has_body: true };
        let decide = |status| match redirect(&asked, status, &map(&[("location", "/")]), STRICT) {
            Ok(Redirect::Follow(request)) => (request.keep_body, request.headers.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!(decide(StatusCode::SEE_OTHER), (false, 0));
        assert_eq!(decide(StatusCode::FOUND), (true, 1));
    }

    #[test]
    fn what_is_not_a_redirect_is_delivered() {
        for status in [200, 201, 300, 304, 305, 306, 309, 399, 401, 500] {
            assert!(delivered(status, &[("location", "/new")]), "{status}");
        }
        for status in [301, 302, 303, 307, 308] {
            assert!(delivered(status, &[]), "{status}");
            assert!(!delivered(status, &[("location", "/new")]), "{status}");
        }
        for location in
            ["", " \t ", "http://h:99999/", "http://[::1/", "http://a b/", "//h:port/", "http://%00/"]
        {
            assert!(delivered(302, &[("location", location)]), "{location:?}");
        }
    }

    #[test]
    fn several_locations_must_agree() {
        assert!(!delivered(302, &[("location", "/a"), ("location", " /a ")]));
        assert!(delivered(302, &[("location", "/a"), ("location", "/b")]));
        assert!(delivered(302, &[("location", "/a"), ("location", "")]));
    }

    #[test]
    fn relative_references() {
        let base = "http://h:81/a/b/c?q";
        for (location, expected) in [
            ("/x", "http://h:81/x"),
            ("x", "http://h:81/a/b/x"),
            ("./x", "http://h:81/a/b/x"),
            ("../x", "http://h:81/a/x"),
            ("../../../x", "http://h:81/x"),
            ("?y", "http://h:81/a/b/c?y"),
            ("#z", "http://h:81/a/b/c?q#z"),
            ("//other/x", "http://other/x"),
            ("https://other", "https://other/"),
            ("HTTP://OTHER:80/", "http://other/"),
            (" \t/x ", "http://h:81/x"),
            ("/a b", "http://h:81/a%20b"),
            ("/é?é", "http://h:81/%C3%A9?%C3%A9"),
            ("/a\tb", "http://h:81/ab"),
            ("\\x", "http://h:81/x"),
            ("\\\\other\\x", "http://other/x"),
            ("http:\\\\other\\x", "http://other/x"),
            ("http:///other/x", "http://other/x"),
            ("/%zz", "http://h:81/%zz"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ] {
            assert_eq!(to(base, location), expected, "{location:?}");
        }
    }

    #[test]
    fn latin_1_goes_back_as_it_came() {
        let url = Url::parse("http://h/").expect("a URL");
        let none = HeaderMap::new();
        let asked = Asked { method: &Method::GET, url: &url, headers: &none, has_body: false };
        let mut response = HeaderMap::new();
        response.insert("location", HeaderValue::from_bytes(b"/caf\xe9?\xfc").expect("a value"));
        match redirect(&asked, StatusCode::FOUND, &response, STRICT) {
            Ok(Redirect::Follow(request)) => assert_eq!(request.url.as_str(), "http://h/caf%E9?%FC"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_fragment_is_inherited() {
        assert_eq!(to("http://h/a#old", "/b"), "http://h/b#old");
        assert_eq!(to("http://h/a#old", "/b#new"), "http://h/b#new");
        assert_eq!(to("http://h/a#old", "/b#"), "http://h/b#");
        assert_eq!(to("http://h/a#old", "http://other/"), "http://other/#old");
        assert_eq!(to("http://h/a", "/b"), "http://h/b");
    }

    #[test]
    fn userinfo_comes_from_location_only() {
        assert_eq!(to("http://user:secret@h/a", "/b"), "http://h/b");
        assert_eq!(to("http://user:secret@h/a", "?b"), "http://h/a?b");
        assert_eq!(to("http://user:secret@h/a", "//h/b"), "http://h/b");
        assert_eq!(to("http://user:secret@h/a", "http://other/"), "http://other/");
        assert_eq!(to("http://user:secret@h/a", "http://n:p@h/"), "http://n:p@h/");
    }

    #[test]
    fn credentials_stay_with_the_origin() {
        let has = |request: &NewRequest| {
            ["authorization", "proxy-authorization", "cookie", "host"]
                .map(|n| request.headers.contains_key(n))
        };
        for location in ["/b", "http://h:80/", "http://H/"] {
            assert_eq!(has(&follow("GET", "http://h/a", 302, location)), [true; 4], "{location}");
        }
        for location in [
            "http://other/",
            "//other",
            "\\\\other",
            "http://h:81/",
            "https://h/",
            "http://h./",
            "http://sub.h/",
            "http://h@other/",
            "http://other\\@h/",
        ] {
            assert_eq!(has(&follow("GET", "http://h/a", 302, location)), [false; 4], "{location}");
        }
        let rules = Rules { strip_always: true, ..STRICT };
        match ask("GET", "http://h/a", 302, &[("location", "/b")], rules) {
            Ok(Redirect::Follow(request)) => assert_eq!(has(&request), [false, false, false, true]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn https_leads_to_http_only_if_allowed() {
        use ErrorKind::AppTransportSecurityRequiresSecureConnection as Insecure;
        assert_eq!(refused("https://u:secret@h/?secret", "http://u:secret@h/?secret"), Insecure);
        assert_eq!(Insecure.code(), -1022);
        assert_eq!(to("https://h/", "//h/b"), "https://h/b");
        let rules = Rules { allowed: Allowed { insecure_redirects: true, ..STRICT.allowed }, ..STRICT };
        match ask("GET", "https://h/", 302, &[("location", "http://h/")], rules) {
            Ok(Redirect::Follow(request)) => {
                assert_eq!(request.url.as_str(), "http://h/");
                for name in ["authorization", "cookie", "referer"] {
                    assert!(!request.headers.contains_key(name), "{name}");
                }
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_asked_for_https_gets_it_before_anything_is_decided() {
        let upgraded = |url: &Url| {
            let mut secure = url.clone();
            secure.set_scheme("https").expect("a web URL");
            (url.host_str() == Some("asked")).then_some(secure)
        };
        let follow = |from: &str, location: &str| match ask(
            "GET",
            from,
            302,
            &[("location", location)],
            Rules { upgraded: &upgraded, ..STRICT },
        ) {
            Ok(Redirect::Follow(request)) => *request,
            other => panic!("{other:?}"),
        };
        assert_eq!(follow("https://h/", "http://asked/x").url.as_str(), "https://asked/x");
        let request = follow("https://asked/a", "http://asked/b");
        assert_eq!(request.url.as_str(), "https://asked/b");
        assert!(request.headers.contains_key("authorization"), "the origin is the same");
        assert!(!follow("http://asked/a", "http://asked/b").headers.contains_key("authorization"));
    }

    #[test]
    fn other_schemes_are_refused() {
        for location in [
            "file:///etc/passwd",
            "data:text/plain,secret",
            "javascript:secret()",
            "ftp://h/",
            "ws://h/",
            "x:y",
            "blob:http://h/",
            "about:blank",
            "h:80",
        ] {
            assert_eq!(refused("http://h/", location), ErrorKind::UnsupportedUrl, "{location}");
            assert_eq!(refused("https://h/", location), ErrorKind::UnsupportedUrl, "{location}");
        }
    }

    #[test]
    fn no_host_is_nowhere() {
        for location in ["http://", "https://", "http://:80/", "http://?secret", "http://u:secret@/"] {
            let kind = refused("https://h/", location);
            assert_eq!(kind, ErrorKind::RedirectToNonExistentLocation, "{location}");
        }
    }
}
