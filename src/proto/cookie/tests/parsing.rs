//! Sections 5.1 and 5.6.

use super::super::date::cookie_date;
use super::super::matching::{default_path, domain_matches, path_matches};
use super::*;
use crate::cookie::SameSite;

fn parsed(field: &str) -> SetCookie {
    SetCookie::parse(field.as_bytes()).expect(field)
}

#[test]
fn dates_5_1_1() {
    let christmas = Some(1_766_666_096);
    for (text, expected) in [
        ("Thu, 25 Dec 2025 12:34:56 GMT", christmas),
        ("Thursday, 25-Dec-25 12:34:56 GMT", christmas),
        ("Thu Dec 25 12:34:56 2025", christmas),
        ("25 dec 2025 12:34:56", christmas),
        ("12:34:56 2025 25 DECEMBER", christmas),
        ("Dec/25/2025/12:34:56", christmas),
        ("25Dec 25 December 2025 12:34:56.789 +0900", christmas),
        ("2025 25th of decem 12:34:56xyz", christmas),
        ("25th of 025 decem 2025 12:34:56xyz", christmas),
        ("\t;@[~25~Dec@2025;12:34:56", christmas),
        ("1 Jan 1970 0:0:0", Some(0)),
        ("1 Jan 70 0:0:0", Some(0)),
        ("31 Dec 69 23:59:59", Some(3_155_759_999)),
        ("1 Jan 00 00:00:00", Some(946_684_800)),
        ("1 Jan 1601 00:00:00", Some(-11_644_473_600)),
        ("31 Dec 9999 23:59:59", Some(253_402_300_799)),
        ("29 Feb 2024 00:00:00", Some(1_709_164_800)),
        ("29 Feb 2023 00:00:00", None),
        ("31 Apr 2024 00:00:00", None),
        ("00 Jan 2024 00:00:00", None),
        ("32 Jan 2024 00:00:00", None),
        ("1 Jan 1600 00:00:00", None),
        ("1 Jan 20245 00:00:00", None),
        ("1 Jan 2 00:00:00", None),
        ("1 Jan 2024 24:00:00", None),
        ("1 Jan 2024 23:60:00", None),
        ("1 Jan 2024 23:59:60", None),
        ("1 Jan 2024 23:59", None),
        ("1 Jan 2024 123:59:00", None),
        ("1 Jan 2024 12:34:567", None),
        ("1 Foo 2024 12:34:56", None),
        ("Jan 2024 12:34:56", None),
        ("1 Jan 12:34:56", None),
        ("", None),
    ] {
        assert_eq!(cookie_date(text.as_bytes()), expected, "{text:?}");
    }
    assert_eq!(cookie_date(b"25\xffth Dec\xe9mber 2025 12:34:56\xff"), christmas);
}

#[test]
fn domains_5_1_3() {
    for (host, domain, expected) in [
        ("example.com", "example.com", true),
        ("www.example.com", "example.com", true),
        ("a.b.example.com", "example.com", true),
        ("example.com", "www.example.com", false),
        ("superexample.com", "example.com", false),
        ("example.com", "xample.com", false),
        ("example.com", "com", true),
        ("127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1", "0.0.1", false),
        ("127.0.0.1.", "0.0.1.", false),
        ("[::1]", "[::1]", true),
        ("[::1]", ":1]", false),
        ("1.example", "example", true),
        ("example.com.", "example.com", false),
        ("www.example.com.", "example.com.", true),
    ] {
        assert_eq!(domain_matches(host, domain), expected, "{host} {domain}");
    }
}

#[test]
fn paths_5_1_4() {
    for (path, expected) in [
        ("", "/"),
        ("x", "/"),
        ("x/y", "/"),
        ("/", "/"),
        ("/a", "/"),
        ("/a/", "/a"),
        ("/a/b", "/a"),
        ("/a/b/c%2Fd", "/a/b"),
    ] {
        assert_eq!(default_path(path), expected, "{path:?}");
    }
    for (path, cookie, expected) in [
        ("/", "/", true),
        ("/a", "/", true),
        ("/a", "/a", true),
        ("/a/", "/a", true),
        ("/a/b", "/a", true),
        ("/a/b", "/a/", true),
        ("/a", "/a/", false),
        ("/ab", "/a", false),
        ("/b", "/a", false),
        ("/A", "/a", false),
    ] {
        assert_eq!(path_matches(path, cookie), expected, "{path} {cookie}");
    }
}

#[test]
fn names_and_values_5_6() {
    for (field, name, value) in [
        ("a=b", "a", "b"),
        ("a=b; c=d", "a", "b"),
        (" \ta \t=\t b ", "a", "b"),
        ("a=b=c", "a", "b=c"),
        ("a=", "a", ""),
        ("=b", "", "b"),
        ("b", "", "b"),
        ("==b", "", "=b"),
        ("a=\"b c\"", "a", "\"b c\""),
        ("a=\"b;c\"", "a", "\"b"),
        ("a=b, c=d", "a", "b, c=d"),
        ("a b=c\td", "a b", "c\td"),
        ("ü=é", "ü", "é"),
    ] {
        let cookie = parsed(field);
        assert_eq!((cookie.name.as_str(), cookie.value.as_str()), (name, value), "{field:?}");
    }
    for (field, refusal) in [
        ("", Refusal::Empty),
        (" ; Path=/", Refusal::Empty),
        ("=", Refusal::Empty),
        ("a=b\0", Refusal::Control),
        ("a=b\r\nc", Refusal::Control),
        ("a=b\u{7f}", Refusal::Control),
        ("a=b; Path=/\u{1}", Refusal::Control),
    ] {
        assert_eq!(SetCookie::parse(field.as_bytes()), Err(refusal), "{field:?}");
    }
}

#[test]
fn sizes_5_6_and_5_7() {
    let pair = |name: usize, value: usize| format!("{}={}", "n".repeat(name), "v".repeat(value));
    assert!(SetCookie::parse(pair(1, 4095).as_bytes()).is_ok());
    assert!(SetCookie::parse(pair(4096, 0).as_bytes()).is_ok());
    assert_eq!(SetCookie::parse(pair(1, 4096).as_bytes()), Err(Refusal::TooLong));
    assert_eq!(SetCookie::parse(pair(0, 4097).as_bytes()), Err(Refusal::TooLong));
    // An attribute that is too long is not there; the cookie is.
    let long = |length: usize| format!("a=b; Path=/{}", "x".repeat(length - 1));
    assert_eq!(parsed(&long(1024)).path.map(|path| path.len()), Some(1024));
    assert_eq!(parsed(&long(1025)).path, None);
    assert_eq!(parsed(&format!("a=b; Path=/x; Path=/{}", "y".repeat(2000))).path.as_deref(), Some("/x"));
}

#[test]
fn what_is_no_utf8_stays_as_it_is() {
    let cookie = SetCookie::parse(b"n\xe4me=v\xff").expect("a cookie");
    assert_eq!((cookie.name.as_str(), cookie.value.as_str(), cookie.latin1), ("näme", "vÿ", true));
    let cookie = admit(cookie, &url(URL), false, &SUFFIXES, at(0)).expect("a cookie");
    let mut line = Vec::new();
    cookie.push_to(&mut line);
    assert_eq!(line, b"n\xe4me=v\xff");
}

#[test]
fn expires_5_6_1_and_max_age_5_6_2() {
    for (attributes, expires, max_age) in [
        ("Expires=Thu, 25 Dec 2025 12:34:56 GMT", Some(1_766_666_096), None),
        ("eXpIrEs = 1 Jan 1970 00:00:00", Some(0), None),
        ("Expires=tomorrow", None, None),
        ("Expires=1 Jan 1970 00:00:00; Expires=tomorrow", Some(0), None),
        ("Expires=1 Jan 1970 00:00:00; Expires=1 Jan 1970 00:00:01", Some(1), None),
        ("Max-Age=10", None, Some(10)),
        ("MAX-AGE = 10 ", None, Some(10)),
        ("Max-Age=0", None, Some(0)),
        ("Max-Age=-10", None, Some(-10)),
        ("Max-Age=99999999999999999999", None, Some(i64::MAX)),
        ("Max-Age=-99999999999999999999", None, Some(-i64::MAX)),
        ("Max-Age=", None, None),
        ("Max-Age=-", None, None),
        ("Max-Age=+1", None, None),
        ("Max-Age=1.5", None, None),
        ("Max-Age=\"1\"", None, None),
        ("Max-Age=1; Max-Age=x", None, Some(1)),
        ("Max-Age=1; Max-Age=2", None, Some(2)),
    ] {
        let cookie = parsed(&format!("a=b; {attributes}"));
        assert_eq!((cookie.expires, cookie.max_age), (expires, max_age), "{attributes}");
    }
}

#[test]
fn domain_5_6_3_and_path_5_6_4() {
    for (attributes, domain, path) in [
        ("Domain=Example.COM", Some("example.com"), None),
        ("domain=.example.com", Some("example.com"), None),
        ("Domain=..example.com", Some(".example.com"), None),
        ("Domain=", None, None),
        ("Domain=.", None, None),
        ("Domain", None, None),
        ("Domain=a.com; Domain=b.com", Some("b.com"), None),
        ("Domain=a.com; Domain=", None, None),
        ("Path=/x", None, Some("/x")),
        ("PATH= /x/ ", None, Some("/x/")),
        ("Path=x", None, None),
        ("Path=", None, None),
        ("Path=/x; Path=y", None, None),
        ("Path=/x; Path=/y", None, Some("/y")),
    ] {
        let cookie = parsed(&format!("a=b; {attributes}"));
        assert_eq!((cookie.domain.as_deref(), cookie.path.as_deref()), (domain, path), "{attributes}");
    }
}

#[test]
fn flags_5_6_5_to_5_6_7() {
    for (attributes, secure, http_only, same_site) in [
        ("Secure", true, false, None),
        ("secure=false", true, false, None),
        ("HttpOnly;;;SECURE", true, true, None),
        ("Secured; HttpOnlyX", false, false, None),
        ("SameSite=strict", false, false, Some(SameSite::Strict)),
        ("samesite=LAX", false, false, Some(SameSite::Lax)),
        ("SameSite=None", false, false, Some(SameSite::None)),
        ("SameSite=other", false, false, None),
        ("SameSite", false, false, None),
        ("SameSite=Strict; SameSite=other", false, false, None),
        ("Partitioned; Priority=High; Version=1", false, false, None),
    ] {
        let cookie = parsed(&format!("a=b; {attributes}"));
        let is = (cookie.secure, cookie.http_only, cookie.same_site);
        assert_eq!(is, (secure, http_only, same_site), "{attributes}");
    }
}
