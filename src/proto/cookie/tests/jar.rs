//! Section 5.7, as far as it is about cookies that are there, and section 5.8.3.

use super::*;
use crate::proto::cookie::jar::{MOST, MOST_OF_SITE};

/// A jar in which the seconds pass.
#[derive(Default)]
struct Kept {
    jar: Jar,
    now: u64,
    changes: Vec<Change>,
}

impl Kept {
    fn set(&mut self, address: &str, field: &str) -> Result<(), Refusal> {
        self.now += 1;
        let set = SetCookie::parse(field.as_bytes())?;
        let cookie = admit(set, &url(address), false, &SUFFIXES, at(self.now))?;
        let secure = address.starts_with("https");
        self.jar.set(cookie, secure, at(self.now), &SUFFIXES, &mut self.changes)
    }

    #[track_caller]
    fn sets(&mut self, address: &str, field: &str) {
        assert_eq!(self.set(address, field), Ok(()), "{field}");
    }

    fn header(&mut self, address: &str) -> String {
        self.now += 1;
        let url = url(address);
        let value = self.jar.header(asked(&url), |_| false, at(self.now), &SUFFIXES);
        let shown = self.jar.cookies_for(asked(&url), at(self.now), &SUFFIXES);
        assert_eq!(value, Cookie::to_header(&shown));
        assert!(value.as_ref().is_none_or(http::HeaderValue::is_sensitive));
        value.map_or(String::new(), |value| String::from_utf8(value.as_bytes().into()).expect("text"))
    }

    fn count(&self) -> usize {
        self.jar.cookies(at(self.now)).len()
    }
}

#[test]
fn what_goes_where_5_8_3() {
    let mut kept = Kept::default();
    kept.sets("https://www.example.com/a/b", "host=1; Path=/");
    kept.sets("https://www.example.com/a/b", "domain=2; Path=/; Domain=example.com");
    kept.sets("https://www.example.com/a/b", "secure=3; Path=/; Secure");
    kept.sets("https://www.example.com/a/b", "path=4");
    kept.sets("https://www.example.com/a/b", "other=5; Path=/other");
    kept.sets("https://www.example.com/a/b", "=6; Path=/; Domain=www.example.com");
    for (address, expected) in [
        ("https://www.example.com/", "host=1; domain=2; secure=3; 6"),
        ("http://www.example.com/", "host=1; domain=2; 6"),
        ("https://www.example.com/a", "path=4; host=1; domain=2; secure=3; 6"),
        ("https://www.example.com/a/c?/other", "path=4; host=1; domain=2; secure=3; 6"),
        ("https://www.example.com/other/", "other=5; host=1; domain=2; secure=3; 6"),
        ("https://example.com/a", "domain=2"),
        ("https://a.www.example.com/", "domain=2; 6"),
        ("https://www.example.org/", ""),
        ("https://www.example.com:444/", "host=1; domain=2; secure=3; 6"),
    ] {
        assert_eq!(kept.header(address), expected, "{address}");
    }
}

#[test]
fn longer_paths_come_first_and_then_older_ones() {
    let mut kept = Kept::default();
    kept.sets("https://h.example/", "a=1; Path=/");
    kept.sets("https://h.example/", "b=1; Path=/x/y");
    kept.sets("https://h.example/", "c=1; Path=/x");
    kept.sets("https://h.example/", "d=1; Path=/");
    kept.sets("https://h.example/", "e=1; Path=/x");
    // It keeps its age (step 23).
    kept.sets("https://h.example/", "a=2; Path=/");
    assert_eq!(kept.header("https://h.example/x/y"), "b=1; c=1; e=1; a=2; d=1");
    let names: Vec<String> =
        kept.jar.cookies(at(kept.now)).iter().map(|cookie| cookie.name.clone()).collect();
    assert_eq!(names.join(""), "abcde");
}

#[test]
fn a_cookie_is_its_name_domain_path_and_whom_it_is_for() {
    let mut kept = Kept::default();
    for field in
        ["a=1", "a=2; Path=/", "a=3; Domain=www.example.com", "A=4", "a=5; Domain=example.com", "a=6"]
    {
        kept.sets(URL, field);
    }
    assert_eq!(kept.count(), 5);
    assert_eq!(kept.header(URL), "a=6; a=3; A=4; a=5; a=2");
}

#[test]
fn what_is_over_goes_and_is_not_sent() {
    let mut kept = Kept::default();
    kept.sets(URL, "a=1; Max-Age=100");
    kept.sets(URL, "b=2; Max-Age=1000");
    kept.sets(URL, "c=3");
    assert_eq!(kept.header(URL), "a=1; b=2; c=3");
    kept.now = 101;
    assert_eq!(kept.header(URL), "b=2; c=3");
    kept.sets(URL, "b=; Max-Age=0");
    kept.sets(URL, "c=; Expires=1 Jan 1970 00:00:00");
    kept.sets(URL, "never=; Max-Age=-1");
    assert_eq!((kept.header(URL), kept.count()), (String::new(), 0));
}

#[test]
fn what_is_not_secure_does_not_get_in_the_way_of_what_is_step_16() {
    let secure = |path: &str, domain: &str| {
        let mut kept = Kept::default();
        kept.sets("https://www.example.com/", &format!("a=1; Secure; Path={path}; {domain}"));
        kept
    };
    for (path, domain, address, field, taken) in [
        ("/", "", "http://www.example.com/", "a=2", false),
        ("/", "", "http://www.example.com/", "a=2; Max-Age=0", false),
        ("/", "", "http://www.example.com/x/", "a=2", false),
        ("/", "", "http://www.example.com/", "b=2", true),
        ("/", "", "http://www.example.com/", "a=2; Domain=example.com", false),
        ("/", "Domain=example.com", "http://example.com/", "a=2", false),
        ("/", "Domain=example.com", "http://sub.example.com/", "a=2", false),
        ("/", "", "http://other.example.com/", "a=2", true),
        ("/login", "", "http://www.example.com/", "a=2", true),
        ("/login", "", "http://www.example.com/login/x", "a=2", false),
        ("/", "", "https://www.example.com/", "a=2", true),
    ] {
        let expected = if taken { Ok(()) } else { Err(Refusal::OverSecure) };
        assert_eq!(secure(path, domain).set(address, field), expected, "{path} {domain} {address} {field}");
    }
}

#[test]
fn other_sites_get_what_is_for_them() {
    let mut kept = Kept::default();
    kept.sets(URL, "none=1; SameSite=None; Secure; Path=/");
    kept.sets(URL, "lax=2; SameSite=Lax; Path=/");
    kept.sets(URL, "strict=3; SameSite=Strict; Path=/");
    kept.sets(URL, "unsaid=4; Path=/");
    assert_eq!(kept.header(URL), "none=1; lax=2; strict=3; unsaid=4");
    let url = url(URL);
    let asked = Asked { cross_site: true, ..asked(&url) };
    let header = kept.jar.header(asked, |_| false, at(10), &SUFFIXES);
    assert_eq!(header.expect("a cookie"), "none=1");
}

#[test]
fn a_site_has_so_many_and_loses_what_is_missed_least() {
    let mut kept = Kept::default();
    let name = |number: usize| format!("c{number}");
    kept.sets(URL, "over=; Max-Age=1000; Secure");
    kept.sets(URL, "secure=1; Secure; Path=/");
    for number in 2..MOST_OF_SITE {
        kept.sets(URL, &format!("{}=1; Path=/{number}", name(number)));
    }
    assert_eq!(kept.count(), MOST_OF_SITE);
    // Used, so missed.
    assert!(kept.header("https://www.example.com/2").contains("c2=1"));
    kept.now = 2000;
    assert_eq!(kept.count(), MOST_OF_SITE - 1);
    kept.sets(URL, "new1=1; Path=/new");
    assert_eq!(kept.count(), MOST_OF_SITE, "what is over went");
    kept.sets("https://other.example.com/", "new2=1; Path=/new");
    assert_eq!(kept.count(), MOST_OF_SITE, "of the whole site");
    assert_eq!(kept.header("https://www.example.com/3"), "secure=1", "what was used longest ago went");
    assert!(kept.header("https://www.example.com/2").contains("c2=1"));
    for number in 0..2 * MOST_OF_SITE {
        kept.sets(URL, &format!("next{number}=1; Path=/next"));
    }
    assert_eq!(kept.count(), MOST_OF_SITE);
    assert_eq!(kept.header("https://www.example.com/2"), "secure=1", "what is secure stays");
}

#[test]
fn a_jar_has_so_many_and_sites_with_many_lose_first() {
    let mut kept = Kept::default();
    let site = |number: usize| format!("https://site{number}.example/");
    kept.sets(&site(0), "first=1");
    for number in 0..60 {
        kept.sets(
            "https://many.example/",
            &format!("c{number}=1{}", if number == 0 { "" } else { "; Secure" }),
        );
    }
    for number in 1..MOST - 60 {
        kept.sets(&site(number), "a=1");
    }
    assert_eq!(kept.count(), MOST);
    kept.sets(&site(MOST), "a=1");
    assert!(!kept.header("https://many.example/").contains("c0=1"), "not secure, of a site with many");
    kept.now -= 1;
    // The others were used just now, and go all the same while there are many.
    for number in 1..10 {
        kept.sets(&site(MOST + number), "a=1");
    }
    assert_eq!(kept.count(), MOST);
    assert_eq!(kept.header("https://many.example/").split(';').count(), 50);
    kept.sets(&site(MOST + 10), "a=1");
    assert_eq!(kept.header("https://many.example/").split(';').count(), 50);
    assert_eq!(kept.header(&site(0)), "", "what was used longest ago");
    assert_eq!(kept.header(&site(1)), "a=1");
}

#[test]
fn of_the_changes_a_jar_can_be_made_again() {
    let mut kept = Kept::default();
    kept.sets(URL, "a=1; Max-Age=100; Path=/");
    kept.sets(URL, "session=1; Path=/");
    kept.sets(URL, "b=2; Max-Age=100; Path=/");
    kept.sets(URL, "a=3; Max-Age=100; Path=/");
    kept.sets(URL, "c=4; Max-Age=100; Path=/");
    kept.sets(URL, "b=; Max-Age=0; Path=/");
    // What is of the session now is no longer in the file.
    kept.sets(URL, "c=5; Path=/");
    kept.sets("https://example.org/", "d=6; Max-Age=100");
    let again = |changes: Vec<Change>, now| {
        let mut again = Kept { now, ..Kept::default() };
        for change in changes {
            again.jar.apply(change, at(now), &SUFFIXES);
        }
        again
    };
    let mut copy = again(kept.changes.clone(), kept.now);
    assert_eq!(copy.header(URL), "a=3");
    assert_eq!(copy.header("https://example.org/"), "d=6");
    let mut copy = again(kept.jar.kept(at(kept.now)), kept.now);
    assert_eq!((copy.header(URL).as_str(), copy.count()), ("a=3", 2));
    assert_eq!(again(kept.changes.clone(), 1000).count(), 0, "all over");
    copy.jar.forget_kept();
    assert_eq!(copy.count(), 0);
    kept.jar.forget_kept();
    assert_eq!(kept.header(URL), "session=1; c=5");
    // What is gone from the file is not what is of the session.
    let Some(removed) = kept.jar.cookies(at(kept.now)).first().map(Key::of) else { panic!("a cookie") };
    kept.jar.apply(Change::Removed(removed), at(kept.now), &SUFFIXES);
    assert_eq!(kept.header(URL), "session=1; c=5");
}

#[test]
fn removing() {
    let mut kept = Kept::default();
    kept.sets(URL, "a=1; Max-Age=100");
    kept.sets(URL, "b=2; Max-Age=100");
    kept.sets("https://example.org/", "c=3; Max-Age=100");
    let key = Key::of(&kept.jar.cookies(at(3))[0]);
    kept.changes.clear();
    kept.jar.remove(&key, &SUFFIXES, &mut kept.changes);
    kept.jar.remove(&key, &SUFFIXES, &mut kept.changes);
    assert!(kept.changes == [Change::Removed(key)]);
    kept.jar.remove_since(at(3), &mut kept.changes);
    assert_eq!((kept.header(URL).as_str(), kept.count(), kept.changes.len()), ("b=2", 1, 2));
    kept.jar.clear();
    assert_eq!(kept.count(), 0);
    kept.sets(URL, "a=1");
    assert_eq!(kept.count(), 1);
}

#[test]
fn another_list_of_suffixes_parts_sites_otherwise() {
    let mut kept = Kept::default();
    kept.sets("https://a.host.example/", "own=1");
    kept.sets("https://a.host.example/", "all=2; Domain=host.example");
    let other = PublicSuffixes::parse("example\nhost.example").expect("a list");
    kept.jar.sort_anew(&other);
    for (host, expected) in [("a.host.example", Some("own=1")), ("b.host.example", None)] {
        let asked = Asked { host, path: "/", secure: true, cross_site: false };
        let header = kept.jar.header(asked, |_| false, at(5), &other);
        assert_eq!(header.as_ref().and_then(|value| value.to_str().ok()), expected, "{host}");
    }
    kept.jar.sort_anew(&SUFFIXES);
    assert_eq!(kept.header("https://a.host.example/"), "own=1; all=2");
}
