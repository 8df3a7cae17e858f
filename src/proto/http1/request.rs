//! The head of a request as it goes over an HTTP/1.1 connection (RFC 9112, sections 3 and 6).
//!
//! Knows which headers are ours to set: the framing headers always, `Host` unless the user did.
//! Nothing of what a user supplies can end a line: `Method`, `HeaderName` and `HeaderValue` cannot
//! hold CR, LF or NUL, and what of a URL goes into the request line is percent-encoded again.

use super::framing::Persistence;
use super::has_element;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

/// How the receiver learns where the request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is no body.
    None,
    /// So many bytes.
    Known(u64),
    /// Only its end will tell: chunked transfer coding.
    Chunked,
}

/// How the request line names its target (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetForm {
    /// Path and query, to an origin server.
    Origin,
    /// The URL without user name, password and fragment, to a proxy.
    Absolute,
}

/// Appends a request's head to `out`.
///
/// `headers` are the request's own; `defaults` are sent where the request has no header of that
/// name. `Content-Length` and `Transfer-Encoding` of either are left out, because the framing is
/// what `body` says and two opinions on it are request smuggling; of several `Host` headers only
/// the first is sent (RFC 9112, section 3.2). Returns whether the connection may persist as far
/// as the request's `Connection` header is concerned.
pub(crate) fn encode_head(
    out: &mut Vec<u8>,
    method: &Method,
    url: &Url,
    headers: &HeaderMap,
    defaults: &[(HeaderName, HeaderValue)],
    body: BodyLength,
    form: TargetForm,
) -> Persistence {
    // Once, so that a usual head does not grow the buffer in steps.
    out.reserve(512);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    push_target(out, url, form);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let own_host = || defaults.iter().find(|(name, _)| name == HOST).map(|(_, value)| value);
    match headers.get(HOST).or_else(own_host) {
        Some(host) => out.extend_from_slice(host.as_bytes()),
        None => push_authority(out, url),
    }
    out.extend_from_slice(b"\r\n");

    let mut persistence = Persistence::KeepAlive;
    let mut push = |out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue| {
        if name == HOST || name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
            return;
        }
        if name == CONNECTION && has_element(value.as_bytes(), "close") {
            persistence = Persistence::Close;
        }
        push_header(out, name, value.as_bytes());
    };
    for (name, value) in defaults {
        if !headers.contains_key(name) {
            push(out, name, value);
        }
    }
    for (name, value) in headers {
        push(out, name, value);
    }
    push_framing(out, method, body);
    out.extend_from_slice(b"\r\n");
    persistence
}

fn push_target(out: &mut Vec<u8>, url: &Url, form: TargetForm) {
    if form == TargetForm::Absolute {
        out.extend_from_slice(url.scheme().as_bytes());
        out.extend_from_slice(b"://");
        push_authority(out, url);
    }
    if !url.path().starts_with('/') {
        out.push(b'/');
    }
    push_visible(out, url.path());
    if let Some(query) = url.query() {
        out.push(b'?');
        push_visible(out, query);
    }
}

/// Host and, unless it is the scheme's default, port (RFC 9110, section 7.2). An IPv6 address
/// keeps its brackets; user name and password never come along.
fn push_authority(out: &mut Vec<u8>, url: &Url) {
    push_visible(out, url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        out.push(b':');
        push_decimal(out, port.into());
    }
}

/// `Url` percent-encodes these parts for the schemes of HTTP, but not the opaque paths of others:
/// a space or a control character in the request line must not hang on who calls this.
fn push_visible(out: &mut Vec<u8>, part: &str) {
    if part.bytes().all(|byte| byte.is_ascii_graphic()) {
        out.extend_from_slice(part.as_bytes());
        return;
    }
    for byte in part.bytes() {
        if byte.is_ascii_graphic() {
            out.push(byte);
        } else {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' - 10 + nibble };
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Title-Case, since some servers still compare the names they know with their case.
fn push_header(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(name.as_str().as_bytes());
    let mut first = true;
    for byte in out.iter_mut().skip(start) {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// RFC 9110, section 8.6: a length of zero is said only where a body is expected.
fn push_framing(out: &mut Vec<u8>, method: &Method, body: BodyLength) {
    let length = match body {
        BodyLength::Chunked => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            return;
        }
        BodyLength::Known(length) => length,
        BodyLength::None => 0,
    };
    if length > 0 || [Method::POST, Method::PUT, Method::PATCH].contains(method) {
        out.extend_from_slice(b"Content-Length: ");
        push_decimal(out, length);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let start = out.len();
    let mut rest = number;
    loop {
        // Less than ten, so it fits.
        out.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(method: &str, url: &str, headers: &[(&str, &str)], body: BodyLength) -> (String, Persistence) {
        encode_with(method, url, headers, &[], body, TargetForm::Origin)
    }

    fn encode_with(
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        defaults: &[(&str, &str)],
        body: BodyLength,
        form: TargetForm,
    ) -> (String, Persistence) {
        let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).expect("a name");
        let value = |value: &str| HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        let mut map = HeaderMap::new();
        for (n, v) in headers {
            map.append(name(n), value(v));
        }
        let defaults: Vec<_> = defaults.iter().map(|(n, v)| (name(n), value(v))).collect();
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut out = Vec::new();
        let url = Url::parse(url).expect("a URL");
        let persistence = encode_head(&mut out, &method, &url, &map, &defaults, body, form);
        (String::from_utf8_lossy(&out).into_owned(), persistence)
    }

    fn get(url: &str) -> String {
        encode("GET", url, &[], BodyLength::None).0
    }

    #[test]
    fn a_plain_get() {
        let (head, persistence) = encode("GET", "http://example.com/a/b?c=d", &[], BodyLength::None);
        assert_eq!(head, "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\n\r\n");
        assert_eq!(persistence, Persistence::KeepAlive);
    }

    #[test]
    fn an_empty_path_is_a_slash_and_a_fragment_stays_home() {
        assert!(get("http://example.com").starts_with("GET / HTTP/1.1\r\n"));
        assert!(get("http://example.com?q").starts_with("GET /?q HTTP/1.1\r\n"));
        assert!(get("http://example.com/#top").starts_with("GET / HTTP/1.1\r\n"));
        assert!(get("http://example.com/?#top").starts_with("GET /? HTTP/1.1\r\n"));
    }

    #[test]
    fn host_has_port_only_if_not_the_default_and_never_userinfo() {
        assert!(get("http://example.com:80/").contains("\r\nHost: example.com\r\n"));
        assert!(get("https://example.com:443/").contains("\r\nHost: example.com\r\n"));
        assert!(get("https://example.com:80/").contains("\r\nHost: example.com:80\r\n"));
        assert!(get("http://[2001:db8::1]:8080/").contains("\r\nHost: [2001:db8::1]:8080\r\n"));
        assert!(get("http://[::1]/").contains("\r\nHost: [::1]\r\n"));
        let head = get("http://user:secret@example.com/");
        assert!(!head.contains("user") && !head.contains("secret") && !head.contains('@'));
    }

    #[test]
    fn a_host_set_by_hand_wins_and_stays_first_and_alone() {
        let headers = [("x-a", "1"), ("host", "other.example"), ("host", "third.example")];
        let (head, _) = encode("GET", "http://example.com/", &headers, BodyLength::None);
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: other.example\r\nX-A: 1\r\n\r\n");
        let defaults = [("host", "session.example")];
        let (head, _) =
            encode_with("GET", "http://example.com/", &[], &defaults, BodyLength::None, TargetForm::Origin);
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: session.example\r\n\r\n");
    }

    #[test]
    fn names_are_in_title_case_and_values_untouched() {
        let headers =
            [("x-api-KEY", "a B"), ("accept", "*/*"), ("x--y-", "é"), ("x-list", "1"), ("x-list", "2")];
        let (head, _) = encode("GET", "http://h/", &headers, BodyLength::None);
        for line in
            ["X-Api-Key: a B\r\n", "Accept: */*\r\n", "X--Y-: é\r\n", "X-List: 1\r\n", "X-List: 2\r\n"]
        {
            assert!(head.contains(line), "{line:?} in {head:?}");
        }
    }

    #[test]
    fn the_requests_own_headers_beat_defaults() {
        let defaults = [("user-agent", "us/1"), ("accept", "*/*")];
        let (head, _) = encode_with(
            "GET",
            "http://h/",
            &[("user-agent", "mine")],
            &defaults,
            BodyLength::None,
            TargetForm::Origin,
        );
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nUser-Agent: mine\r\n\r\n");
    }

    #[test]
    fn the_framing_is_ours() {
        let smuggled = [("content-length", "3"), ("transfer-encoding", "chunked"), ("x", "y")];
        let (head, _) = encode("POST", "http://h/", &smuggled, BodyLength::Known(12));
        assert_eq!(head, "POST / HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 12\r\n\r\n");
        let (head, _) = encode("POST", "http://h/", &smuggled, BodyLength::Chunked);
        assert_eq!(head, "POST / HTTP/1.1\r\nHost: h\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n");
        let (head, _) = encode_with("GET", "http://h/", &[], &smuggled, BodyLength::None, TargetForm::Origin);
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n");
    }

    #[test]
    fn a_length_of_zero_is_said_only_where_a_body_is_expected() {
        for method in ["POST", "PUT", "PATCH"] {
            for body in [BodyLength::None, BodyLength::Known(0)] {
                assert!(encode(method, "http://h/", &[], body).0.contains("Content-Length: 0\r\n"));
            }
        }
        for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND"] {
            for body in [BodyLength::None, BodyLength::Known(0)] {
                assert!(!encode(method, "http://h/", &[], body).0.contains("Content-Length"));
            }
        }
        let (head, _) = encode("GET", "http://h/", &[], BodyLength::Known(u64::MAX));
        assert!(head.contains("Content-Length: 18446744073709551615\r\n"));
    }

    #[test]
    fn connection_close_is_sent_and_reported() {
        for (value, expected) in [
            ("close", Persistence::Close),
            ("upgrade, Close", Persistence::Close),
            ("keep-alive", Persistence::KeepAlive),
            ("Upgrade", Persistence::KeepAlive),
        ] {
            let (head, persistence) = encode("GET", "http://h/", &[("connection", value)], BodyLength::None);
            assert!(head.contains(&format!("Connection: {value}\r\n")));
            assert_eq!(persistence, expected, "{value}");
        }
    }

    #[test]
    fn absolute_form_for_proxies() {
        let url = "http://u:p@[::1]:8080/a?b#c";
        let (head, _) = encode_with("GET", url, &[], &[], BodyLength::None, TargetForm::Absolute);
        assert_eq!(head, "GET http://[::1]:8080/a?b HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n");
    }

    #[test]
    fn nothing_of_a_url_or_method_ends_a_line_or_word() {
        for url in [
            "http://h/a b",
            "http://h/a\r\nX: y",
            "http://h/?a\r\nX: y z\u{0}",
            "http://h/é?ü \"'<>",
            "http://h/\u{7f}\u{1}?\u{7f}\u{1}",
            "x:opaque path with\r\nspaces and \u{1}",
            "x:opaque?query \u{7f}",
            "data:text/plain,a b",
            "http://exa%0dmple.com.invalid/%0d%0a",
            "x://host%0d%0aX:1/",
        ] {
            let Ok(parsed) = Url::parse(url) else { continue };
            for form in [TargetForm::Origin, TargetForm::Absolute] {
                let mut out = Vec::new();
                let none = HeaderMap::new();
                encode_head(&mut out, &Method::GET, &parsed, &none, &[], BodyLength::None, form);
                let head = String::from_utf8(out).expect("ASCII");
                let lines: Vec<_> = head.split("\r\n").collect();
                assert_eq!(lines.len(), 4, "{url:?}: {head:?}");
                assert_eq!(lines[0].split(' ').count(), 3, "{url:?}: {head:?}");
                assert!(head.bytes().all(|b| b.is_ascii_graphic() || b" \r\n".contains(&b)), "{head:?}");
                assert_eq!(head.matches(['\r', '\n']).count(), 6, "{head:?}");
            }
        }
        for method in ["GE T", "GET\r\nX: y", "G\0", "", "GÉT", "a:b", "a/b"] {
            assert!(Method::from_bytes(method.as_bytes()).is_err(), "{method:?}");
        }
        for value in ["a\r\nb", "a\nb", "a\rb", "a\0"] {
            assert!(HeaderValue::from_bytes(value.as_bytes()).is_err());
        }
        assert!(encode("pUrGe", "http://h/", &[], BodyLength::None).0.starts_with("pUrGe / HTTP/1.1\r\n"));
    }

    #[test]
    fn what_is_in_the_buffer_stays() {
        let mut out = b"before".to_vec();
        let url = Url::parse("http://h/").expect("a URL");
        let none = HeaderMap::new();
        encode_head(&mut out, &Method::GET, &url, &none, &[], BodyLength::None, TargetForm::Origin);
        assert_eq!(out, b"beforeGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
}
