//! The two forms in files.

use super::*;

fn cookies() -> Vec<Cookie> {
    let long = format!("a={}; Max-Age=9; Path=/{}", "b".repeat(4000), "p".repeat(1000));
    let fields = [
        "a=b; Max-Age=100",
        "a=b; Max-Age=100; Secure; HttpOnly; SameSite=Strict; Domain=example.com; Path=/",
        "a=b; Max-Age=100; Secure; SameSite=None",
        "=value; Max-Age=100; SameSite=Lax",
        "=n=v; Max-Age=100",
        "name=; Max-Age=100",
        "ü=é\tè; Max-Age=100",
        &long,
    ];
    let mut cookies: Vec<Cookie> = fields.iter().map(|field| from(URL, field).expect(field)).collect();
    let latin1 = SetCookie::parse(b"n\xe4me=v\xff; Max-Age=7").expect("a cookie");
    let mut wide = vec![0xff; 4000];
    wide.extend_from_slice(b"==; Max-Age=7");
    let wide = SetCookie::parse(&wide).expect("a cookie");
    cookies.push(admit(wide, &url(URL), false, &SUFFIXES, at(0)).expect("a cookie"));
    cookies.push(admit(latin1, &url(URL), false, &SUFFIXES, at(0)).expect("a cookie"));
    cookies
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for cookie in cookies() {
        let changes = [Change::Removed(Key::of(&cookie)), Change::Set(cookie, at(3))];
        for change in changes {
            let record = encode(&change);
            assert!(decode(&record) == Some(change));
            for end in 0..record.len() {
                assert!(decode(&record[..end]).is_none(), "cut at {end}");
            }
            assert!(decode(&[&record[..], b"x"].concat()).is_none());
        }
    }
}

#[test]
fn a_record_that_is_no_cookie_is_none() {
    let Ok(mut cookie) = from(URL, "__Host-a=b; Max-Age=100; Secure; Path=/") else { panic!("a cookie") };
    let is_read = |cookie: &Cookie| decode(&encode(&Change::Set(cookie.clone(), at(0)))).is_some();
    assert!(is_read(&cookie));
    cookie.value = "b\r\nset: c".into();
    assert!(!is_read(&cookie));
    cookie.value = "b".into();
    cookie.flags.secure = false;
    assert!(!is_read(&cookie));
}

#[test]
fn lines_of_the_netscape_file() {
    let shown = |cookie: &Cookie| {
        let mut line = Vec::new();
        assert!(write_line(cookie, &mut line));
        String::from_utf8_lossy(&line).into_owned()
    };
    for (line, name, value, domain, path, secure, http_only, host_only, ends) in [
        ("example.com\tFALSE\t/\tFALSE\t0\ta\tb", "a", "b", "example.com", "/", false, false, true, 0),
        (
            ".example.com\tTRUE\t/x\tTRUE\t1800000000\ta\tb c",
            "a",
            "b c",
            "example.com",
            "/x",
            true,
            false,
            false,
            1_800_000_000,
        ),
        (
            "#HttpOnly_h.example.com\tFALSE\t/\tTRUE\t5\ta\t",
            "a",
            "",
            "h.example.com",
            "/",
            true,
            true,
            true,
            5,
        ),
        ("127.0.0.1\tFALSE\t/\tFALSE\t0\ta\tb", "a", "b", "127.0.0.1", "/", false, false, true, 0),
    ] {
        let Line::Cookie(cookie) = read_line(line.as_bytes(), &SUFFIXES) else { panic!("{line}") };
        assert_eq!(
            (cookie.name(), cookie.value(), cookie.domain(), cookie.path()),
            (name, value, domain, path)
        );
        assert_eq!(cookie.flags.secure, secure, "{line}");
        assert_eq!(cookie.flags.http_only, http_only, "{line}");
        assert_eq!(cookie.flags.host_only, host_only, "{line}");
        let expires = (ends > 0).then(|| UNIX_EPOCH + Duration::from_secs(ends));
        assert_eq!(cookie.expires, expires, "{line}");
        assert_eq!(shown(&cookie), format!("{line}\n"));
    }
    // What others write.
    for (line, again) in [
        ("example.com\ttrue\t/\tFalse\t0\ta\tb\r", ".example.com\tTRUE\t/\tFALSE\t0\ta\tb\n"),
        (".Example.com\tFALSE\t/\tFALSE\t0\ta\tb", "example.com\tFALSE\t/\tFALSE\t0\ta\tb\n"),
        ("example.com\tTRUE\t\tFALSE\t0\ta", ".example.com\tTRUE\t/\tFALSE\t0\ta\t\n"),
        ("localhost\tTRUE\t/\tFALSE\t0\ta\tb", "localhost\tFALSE\t/\tFALSE\t0\ta\tb\n"),
    ] {
        let Line::Cookie(cookie) = read_line(line.as_bytes(), &SUFFIXES) else { panic!("{line}") };
        assert_eq!(shown(&cookie), again);
    }
}

#[test]
fn lines_that_are_none() {
    for line in ["", "  ", "# Netscape HTTP Cookie File", "#", "\r"] {
        assert_eq!(read_line(line.as_bytes(), &SUFFIXES), Line::Nothing, "{line:?}");
    }
    for line in [
        "example.com",
        "example.com FALSE / FALSE 0 a b",
        "example.com\tFALSE\t/\tFALSE\t0",
        "example.com\tmaybe\t/\tFALSE\t0\ta\tb",
        "example.com\tFALSE\t/\tFALSE\tsoon\ta\tb",
        "example.com\tFALSE\t/\tFALSE\t-1\ta\tb",
        "example.com\tFALSE\t/\tFALSE\t99999999999999999999\ta\tb",
        "example.com\tFALSE\t/\tFALSE\t18446744073709551615\ta\tb",
        "exa mple\tFALSE\t/\tFALSE\t0\ta\tb",
        "\tFALSE\t/\tFALSE\t0\ta\tb",
        ".co.uk\tTRUE\t/\tFALSE\t0\ta\tb",
        "example.com\tFALSE\tx\tFALSE\t0\ta\tb",
        "example.com\tFALSE\t/\tFALSE\t0\t__Secure-a\tb",
        "example.com\tFALSE\t/\tFALSE\t0\ta\tb;c",
        "example.com\tFALSE\t/\tFALSE\t0\ta\tb\u{1}",
        "example.com\tFALSE\t/\tFALSE\t0\t\t",
        "#HttpOnly_",
    ] {
        assert_eq!(read_line(line.as_bytes(), &SUFFIXES), Line::Bad, "{line:?}");
    }
}

#[test]
fn what_cannot_be_a_line_is_not_written() {
    for field in ["=nameless", "a=b\tc"] {
        let mut line = Vec::new();
        assert!(!write_line(&from(URL, field).expect(field), &mut line));
        assert!(line.is_empty());
    }
    let latin1 = cookies().pop().expect("a cookie");
    let mut line = Vec::new();
    assert!(write_line(&latin1, &mut line));
    assert!(line.ends_with(b"n\xe4me\tv\xff\n"));
    let Line::Cookie(again) = read_line(&line[..line.len() - 1], &SUFFIXES) else { panic!("a cookie") };
    assert_eq!(*again, latin1);
}
