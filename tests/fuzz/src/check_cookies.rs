use crate::cookie::{Cookie, SameSite, check};
use crate::proto::cookie::{
    Asked, Change, Jar, Key, Line, decode, encode, is_secure, is_web, read_line, received, write_line,
};
use crate::proto::public_suffix::PublicSuffixes;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Url;

/// A server sets only what is its own and what its connection may, of bounded size and lifetime; what is
/// kept goes back as it came, and through files.
pub fn set_cookie(data: &[u8]) {
    // A URL, and fields of its response, divided by lines' ends.
    let mut lines = data.split(|&byte| byte == b'\n');
    let Some(url) = lines.next().and_then(|line| std::str::from_utf8(line).ok()) else { return };
    let Ok(url) = Url::parse(url) else { return };
    let (suffixes, now) = (PublicSuffixes::built_in(), UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let mut headers = HeaderMap::new();
    for line in lines.take(300) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(SET_COOKIE, value);
        }
    }
    let (mut jar, mut changes) = (Jar::default(), Vec::new());
    for cookie in received(&headers, &url, false, &suffixes, now) {
        let host = url.host_str().expect("a host");
        assert!(is_web(&url) && cookie.name().len() + cookie.value().len() <= 2 * 4096);
        assert_eq!(check(&cookie), None, "{cookie:?}");
        match host.strip_suffix(cookie.domain()) {
            Some(before) => assert!(before.is_empty() || before.ends_with('.') && !cookie.is_host_only()),
            None => panic!("{host} set a cookie for {}", cookie.domain()),
        }
        assert!(cookie.is_host_only() || !suffixes.is_public_suffix(cookie.domain()));
        assert!(is_secure(&url) || !cookie.is_secure());
        assert!(cookie.same_site() != Some(SameSite::None) || cookie.is_secure());
        assert!(cookie.expires().is_none_or(|ends| ends <= now + Duration::from_secs(400 * 86_400)));
        through_files(&cookie, now, &suffixes);
        let _ = jar.set(cookie, is_secure(&url), now, &suffixes, &mut changes);
    }
    let kept = jar.cookies(now);
    assert!(kept.len() <= 180);
    let Some(host) = url.host_str() else { return };
    let asked = Asked { host, path: url.path(), secure: is_secure(&url), cross_site: false };
    let sent = jar.header(asked, |_| false, now, &suffixes);
    let shown = jar.cookies_for(asked, now, &suffixes);
    assert_eq!(sent, Cookie::to_header(&shown));
    assert_eq!(sent.is_none(), shown.is_empty());
    // What is sent says nothing that a line's end could bring.
    assert!(sent.is_none_or(|value| !value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))));
    let mut again = Jar::default();
    changes.into_iter().for_each(|change| again.apply(change, now, &suffixes));
    let lasting = kept.iter().filter(|cookie| cookie.expires().is_some()).count();
    assert_eq!(again.cookies(now).len(), lasting);
}

fn through_files(cookie: &Cookie, now: SystemTime, suffixes: &PublicSuffixes) {
    if cookie.expires().is_some() {
        let changes = [Change::Set(cookie.clone(), now), Change::Removed(Key::of(cookie))];
        for change in changes {
            assert!(decode(&encode(&change)) == Some(change));
        }
    }
    let mut line = Vec::new();
    if write_line(cookie, &mut line) {
        let Line::Cookie(again) = read_line(&line[..line.len() - 1], suffixes) else {
            panic!("{:?}", String::from_utf8_lossy(&line))
        };
        assert_eq!((again.name(), again.value()), (cookie.name(), cookie.value()));
        assert_eq!((again.domain(), again.path()), (cookie.domain(), cookie.path()));
        assert_eq!(again.is_secure(), cookie.is_secure());
        assert_eq!(again.is_http_only(), cookie.is_http_only());
    }
}

/// Whatever is in a file, what is read out of it are cookies, and they are read again as they are written.
pub fn cookie_file(data: &[u8]) {
    // What kind of file, and its lines, or a record.
    let Some((&kind, rest)) = data.split_first() else { return };
    let suffixes = PublicSuffixes::built_in();
    if kind & 1 == 0 {
        for line in rest.split(|&byte| byte == b'\n') {
            let Line::Cookie(cookie) = read_line(line, &suffixes) else { continue };
            assert_eq!(check(&cookie), None);
            let mut written = Vec::new();
            if write_line(&cookie, &mut written) {
                assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1);
                let again = read_line(&written[..written.len() - 1], &suffixes);
                assert_eq!(again, Line::Cookie(cookie));
            }
        }
        return;
    }
    let Some(change) = decode(rest) else { return };
    let record = encode(&change);
    if let Change::Set(cookie, _) = &change {
        assert_eq!(check(cookie), None);
        let mut jar = Jar::default();
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        jar.apply(change.clone(), now, &suffixes);
        assert!(jar.cookies(now).len() <= 1);
    }
    assert!(decode(&record) == Some(change));
    for end in 0..record.len() {
        assert!(decode(&record[..end]).is_none());
    }
}
