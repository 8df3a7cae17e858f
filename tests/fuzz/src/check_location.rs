use crate::error::ErrorKind;
use crate::http1::framing::Persistence;
use crate::http1::request::{BodyLength, TargetForm, encode_head};
use crate::proto::transport_security::policy::{Allowed, TransportSecurity};
use crate::redirect::{Asked, NewRequest, Redirect, Rules, redirect, same_origin};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

const STATUS: [u16; 8] = [301, 302, 303, 307, 308, 300, 304, 305];
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// A redirect leads to http or https or nowhere, takes no secrets to another origin, and what it
/// leads to is a request whose head is well-formed.
pub fn location(data: &[u8]) {
    // How it is asked, the first URL and `Location`, the two divided by a line's end.
    let Some((&how, rest)) = data.split_first() else { return };
    let (from, location) = match rest.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (&b"https://user:pass@example.com:8443/a/b?c#d"[..], rest),
    };
    let Ok(from) = std::str::from_utf8(from) else { return };
    let Ok(from) = Url::parse(from) else { return };
    if !matches!(from.scheme(), "http" | "https") {
        return;
    }
    let Ok(location) = HeaderValue::from_bytes(location) else { return };
    let mut response = HeaderMap::new();
    response.insert(header::LOCATION, location);
    let status = STATUS[usize::from(how & 7)];
    let policy = TransportSecurity::default();
    let allowed = Allowed { policy: &policy, insecure_redirects: how & 8 != 0, request: false };
    let rules = Rules { allowed, upgraded: &|_| None, strip_always: how & 16 != 0 };
    let method = if how & 32 != 0 { Method::POST } else { Method::GET };
    let mut headers = HeaderMap::new();
    for name in CREDENTIALS.into_iter().chain(["host", "content-type", "x-kept"]) {
        headers.insert(name, HeaderValue::from_static("secret"));
    }
    let asked = Asked { method: &method, url: &from, headers: &headers, has_body: how & 32 != 0 };
    let code = StatusCode::from_u16(status).expect("a status");
    match redirect(&asked, code, &response, rules) {
        Ok(Redirect::Follow(request)) => {
            assert!(![300, 304, 305].contains(&status));
            check(&asked, status, &request, rules);
        }
        Ok(Redirect::Deliver) => {}
        Err(error) => {
            use ErrorKind::*;
            assert!(matches!(
                error.kind(),
                UnsupportedUrl | RedirectToNonExistentLocation | AppTransportSecurityRequiresSecureConnection
            ));
            assert!(!error.to_string().contains(|c: char| c.is_control()));
        }
    }
}

fn check(asked: &Asked<'_>, status: u16, request: &NewRequest, rules: Rules<'_>) {
    let url = &request.url;
    assert!(matches!(url.scheme(), "http" | "https"));
    assert!(url.host_str().is_some_and(|host| !host.is_empty()));
    assert!(asked.url.scheme() == "http" || url.scheme() == "https" || rules.allowed.insecure_redirects);
    let has = |name: &str| request.headers.contains_key(name);
    // Told apart in another way than the code under test does.
    let same = asked.url.origin() == url.origin();
    assert_eq!(same, same_origin(asked.url, url));
    for name in CREDENTIALS {
        assert_eq!(has(name), same && !rules.strip_always, "{name}");
    }
    assert_eq!(has("host"), same);
    assert!(has("x-kept"));
    assert!(!request.keep_body || asked.has_body);
    assert_eq!(has("content-type"), request.method == *asked.method && request.keep_body == asked.has_body);
    assert!(request.keep_body == asked.has_body || [301, 302, 303].contains(&status));
    if url.fragment().is_none() {
        assert!(asked.url.fragment().is_none());
    }
    check_wire(request);
}

fn check_wire(request: &NewRequest) {
    let mut out = Vec::new();
    let NewRequest { method, url, .. } = request;
    for form in [TargetForm::Origin, TargetForm::Absolute] {
        out.clear();
        let none = HeaderMap::new();
        let persistence = encode_head(&mut out, method, url, &none, &[], BodyLength::Known(5), form);
        assert_eq!(persistence, Persistence::KeepAlive);
        let head = std::str::from_utf8(&out).expect("ASCII");
        let lines: Vec<_> = head.split("\r\n").collect();
        assert_eq!(lines.len(), 5, "{head:?}");
        assert_eq!(lines[0].split(' ').count(), 3, "{head:?}");
        assert!(!lines[0].contains('#') && !lines[1].contains('@'), "{head:?}");
        assert_eq!(head.matches(['\r', '\n']).count(), 8, "{head:?}");
        let mut parsed = [httparse::EMPTY_HEADER; 4];
        let mut again = httparse::Request::new(&mut parsed);
        assert!(again.parse(&out).is_ok_and(|status| status.is_complete()), "{head:?}");
    }
}
