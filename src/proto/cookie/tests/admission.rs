//! Section 5.7, as far as it is about the cookie alone.

use super::*;

#[test]
fn lifetimes_steps_6_and_5_5() {
    let after = |seconds| Some(at(0) + Duration::from_secs(seconds));
    let year = 400 * 86_400;
    for (attributes, expires) in [
        ("", None),
        ("Max-Age=10", after(10)),
        ("Max-Age=10; Expires=1 Jan 1970 00:00:00", after(10)),
        ("Expires=1 Jan 1970 00:00:00; Max-Age=10", after(10)),
        ("Max-Age=0", Some(UNIX_EPOCH)),
        ("Max-Age=-1", Some(UNIX_EPOCH)),
        ("Max-Age=34560000", after(year)),
        ("Max-Age=34560001", after(year)),
        ("Max-Age=99999999999999999999", after(year)),
        ("Expires=31 Dec 9999 23:59:59", after(year)),
        ("Expires=1 Jan 1601 00:00:00", Some(UNIX_EPOCH)),
        ("Expires=14 Nov 2023 22:13:21", after(1)),
    ] {
        assert_eq!(
            from(URL, &format!("a=b; {attributes}")).expect(attributes).expires,
            expires,
            "{attributes}"
        );
    }
}

#[test]
fn domains_steps_7_to_10() {
    for (address, attribute, expected) in [
        ("https://www.example.com/", "", Ok(("www.example.com", true))),
        ("https://www.example.com/", "Domain=www.example.com", Ok(("www.example.com", false))),
        ("https://www.example.com/", "Domain=.EXAMPLE.com", Ok(("example.com", false))),
        ("https://www.example.com/", "Domain=", Ok(("www.example.com", true))),
        ("https://www.example.com/", "Domain=other.com", Err(Refusal::ForeignDomain)),
        ("https://www.example.com/", "Domain=a.www.example.com", Err(Refusal::ForeignDomain)),
        ("https://www.example.com/", "Domain=ww.example.com", Err(Refusal::ForeignDomain)),
        ("https://www.example.com/", "Domain=..example.com", Err(Refusal::ForeignDomain)),
        ("https://www.example.com/", "Domain=exämple.com", Err(Refusal::ForeignDomain)),
        ("https://www.example.com/", "Domain=exämple.com; Domain=example.com", Ok(("example.com", false))),
        ("https://www.example.com/", "Domain=com", Err(Refusal::PublicSuffix)),
        ("https://www.example.com./", "Domain=com.", Err(Refusal::PublicSuffix)),
        ("https://www.example.co.uk/", "Domain=co.uk", Err(Refusal::PublicSuffix)),
        ("https://a.github.io/", "Domain=github.io", Err(Refusal::PublicSuffix)),
        ("https://github.io/", "Domain=github.io", Ok(("github.io", true))),
        ("https://a.internal/", "Domain=internal", Err(Refusal::PublicSuffix)),
        ("https://localhost/", "Domain=localhost", Ok(("localhost", true))),
        ("https://bücher.example/", "Domain=xn--bcher-kva.example", Ok(("xn--bcher-kva.example", false))),
        ("https://127.0.0.1/", "", Ok(("127.0.0.1", true))),
        ("https://127.0.0.1/", "Domain=127.0.0.1", Ok(("127.0.0.1", false))),
        ("https://127.0.0.1/", "Domain=0.0.1", Err(Refusal::ForeignDomain)),
        ("https://[::1]/", "Domain=[::1]", Ok(("[::1]", true))),
    ] {
        let cookie = from(address, &format!("a=b; {attribute}"));
        let is =
            cookie.as_ref().map(|cookie| (cookie.domain(), cookie.is_host_only())).map_err(|error| *error);
        assert_eq!(is, expected, "{address} {attribute}");
    }
}

#[test]
fn paths_step_11() {
    for (attribute, expected) in
        [("", "/a"), ("Path=/", "/"), ("Path=/elsewhere", "/elsewhere"), ("Path=x", "/a"), ("Path", "/a")]
    {
        assert_eq!(from(URL, &format!("a=b; {attribute}")).expect(attribute).path(), expected, "{attribute}");
    }
    // Nobody says how long the path of a URL may be.
    let path = |address: &str| from(address, "a=b").expect("a cookie").path().len();
    assert_eq!(path(&format!("https://example.com/{}/x", "y".repeat(1023))), 1024);
    assert_eq!(path(&format!("https://example.com/{}/x", "y".repeat(1024))), 1);
    assert_eq!(path(&format!("https://example.com/{}/{}/x", "y".repeat(1000), "z".repeat(1000))), 1001);
    assert_eq!(from("https://example.com/a;b/c", "a=b").expect("a cookie").path(), "/a;b");
    assert_eq!(from("https://.example.com/", "a=b"), Err(Refusal::ForeignDomain));
}

#[test]
fn secure_steps_12_to_13_and_same_site_steps_17_to_19() {
    assert!(
        from(URL, "a=b; Secure; HttpOnly").is_ok_and(|cookie| cookie.is_secure() && cookie.is_http_only())
    );
    assert_eq!(from("http://www.example.com/", "a=b; Secure"), Err(Refusal::NotSecure));
    assert_eq!(from("http://localhost/", "a=b; Secure"), Err(Refusal::NotSecure));
    assert!(from("http://www.example.com/", "a=b").is_ok());
    assert_eq!(from(URL, "a=b; SameSite=None"), Err(Refusal::SameSiteNone));
    assert!(from(URL, "a=b; SameSite=None; Secure").is_ok());
    for (field, taken) in [
        ("a=b", false),
        ("a=b; SameSite=Lax", false),
        ("a=b; SameSite=Strict", false),
        ("a=b; SameSite=None; Secure", true),
    ] {
        let set = SetCookie::parse(field.as_bytes()).expect(field);
        let cookie = admit(set, &url(URL), true, &SUFFIXES, at(0));
        assert_eq!(cookie.is_ok(), taken, "{field}");
    }
    for address in ["ftp://example.com/", "file:///a", "app://example.com/"] {
        assert_eq!(from(address, "a=b"), Err(Refusal::NotHttp));
    }
}

#[test]
fn prefixes_steps_20_to_22() {
    for (field, taken) in [
        ("__Secure-a=b; Secure", true),
        ("__Secure-a=b", false),
        ("__SECURE-a=b", false),
        ("__Secure=b", true),
        ("__Host-a=b; Secure; Path=/", true),
        ("__Host-a=b; Secure; Path=/; Domain=", true),
        ("__Host-a=b; Secure", false),
        ("__Host-a=b; Secure; Path=/a", false),
        ("__host-a=b; Path=/", false),
        ("__Host-a=b; Secure; Path=/; Domain=www.example.com", false),
        ("=__Secure-a=b; Secure", false),
        ("=__Host-a=b; Secure; Path=/", false),
        ("__hOsT-a; Secure; Path=/", false),
        ("=x__Host-a=b", true),
    ] {
        let cookie = from(URL, field);
        assert!(cookie.is_ok() == taken, "{field}: {cookie:?}");
        assert!(taken || cookie == Err(Refusal::Prefix));
    }
    // The root by default is not said.
    assert_eq!(from("https://example.com/", "__Host-a=b; Secure"), Err(Refusal::Prefix));
}

#[test]
fn sites_5_2() {
    for (one, other, site, party) in [
        ("https://a.example.com/x", "https://b.example.com:444/", true, true),
        ("https://example.com/", "http://example.com/", false, true),
        ("http://example.com/", "ws://example.com/", true, true),
        ("https://a.github.io/", "https://b.github.io/", false, false),
        ("https://example.com/", "https://example.org/", false, false),
        ("http://127.0.0.1/", "http://127.0.0.1:80/", true, true),
        ("http://127.0.0.1/", "http://1.0.0.1/", false, false),
        ("https://localhost/", "https://localhost/", true, true),
        ("file:///a", "file:///a", false, false),
    ] {
        let (one, other) = (url(one), url(other));
        assert_eq!(is_same_site(&one, &other, &SUFFIXES), site, "{one} {other}");
        assert_eq!(is_same_party(&one, &other, &SUFFIXES), party, "{one} {other}");
    }
}
